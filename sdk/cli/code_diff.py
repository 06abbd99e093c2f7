"""Which files of two tasks' code differ, and how: from their snapshots, else from their diffs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from dray.sdk.cli.task_diff import Difference, summary

if TYPE_CHECKING:
    from dray.runtime.execution import Execution
    from dray.runtime.snapshots import FileEntry

#: Of a larger file no lines are compared: it is data, and comparing takes the square of its size.
TEXT_LIMIT_BYTES = 1 << 20
SECTION = "files"
_HEAD = re.compile(r"^diff --git (?:a/)?(?P<left>.+?) (?:b/)?(?P<right>.+)$", re.MULTILINE)

#: Reads a blob by its sha256.
Read = Callable[[str], bytes]


def compare_code(
    left: Execution, right: Execution, read: Read, *, with_text: bool = False
) -> list[Difference]:
    """The files that two tasks' code does not share.

    Both snapshots are compared where both have one; otherwise the uncommitted changes, file by
    file. A task with and one without a snapshot have no list in common.

    Args:
        read: of the server, for manifests and, with text, for files that changed.
        with_text: tell also which lines differ.
    """
    if left.snapshot and right.snapshot:
        if left.snapshot == right.snapshot:
            return []
        from dray.runtime.snapshots import decode_manifest

        before, after = (decode_manifest(read(each.snapshot)) for each in (left, right))
        found = compare_manifests(before, after)
        return [_with_lines(each, before, after, read) for each in found] if with_text else found
    if left.snapshot or right.snapshot:
        return []
    return compare_changes(left.diff, right.diff, with_text=with_text)


def compare_manifests(left: list[FileEntry], right: list[FileEntry]) -> list[Difference]:
    """Files that were added, removed or changed, by path."""
    before, after = ({entry.path: _told(entry) for entry in side} for side in (left, right))
    return [
        Difference(SECTION, path, before.get(path), after.get(path))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def compare_changes(left: str, right: str, *, with_text: bool = False) -> list[Difference]:
    """Files whose uncommitted changes differ, by path."""
    before, after = changes_by_file(left), changes_by_file(right)
    return [
        Difference(
            SECTION,
            path,
            summary(before[path]) if path in before else None,
            summary(after[path]) if path in after else None,
            lines_of(path, before.get(path, ""), after.get(path, "")) if with_text else "",
        )
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def changes_by_file(diff: str) -> dict[str, str]:
    """The parts of a diff by the file that each is about."""
    heads = list(_HEAD.finditer(diff))
    ends = [*(head.start() for head in heads[1:]), len(diff)]
    parts = zip(heads, ends, strict=False)  # without a head there is an end, and no part
    return {head["right"]: diff[head.start() : end] for head, end in parts}


def lines_of(path: str, left: str, right: str) -> str:
    """How two texts differ, as ``diff -u`` prints it."""
    lines = difflib.unified_diff(
        left.splitlines(keepends=True), right.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _told(entry: FileEntry) -> str:
    if entry.link:
        return f"link to {entry.link}"
    kind = ", executable" if entry.executable else ""
    return f"{entry.n_bytes:,} bytes, sha256 {entry.sha256[:12]}{kind}"


def _with_lines(
    found: Difference, left: list[FileEntry], right: list[FileEntry], read: Read
) -> Difference:
    texts: list[str] = []
    for side in (left, right):
        entry = next((each for each in side if each.path == found.name), None)
        text = "" if entry is None else _text(entry, read)
        if text is None:
            return found
        texts.append(text)
    lines = lines_of(found.name, *texts)
    return Difference(found.section, found.name, found.left, found.right, lines)


def _text(entry: FileEntry, read: Read) -> str | None:
    """What a file says; None where it is no text, or too long to be compared."""
    if entry.link:
        return f"{entry.link}\n"
    if entry.n_bytes > TEXT_LIMIT_BYTES:
        return None
    try:
        text = read(entry.sha256).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
