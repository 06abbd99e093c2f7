"""Files that git LFS keeps: found by their pointers, fetched once for a node, laid out."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.failures import source_failed
from dray.envbuilder.git.credentials import Access, access_to
from dray.envbuilder.git.failures import why_unreachable
from dray.envbuilder.git.mirror import Mirror
from dray.envbuilder.git.options import GitOptions
from dray.envbuilder.git.program import Git, is_installed
from dray.envbuilder.git.remotes import read_remote
from dray.envbuilder.tools.log import LogWriter, NoLog, say

_POINTER = b"version https://git-lfs.github.com/spec/"
_OBJECT = re.compile(rb"^oid sha256:([0-9a-f]{64})$", re.MULTILINE)
#: Longer files are no pointers, says the specification of LFS.
_LONGEST_POINTER_BYTES = 1024
_MOST_NAMED = 10
_FILTERS = (
    "filter.lfs.clean=git-lfs clean -- %f",
    "filter.lfs.smudge=git-lfs smudge -- %f",
    "filter.lfs.process=git-lfs filter-process",
    "filter.lfs.required=true",
)
_SELECTIVE = r"^lfs\.fetch(include|exclude)$"


@dataclass(frozen=True)
class Pointer:
    """A file of which git itself has the address only: the sha256 of its bytes."""

    path: str
    sha256: str


async def bring_lfs(
    tree: Path, commit: str, mirror: Mirror, options: GitOptions, log: LogWriter
) -> None:
    """Put the files of ``tree`` in the place of their pointers.

    Raises:
        PreparationFailed: git LFS is not on this node, or has not all of them.
    """
    pointers = await _pointers_in(tree)
    if not pointers:
        return
    if not options.lfs:
        say(log, f"pointers of git LFS are left (git_lfs is off): {_named(pointers)}")
        return
    if not is_installed("git-lfs"):
        raise source_failed(
            f"git LFS keeps {len(pointers)} files of this code and is not on this node: "
            f"{_named(pointers)}; install git-lfs on the node, or set git_lfs = false to run with "
            "the pointers",
            field="execution.repository",
        )
    storage = mirror.folder.absolute() / "lfs"
    settings = (*_FILTERS, f"lfs.storage={storage}")
    if await asyncio.to_thread(_missing, pointers, storage):
        async with mirror.writing():
            missing = await asyncio.to_thread(_missing, pointers, storage)
            if missing:  # nobody else has fetched them meanwhile
                await _fetch(tree, commit, missing, mirror, options, settings)
    git = Git(tree, log)
    for setting in _FILTERS:
        name, _, value = setting.partition("=")
        await git.run("config", name, value)
    await git.run("lfs", "checkout", settings=settings)
    await _must_have_all(tree, mirror, git, log)


async def _fetch(
    tree: Path,
    commit: str,
    missing: list[Pointer],
    mirror: Mirror,
    options: GitOptions,
    settings: tuple[str, ...],
) -> None:
    say(mirror.log, f"fetching {len(missing)} files of git LFS of {mirror.url}")
    access = await _access_of(tree, mirror.access, options)
    git = Git(tree, mirror.log, access=access)
    finished = await git.run("lfs", "fetch", "origin", commit, settings=settings)
    if finished.code != 0:
        raise source_failed(
            f"git LFS did not get {_named(missing)}; {why_unreachable(access, finished.tail)}",
            finished.tail,
            field="execution.repository",
        )


async def _access_of(tree: Path, access: Access, options: GitOptions) -> Access:
    """How to reach the LFS server, which a repository may have at another host."""
    said = await Git(tree, NoLog()).ask("config", "--file", ".lfsconfig", "--get", "lfs.url")
    if not said or not said.strip():
        return access
    remote = read_remote(said.strip())
    if remote.host == access.remote.host or not remote.is_web:
        return access
    return await asyncio.to_thread(access_to, remote, options.rules)


async def _must_have_all(tree: Path, mirror: Mirror, git: Git, log: LogWriter) -> None:
    left = await _pointers_in(tree)
    if not left:
        return
    if await git.ask("config", "--file", ".lfsconfig", "--get-regexp", _SELECTIVE):
        say(log, f"pointers of git LFS are left (.lfsconfig leaves them out): {_named(left)}")
        return
    raise source_failed(
        f"the LFS server of {mirror.url} does not have {_named(left)}; push them with "
        "`git lfs push --all origin`, or run the task once from your machine so that it carries a "
        "snapshot",
        field="execution.repository",
    )


async def _pointers_in(tree: Path) -> list[Pointer]:
    listed = await Git(tree, NoLog()).ask("ls-files", "-z", "--", ":(attr:filter=lfs)")
    names = [name for name in (listed or "").split("\0") if name]
    return await asyncio.to_thread(_read_pointers, tree, names) if names else []


def _read_pointers(tree: Path, names: list[str]) -> list[Pointer]:
    found: list[Pointer] = []
    for name in names:
        path = tree / name
        if not path.is_file() or path.is_symlink():
            continue
        with path.open("rb") as file:
            data = file.read(_LONGEST_POINTER_BYTES + 1)
        if data.startswith(_POINTER) and (id_ := _OBJECT.search(data)):
            found.append(Pointer(name, id_[1].decode()))
    return found


def _missing(pointers: list[Pointer], storage: Path) -> list[Pointer]:
    return [p for p in pointers if not _object_file(storage, p.sha256).is_file()]


def _object_file(storage: Path, sha256: str) -> Path:
    return storage / "objects" / sha256[:2] / sha256[2:4] / sha256


def _named(pointers: list[Pointer]) -> str:
    names = ", ".join(pointer.path for pointer in pointers[:_MOST_NAMED])
    more = len(pointers) - _MOST_NAMED
    return f"{names} and {more} more" if more > 0 else names
