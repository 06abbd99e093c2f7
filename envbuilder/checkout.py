"""Code from git: a mirror per repository on the node, an exact commit, the uncommitted diff."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable
from pathlib import Path

from dray.envbuilder.failures import redact, source_failed, without_credentials
from dray.envbuilder.git import Git, commit_in
from dray.envbuilder.locks import exclusive
from dray.envbuilder.log import LogWriter, say
from dray.envbuilder.process import Finished, finish_in_thread
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths

#: Where the mirror keeps the remote's own HEAD.
_REMOTE_HEAD = "refs/dray/head"
_ALL_REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")

_HASH = re.compile(r"[0-9a-f]{7,64}")
#: How git names the file that a patch does not fit.
_FAILED_FILE = re.compile(
    r"^error: (?:patch failed: (.+):\d+|cannot apply binary patch to '(.+)' .*|(.+): [^:]+)$",
    re.MULTILINE,
)
#: Header of a diff made with ``diff.noprefix``.
_UNPREFIXED = re.compile(r"^diff --git (?P<path>.+) (?P=path)$", re.MULTILINE)


async def check_out(execution: Execution, target: Path, node: NodePaths, log: LogWriter) -> str:
    """Lay the commit that ``execution`` names out in ``target``, with its diff applied.

    Returns:
        The full id of the commit, which for a branch is the one it stands on now.

    Raises:
        PreparationFailed: of kind ``source_failed``.
    """
    for name in ("repository", "commit", "branch"):
        if str(getattr(execution, name)).startswith("-"):
            raise source_failed(
                f"execution.{name} begins with a dash, which git would take for an option",
                field=f"execution.{name}",
            )
    mirror = _Mirror(execution.repository, node, log)
    commit = await mirror.commit_of(execution)
    await _make_work_tree(execution.repository, commit, mirror.folder, target, log)
    if execution.diff.strip():
        await _apply(execution.diff, f"commit {commit[:12]}", target, log)
    return commit


class _Mirror:
    """A bare copy of a repository, shared by the agents of a node; it only ever grows."""

    def __init__(self, url: str, node: NodePaths, log: LogWriter) -> None:
        name = hashlib.sha256(url.encode()).hexdigest()[:32]
        self.url = url
        self.folder = node.mirrors / f"{name}.git"
        self._lock_path = node.locks / f"mirror-{name}.lock"
        self._log = log
        self._git = Git(self.folder, log, bare=True)

    async def commit_of(self, execution: Execution) -> str:
        """The full id of the commit to run, fetched when it is not here yet.

        What has a hash is looked for here first; a name may have moved and is always asked for.
        """
        name = execution.commit or execution.branch
        if _HASH.fullmatch(name):
            found = await self._resolve(name) or await self._fetch_commit(name)
        elif name:
            await self._fetch(*_ALL_REFS)
            found = await self._resolve(f"refs/heads/{name}")
            found = found or await self._resolve(f"refs/tags/{name}")
        else:
            await self._fetch(f"+HEAD:{_REMOTE_HEAD}")
            found = await self._resolve(_REMOTE_HEAD)
        if not found:
            noun = "commit" if execution.commit else "branch"
            raise source_failed(
                f"{noun} {name} is not in {self.url}; push it, or run the task once from your "
                "machine so that it carries a snapshot",
                field=f"execution.{noun}",
                value=name,
            )
        return found

    async def _resolve(self, name: str) -> str:
        return await asyncio.to_thread(commit_in, self.folder, name)

    async def _fetch_commit(self, commit: str) -> str:
        """Everything, and where no branch leads to the commit (a pull request's), it alone."""
        await self._fetch(*_ALL_REFS)
        found = await self._resolve(commit)
        if not found:
            await self._run_fetch(f"+{commit}:refs/dray/{commit}")  # few servers allow it
            found = await self._resolve(commit)
        return found

    async def _fetch(self, *refs: str) -> None:
        finished = await self._run_fetch(*refs)
        if finished.code != 0:
            raise source_failed(
                f"{self.url} could not be fetched; see whether this node reaches it and has "
                "credentials that may read it",
                finished.tail,
                field="execution.repository",
            )

    async def _run_fetch(self, *refs: str) -> Finished:
        def tell() -> None:
            say(self._log, "another task is fetching this repository; waiting for it")

        async with exclusive(self._lock_path, tell):
            await finish_in_thread(asyncio.to_thread(self._remove_stale_locks))
            made = await self._git.run("init", "--quiet", "--bare", "--template=")
            if made.code != 0:
                return made
            say(self._log, f"fetching {redact(self.url)}")
            return await self._git.run(
                *("fetch", "--no-tags", "--no-write-fetch-head", "--prune"),
                *("--", self.url, *refs),
            )

    def _remove_stale_locks(self) -> None:
        """Remove git's own lock files: whoever made them is dead, for our lock was free."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for found in (*self.folder.glob("*.lock"), *self.folder.glob("refs/**/*.lock")):
            found.unlink(missing_ok=True)


async def _make_work_tree(
    url: str, commit: str, mirror: Path, target: Path, log: LogWriter
) -> None:
    """A repository of its own that borrows the mirror's objects: quick, whatever its size."""
    git = Git(target, log)
    await asyncio.to_thread(target.mkdir, parents=True)
    await _must(git.run("init", "--quiet", "--template="), "an empty repository could not be made")
    borrowed = target / ".git" / "objects" / "info" / "alternates"
    await asyncio.to_thread(borrowed.write_text, f"{(mirror / 'objects').absolute()}\n", "utf-8")
    await _must(git.run("remote", "add", "origin", without_credentials(url)), "origin is not set")
    await _must(
        git.run("checkout", "--quiet", "--force", "--detach", commit),
        f"commit {commit[:12]} of {url} could not be checked out",
    )
    if await asyncio.to_thread((target / ".gitmodules").is_file):
        # git refuses submodules on the local disk unless told; who may read the repository from
        # there may read its neighbours, too.
        local = ("protocol.file.allow=always",) if _is_local(url) else ()
        await _must(
            git.run("submodule", "--quiet", "update", "--init", "--recursive", settings=local),
            f"the submodules of {url} could not be fetched",
        )


async def _must(running: Awaitable[Finished], what: str) -> None:
    finished = await running
    if finished.code != 0:
        raise source_failed(what, finished.tail, field="execution.repository")


async def lay_alone(execution: Execution, target: Path, log: LogWriter) -> None:
    """Lay out code that is in no repository: the diff adds all of it, or is the script's text.

    Raises:
        PreparationFailed: the diff changes files that are not there.
    """
    await asyncio.to_thread(target.mkdir, parents=True)
    if execution.diff.lstrip().startswith("diff --git "):
        git = Git(target, log)
        made = git.run("init", "--quiet", "--template=")
        await _must(made, "an empty repository could not be made")
        await _apply(execution.diff, "an empty folder (the task names no repository)", target, log)
        return
    await asyncio.to_thread(_write_script, execution, target)


def _write_script(execution: Execution, target: Path) -> None:
    root = target.resolve()
    script = (root / execution.working_dir / execution.entry_point).resolve()
    if not execution.entry_point.strip() or not script.is_relative_to(root):
        raise source_failed(
            f"execution.entry_point {execution.entry_point!r} names no script to write the task's "
            "code to",
            field="execution.entry_point",
        )
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(execution.diff, "utf-8")


async def _apply(diff: str, base: str, target: Path, log: LogWriter) -> None:
    """Apply the uncommitted changes, also those that were printed without ``a/`` and ``b/``."""
    patch = target / ".git" / "dray.patch"
    ended = diff if diff.endswith("\n") else f"{diff}\n"
    await asyncio.to_thread(patch.write_bytes, ended.encode("utf-8", "surrogateescape"))
    strip = "-p0" if _UNPREFIXED.search(diff) else "-p1"
    finished = await Git(target, log).run("apply", "--whitespace=nowarn", strip, patch.absolute())
    if finished.code != 0:
        files = sorted({a or b or c for a, b, c in _FAILED_FILE.findall(finished.tail)})
        raise source_failed(
            f"the uncommitted changes of {', '.join(files) or 'the task'} do not fit "
            f"{base}; edit execution.diff or the commit",
            finished.tail,
            field="execution.diff",
            files=files,
        )
    await asyncio.to_thread(patch.unlink)


def _is_local(url: str) -> bool:
    return url.startswith(("/", ".", "file://"))
