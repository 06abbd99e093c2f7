"""Read a diff as users have it: its paths, its hunks, and what was lost of it on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_HEADER = re.compile(
    r"^diff --git (?P<old>\"(?:[^\"\\]|\\.)*\"|.+) (?P<new>\"(?:[^\"\\]|\\.)*\"|.+)$"
)
#: Header of a diff made with ``diff.noprefix``.
_UNPREFIXED = re.compile(r"^diff --git (?P<path>.+) (?P=path)$")
_RENAME = re.compile(r"^(?:rename|copy) from (?P<path>.+)$")
_HUNK = re.compile(r"^@@ -(?P<old>\d+)(?:,(?P<n_old>\d+))? \+(?P<new>\d+)(?:,(?P<n_new>\d+))? @@")
_DIRTY = re.compile(r"^([-+]Subproject commit [0-9a-f]+)-dirty$")
_NEW_NAME = re.compile(r"^\+\+\+ (?P<path>[^\t\n]+)")
_OLD_NAME = re.compile(r"^--- (?P<path>[^\t\n]+)")
#: How git names the file that a patch does not fit.
_FAILED = re.compile(
    r"^error: (?:patch failed: (?P<hunk>.+):(?P<line>\d+)"
    r"|cannot apply binary patch to '(?P<binary>.+)' .*"
    r"|(?P<file>.+): (?!patch does not apply)[^:]+)$",
    re.MULTILINE,
)


@dataclass
class FilePatch:
    """What a diff says of one file.

    Attributes:
        path: as its new name is, without prefix.
        hunks: first line in the old file, as ``@@ -12,5 +12,6 @@`` says it, and that text.
    """

    path: str
    hunks: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])


@dataclass(frozen=True)
class Patch:
    """A diff that git can apply.

    Attributes:
        text: as git wants it.
        strip: how many folders its paths begin with that are not the repository's.
        has_context: whether its changes come with unchanged lines around them.
        files: what it says of each file, in order.
    """

    text: str
    strip: int
    has_context: bool
    files: tuple[FilePatch, ...]


def read_patch(diff: str) -> Patch:
    """The patch that ``diff`` was, made whole where an editor or a text field cut it.

    Line ends of Windows on every line, headers included, are an editor's; a blank last line of
    context that was cut off is put back, and so is the last line's end.
    """
    text = diff if diff.endswith("\n") else f"{diff}\n"
    lines = text.split("\n")[:-1]
    if lines and all(line.endswith("\r") for line in lines):
        lines = [line[:-1] for line in lines]
    # Changes within a submodule are no part of a diff; that there were some says its suffix.
    lines = [_DIRTY.sub(r"\1", line) for line in _made_whole(lines)]
    strip = 0 if _is_unprefixed(lines) else 1
    files = _files(lines, strip)
    return Patch("\n".join(lines) + "\n", strip, _has_context(lines), tuple(files))


def with_crlf(patch: Patch, paths: set[str]) -> Patch:
    """``patch`` whose lines of ``paths`` end as Windows ends them, which they did once."""
    lines: list[str] = []
    is_inside = False
    for line, path, in_hunk in _walk(patch.text.split("\n")[:-1], patch.strip):
        is_inside = in_hunk and path in paths and not line.startswith(("@@", "\\"))
        lines.append(f"{line}\r" if is_inside and not line.endswith("\r") else line)
    return Patch("\n".join(lines) + "\n", patch.strip, patch.has_context, patch.files)


def failures(patch: Patch, said: str) -> dict[str, str]:
    """Files that git ``said`` the patch does not fit, sorted, and a phrase with file and hunk."""
    by_path = {file.path: file for file in patch.files}
    phrases: dict[str, str] = {}
    for match in _FAILED.finditer(said):
        path = match["hunk"] or match["binary"] or match["file"]
        hunk = _hunk_at(by_path.get(path), int(match["line"])) if match["line"] else ""
        if hunk or path not in phrases:
            phrases[path] = f"{path}{hunk}"
    return dict(sorted(phrases.items()))


def _hunk_at(file: FilePatch | None, line: int) -> str:
    if file is None:
        return f" at line {line}"
    for number, (start, header) in enumerate(file.hunks, 1):
        if start == line:
            return f" (hunk {number} of {len(file.hunks)}: {header})"
    return f" at line {line}"


def _made_whole(lines: list[str]) -> list[str]:
    """``lines`` with the blank lines of context that the end of the last hunk lacks."""
    starts = [n for n, line in enumerate(lines) if _HUNK.match(line)]
    if not starts:
        return lines
    header = _HUNK.match(lines[starts[-1]])
    assert header is not None  # noqa: S101 - it was found by it
    n_old, n_new = int(header["n_old"] or 1), int(header["n_new"] or 1)
    for line in lines[starts[-1] + 1 :]:
        n_old -= line[:1] in (" ", "-", "")
        n_new -= line[:1] in (" ", "+", "")
    return [*lines, *([" "] * n_old)] if n_old == n_new and n_old > 0 else lines


def _is_unprefixed(lines: list[str]) -> bool:
    """Whether paths are whole, as ``diff.noprefix`` prints them."""
    renamed: str | None = None
    for line in lines:
        if line.startswith("diff --git "):
            if _UNPREFIXED.match(line):
                return True
            header = _HEADER.match(line)
            renamed = header["old"] if header else None
        elif renamed is not None and (found := _RENAME.match(line)):
            if f"diff --git {found['path']} " == f"diff --git {renamed} ":
                return True
            renamed = None
    return False


def _has_context(lines: list[str]) -> bool:
    """False when no hunk but those of whole files has an unchanged line."""
    is_bare = False
    for line in lines:
        if found := _HUNK.match(line):
            is_bare = is_bare or "0" not in (found["old"], found["new"])
        elif line.startswith(" "):
            return True
    return not is_bare


def _files(lines: list[str], strip: int) -> list[FilePatch]:
    files: dict[str, FilePatch] = {}
    for line, path, in_hunk in _walk(lines, strip):
        if path:
            file = files.setdefault(path, FilePatch(path))
            if in_hunk and (found := _HUNK.match(line)):
                file.hunks.append((int(found["old"]), found[0]))
    return list(files.values())


def _walk(lines: list[str], strip: int) -> list[tuple[str, str, bool]]:
    """Each line, the path of the file it is about, and whether it belongs to a hunk."""
    walked: list[tuple[str, str, bool]] = []
    path, n_old, n_new = "", 0, 0
    for line in lines:
        in_hunk = n_old > 0 or n_new > 0 or (line.startswith("\\") and bool(path))
        if in_hunk:
            n_old -= line[:1] in (" ", "-", "")
            n_new -= line[:1] in (" ", "+", "")
        elif found := _HUNK.match(line):
            in_hunk = True
            n_old, n_new = int(found["n_old"] or 1), int(found["n_new"] or 1)
        elif found := _OLD_NAME.match(line) or _NEW_NAME.match(line):
            name = _plain(found["path"], strip)
            path = path if name == "/dev/null" else name
        elif line.startswith("diff --git "):
            path = ""
        walked.append((line, path, in_hunk))
    return walked


def _plain(path: str, strip: int) -> str:
    if path == "/dev/null":
        return path
    path = path.strip().strip('"')
    return path.partition("/")[2] if strip and "/" in path else path
