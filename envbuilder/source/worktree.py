"""A commit of a mirror in a folder of its own, which needs the mirror no more."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

from dray.envbuilder.failures import source_failed
from dray.envbuilder.git.program import Git
from dray.envbuilder.tools.log import LogWriter
from dray.envbuilder.tools.process import Finished, finish_in_thread

#: Files of LFS are brought afterwards, so that the node's own settings for it do not count.
NO_FILTERS = ("filter.lfs.smudge=", "filter.lfs.process=", "filter.lfs.required=false")
#: A repack of the mirror may take files away while they are linked; it does so rarely.
_TRIES = 5
#: What of a mirror's objects belongs to a fetch that goes on.
_UNFINISHED = ("tmp_", ".tmp-")


async def lay_out_commit(mirror: Path, url: str, commit: str, target: Path, log: LogWriter) -> None:
    """Lay ``commit`` out in ``target``: a repository whose objects are hard links to the mirror's.

    That is quick whatever its size, and it goes on working when the mirror is removed, moved to
    another machine or not seen from within a container.

    Raises:
        PreparationFailed: git cannot, with its words as evidence.
    """
    git = Git(target, log)
    await asyncio.to_thread(target.mkdir, parents=True, exist_ok=True)
    await must(git.run("init", "--quiet", "--template="), "an empty repository could not be made")
    try:
        await finish_in_thread(asyncio.to_thread(_link_repository, mirror, target / ".git"))
    except FileNotFoundError as exc:
        message = f"the mirror of {url} on this node went away while it was read"
        raise source_failed(message, f"missing object: {exc}") from exc
    await must(git.run("remote", "add", "origin", url), "origin is not set")
    await must(
        git.run(*("checkout", "--quiet", "--force", "--detach", commit), settings=NO_FILTERS),
        f"commit {commit[:12]} of {url} could not be checked out",
    )


async def must(running: Awaitable[Finished], what: str) -> None:
    """Wait for git.

    Raises:
        PreparationFailed: it failed, so that ``what``.
    """
    finished = await running
    if finished.code != 0:
        raise source_failed(what, finished.tail, field="execution.repository")


def _link_repository(mirror: Path, repository: Path) -> None:
    """Link all objects, and copy what says where a history without its past begins."""
    for tried in range(1, _TRIES + 1):
        try:
            _link_all(mirror / "objects", repository / "objects")
            break
        except FileNotFoundError:
            if tried == _TRIES:
                raise
    with suppress(FileNotFoundError):
        shutil.copyfile(mirror / "shallow", repository / "shallow")


def _link_all(source: Path, target: Path) -> None:
    for place, folders, files in os.walk(source, onerror=_raise):
        folders[:] = [name for name in folders if name != "info"]
        to = target / Path(place).relative_to(source)
        to.mkdir(exist_ok=True)
        # An index comes after its pack, as git itself writes them.
        for name in sorted(files, key=lambda name: name.endswith(".idx")):
            if not name.startswith(_UNFINISHED) and not name.endswith(".keep"):
                _link(os.path.join(place, name), to / name)


def _raise(error: OSError) -> None:
    raise error


def _link(source: str, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        return  # linked by an earlier try
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
