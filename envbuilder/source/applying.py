"""Apply a task's uncommitted changes to its checkout: exactly, else merged, else not at all."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from dray.envbuilder.failures import source_failed
from dray.envbuilder.git.program import Git
from dray.envbuilder.source.patch import Patch, failures, read_patch, with_crlf
from dray.envbuilder.tools.log import LogWriter, NoLog, say
from dray.envbuilder.tools.process import Finished

_SUBMODULE = "\n+Subproject commit "
#: How git tells which files it could not merge.
_CONFLICT = re.compile(r"^Applied patch to '(.+)' with conflicts\.$", re.MULTILINE)


async def apply_changes(diff: str, base: str, target: Path, log: LogWriter) -> None:
    """Apply ``diff`` to the work tree ``target``.

    Where a change does not fit as it is, because a branch went on since, it is merged with what
    the files are now; each change must find its place.

    Args:
        base: what the work tree is, for a message.

    Raises:
        PreparationFailed: a change conflicts; names its file and hunk. The work tree is then to
            be thrown away.
    """
    patch = read_patch(diff)
    path = target / ".git" / "dray.patch"
    finished = await _try(patch, path, target)
    if finished.code == 0:
        return
    crlf = await asyncio.to_thread(_windows_files, patch, target)
    if crlf:
        ended = with_crlf(patch, crlf)
        if (await _try(ended, path, target)).code == 0:
            say(log, f"the changes of {_listed(crlf)} have lost their Windows line ends; put back")
            return
    merged = await _try(patch, path, target, "--3way")
    if merged.code != 0:
        raise _conflict(patch, finished, merged, base)
    say(log, f"the changes were not made on {base}; git merged them: see `git diff HEAD` there")


async def _try(patch: Patch, path: Path, target: Path, *options: str) -> Finished:
    """Git's attempt; unless it merges, it changes nothing when it fails."""
    data = patch.text.encode("utf-8", "surrogateescape")
    await asyncio.to_thread(path.write_bytes, data)
    context = () if patch.has_context else ("--unidiff-zero",)
    # Which commit of a submodule is wanted is in the index and nowhere else.
    index = ("--index",) if _SUBMODULE in patch.text else ()
    finished = await Git(target, NoLog()).run(
        *("apply", "--whitespace=nowarn", f"-p{patch.strip}", *context, *index, *options),
        path.relative_to(target),
    )
    await asyncio.to_thread(path.unlink)
    return finished


def _windows_files(patch: Patch, target: Path) -> set[str]:
    """Changed files whose lines end with CR LF, when the diff has no such line."""
    if "\r" in patch.text:
        return set()
    found: set[str] = set()
    for file in patch.files:
        path = target / file.path
        if path.is_file() and not path.is_symlink() and b"\r\n" in path.read_bytes():
            found.add(file.path)
    return found


def _conflict(patch: Patch, finished: Finished, merged: Finished, base: str) -> Exception:
    conflicts = set(_CONFLICT.findall(merged.tail))
    unfit = failures(patch, finished.tail)
    files = [path for path in unfit if path in conflicts] or list(unfit)
    phrases = [unfit[path] for path in files]
    why = "neither as they are nor merged with what changed there since"
    if "lacks the necessary blob" in merged.tail:
        why = "and cannot be merged, for the commit they were made on was never pushed"
    if "without full index line" in finished.tail:
        why = "for the diff leaves out what is binary; make it with `git diff --binary HEAD`"
    return source_failed(
        f"the uncommitted changes of {', '.join(phrases) or 'the task'} do not fit {base}, {why}; "
        "edit execution.diff or the commit",
        f"{merged.tail}\n{finished.tail}",
        field="execution.diff",
        files=files,
    )


def _listed(paths: set[str]) -> str:
    return ", ".join(sorted(paths))
