"""What is running: entry point, repository, commit, diff, arguments, packages.

Nothing here stops a user's run: what cannot be captured becomes one warning line.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dray.runtime import aliases
from dray.sdk.capture import checkout, imports, python_path
from dray.sdk.capture import packages as capture_packages
from dray.sdk.capture.code import marked_root, place
from dray.sdk.capture.entry import Entry, Wishes, entry_of_process

__all__ = ["Captured", "Entry", "Wishes", "capture", "entry_of_process"]

#: A larger diff is data that was committed once; a snapshot carries it, a diff cannot.
DIFF_LIMIT_BYTES = 4 << 20
#: Member of the execution → variable that says it, after ``DRAY_``.
_VARIABLES = {
    "repository": "VCS_REPO_URL",
    "commit": "VCS_COMMIT_ID",
    "branch": "VCS_BRANCH",
    "working_dir": "VCS_WORK_DIR",
    "entry_point": "VCS_ENTRY_POINT",
}


@dataclass
class Captured:
    """What was found.

    Attributes:
        execution: members of ``runtime.execution.Execution``.
        root: of the code: the top of the repository, else the folder of the script.
        files: the script and the local modules it imports.
        in_git: whether git lists the files of ``root``.
        is_whole: outside git: all of ``root`` is the code.
        is_alone: the files are, and no others.
        project: a name for the project, from the repository or folder.
        warnings: what could not be captured, one line each.
    """

    execution: dict[str, Any]
    root: Path | None = None
    files: list[Path] = field(default_factory=list[Path])
    in_git: bool = False
    is_whole: bool = False
    is_alone: bool = False
    project: str = ""
    warnings: list[str] = field(default_factory=list[str])


def capture(
    entry: Entry, cwd: Path, wishes: Wishes | None = None, path: Iterable[str] | None = None
) -> Captured:
    """Everything needed to run ``entry`` again, as far as it can be found.

    Args:
        path: where the script imports from; ``sys.path`` unless said.
    """
    asked = wishes or Wishes()
    captured = Captured(
        {
            "arguments": list(entry.arguments),
            "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        }
    )
    if entry.script is None:
        captured.warnings.append("no script is running, so no code was captured")
        return captured
    work = None if asked.standalone else _checkout(entry, cwd, captured)
    script = _without_links(entry.script)
    captured.root = _root(entry, script, work, asked, captured)
    captured.project = _project(None if asked.folder else work, captured.root)
    captured.execution.update(place(entry, cwd, captured.root))
    search = imports.search_path(captured.root, python_path.importable() if path is None else path)
    found = imports.follow(script, captured.root, search)
    captured.files = found.files
    given = cwd if entry.module else script.parent
    captured.execution["python_path"] = python_path.folders(
        captured.root, search, found.files[1:], given
    )
    if work is not None and not asked.folder:
        captured.execution.update(_state(work, captured))
    elif not asked.folder:
        captured.execution["diff"] = _as_new_files(captured)
    captured.execution["packages"] = _packages(found, asked, captured)
    is_asked_for = asked.freeze or asked.verbatim is not None
    # What was only found gives way to a lock of the code; what somebody listed does not.
    captured.execution["packages_from"] = "task" if is_asked_for else ""
    captured.execution.update(_said_by_environment(captured))
    return captured


def _root(
    entry: Entry, script: Path, work: checkout.Checkout | None, asked: Wishes, captured: Captured
) -> Path:
    """The top of the code, and how its files are to be found."""
    captured.in_git, captured.is_alone = work is not None, asked.standalone
    marked = None if work is not None or asked.standalone else marked_root(script.parent)
    captured.is_whole = work is None and (bool(asked.folder) or marked is not None)
    if asked.folder:
        return Path(asked.folder)
    return work.root if work else marked or _imported_from(entry, script)


def _imported_from(entry: Entry, script: Path) -> Path:
    """The folder of a script; of a module the one that its name begins in."""
    folders = entry.module.split(".") if entry.module else []
    if script.stem != "__main__":
        folders = folders[:-1]
    if not folders or script.parent.parts[-len(folders) :] != tuple(folders):
        return script.parent
    return script.parents[len(folders)]


def _said_by_environment(captured: Captured) -> dict[str, str]:
    """What variables say of the code in place of git: a build system may know it better."""
    said = {name: aliases.variable(variable) for name, variable in _VARIABLES.items()}
    found = {name: value for name, value in said.items() if value is not None}
    diff = aliases.variable("VCS_DIFF")
    if diff is not None:
        try:
            found["diff"] = base64.b64decode(diff, validate=True).decode("utf-8")
        except ValueError as exc:
            captured.warnings.append(f"DRAY_VCS_DIFF is no text in base64: {exc}")
    return found


def _checkout(entry: Entry, cwd: Path, captured: Captured) -> checkout.Checkout | None:
    assert entry.script is not None  # noqa: S101  (checked by the caller)
    folder = entry.script.parent
    if entry.module and imports.INSTALLED.intersection(folder.parts):
        folder = cwd
    try:
        return checkout.open_at(folder)
    except checkout.GitFailed as exc:
        captured.warnings.append(f"repository not captured: {exc}")
        return None


def _without_links(script: Path) -> Path:
    """``script`` with its folder resolved, as git names it, but not the file itself."""
    return script.parent.resolve() / script.name


def _project(work: checkout.Checkout | None, root: Path) -> str:
    if work is not None and work.url:
        name = work.url.rstrip("/").replace(":", "/").rpartition("/")[2].removesuffix(".git")
        if name:
            return name
    return root.name or "Untitled"


def _state(work: checkout.Checkout, captured: Captured) -> dict[str, str]:
    state = {"repository": work.url, "commit": work.commit, "branch": work.branch}
    if not work.commit:
        captured.warnings.append("the repository has no commit yet; only a snapshot can run it")
    try:
        text = checkout.diff(work)
    except checkout.GitFailed as exc:
        captured.warnings.append(f"uncommitted changes not captured: {exc}")
        return state
    if len(text) > DIFF_LIMIT_BYTES:
        captured.warnings.append(
            f"uncommitted changes not captured: {len(text) >> 20} MiB is over the limit of "
            f"{DIFF_LIMIT_BYTES >> 20} MiB; commit them, or let execute_remotely send a snapshot"
        )
        return state
    return {**state, "diff": text}


def _as_new_files(captured: Captured) -> str:
    """Outside git: the script and its modules, as the diff that would add them."""
    assert captured.root is not None  # noqa: S101  (set by the caller)
    parts: list[str] = []
    for file in captured.files:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            captured.warnings.append(f"{file} not captured: {exc}")
            continue
        parts.append(addition(file.resolve().relative_to(captured.root).as_posix(), text))
    joined = "".join(parts)
    if len(joined) > DIFF_LIMIT_BYTES:
        captured.warnings.append(f"code not captured: over {DIFF_LIMIT_BYTES >> 20} MiB")
        return ""
    return joined


def addition(name: str, text: str) -> str:
    """The diff that adds a file ``name`` that holds ``text``."""
    head = f"diff --git a/{name} b/{name}\nnew file mode 100644\n"
    lines = text.split("\n")
    ends_clean = lines[-1] == ""
    if ends_clean:
        lines.pop()
    if not lines:
        return head
    body = "".join(f"+{line}\n" for line in lines)
    if not ends_clean:
        body += "\\ No newline at end of file\n"
    count = "+1" if len(lines) == 1 else f"+1,{len(lines)}"
    return f"{head}--- /dev/null\n+++ b/{name}\n@@ -0,0 {count} @@\n{body}"


def _packages(found: imports.Found, wishes: Wishes, captured: Captured) -> list[str]:
    if wishes.verbatim is not None:
        return wishes.verbatim
    try:
        if wishes.freeze:
            detected = capture_packages.frozen(captured.root)
        else:
            needed = {*found.outside, *capture_packages.needed_by_storage(found.files)}
            detected = capture_packages.requirements(needed, captured.root)
        captured.warnings += detected.warnings
        lines = [*_unknown(detected.unknown, found, captured), *detected]
    except Exception as exc:  # damaged metadata of any package ends here
        captured.warnings.append(f"packages not captured: {type(exc).__name__}: {exc}")
        lines = []
    return capture_packages.merge(lines, wishes.forced)


def _unknown(modules: Iterable[str], found: imports.Found, captured: Captured) -> Iterable[str]:
    """A comment for each module that is imported and was installed by nobody, for its reader."""
    tops: dict[str, Path] = {}
    for module in sorted(set(modules) - found.optional):
        if module in found.outside:
            tops.setdefault(module.partition(".")[0], found.outside[module])
    assert captured.root is not None  # noqa: S101  (set by the caller)
    for top, file in tops.items():
        name = os.path.relpath(file, captured.root)
        yield f"# {top}: imported by {Path(name).as_posix()}, and no installed package provides it"
