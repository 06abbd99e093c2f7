"""A bare copy of a git repository on a node, shared by its agents: asked, fetched, made again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from dray.envbuilder.cache.progress import Follower, SharedLog
from dray.envbuilder.failures import source_failed
from dray.envbuilder.git.credentials import Access
from dray.envbuilder.git.failures import is_damage, why_unreachable
from dray.envbuilder.git.program import Git, commit_in
from dray.envbuilder.git.revisions import Revision, found_in
from dray.envbuilder.tools.locks import FileLock, pauses, try_lock
from dray.envbuilder.tools.log import LogWriter, say
from dray.envbuilder.tools.process import Finished, finish_in_thread
from dray.envbuilder.tools.surroundings import agent_variables
from dray.runtime.paths import NodePaths

_ALL_REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
#: Each fetch is a pack; looking an object up asks each of them.
_MOST_PACKS = 50
#: Beginning of the name of a mirror that is being removed.
REMOVING = ".removing-"
#: What a mirror is of, and by its time when it was used last.
ABOUT = "dray.json"


class Mirror:
    """One repository's mirror; nothing that it has is ever removed while anybody uses it."""

    def __init__(
        self, access: Access, node: NodePaths, log: LogWriter, *, history: bool, whose: str
    ) -> None:
        url = access.remote.url
        name = mirror_name(url, history=history)
        self.url = url
        self.folder = node.mirrors / f"{name}.git"
        self.access = access
        self._history = history
        self._whose = whose
        self._log = log
        self._lock_path = node.locks / f"mirror-{name}.lock"
        self._use_path = node.locks / f"mirror-{name}.use"
        self._progress_path = node.locks / f"mirror-{name}.log"

    @asynccontextmanager
    async def in_use(self) -> AsyncGenerator[None]:
        """Nobody removes anything of it meanwhile."""
        if self.access.remote.is_ssh:
            self.access = await _with_own_ssh(self.access, self._log)
        lock = await _shared(self._use_path)
        try:
            yield
        finally:
            lock.release()

    async def commit_of(self, revision: Revision) -> str:
        """The full id of the commit to run, fetched when it is not here yet.

        What has a hash is looked for here first; a name may have moved and is always asked for.

        Raises:
            PreparationFailed: the remote cannot be reached, or has no such commit.
        """
        if found := await self._here(revision.hash):
            return found
        ref, commit = "", revision.hash if revision.is_exact else ""
        if not commit:
            ref, commit = await self._ask(revision)
            if not commit and not revision.hash:
                raise self._absent(revision)
            if found := await self._here(commit):
                return found
        async with self.writing():
            if found := await self._here(commit or revision.hash):
                return found  # another task has fetched it meanwhile
            found = await self._fetched(revision, ref, commit)
        if not found:
            raise self._absent(revision)
        return found

    async def make_again(self) -> None:
        """Set a damaged mirror aside and begin a new one; its users keep what they have open."""
        async with self.writing():
            await finish_in_thread(asyncio.to_thread(self._set_aside))

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        """Be the only one that changes it; who waits reads the log of who does not."""
        lock = await self._lock()
        mine = self._log
        try:
            self._log = shared = SharedLog(mine, self._progress_path)
            try:
                yield
            finally:
                self._log = mine
                shared.close()
        finally:
            lock.release()

    @property
    def log(self) -> LogWriter:
        """Where to say what is done to it: while it is written to, others read that, too."""
        return self._log

    @property
    def git(self) -> Git:
        """Git in it, speaking to its remote."""
        return Git(self.folder, self._log, bare=True, access=self.access)

    async def _lock(self) -> FileLock:
        lock = try_lock(self._lock_path, shared=False)
        if lock is not None:
            return lock
        say(self._log, f"another task is fetching {self.url}; waiting for it, which says:")
        follower = Follower(self._progress_path, self._log)
        try:
            for pause in pauses():
                follower.look()
                await asyncio.sleep(pause)
                lock = try_lock(self._lock_path, shared=False)
                if lock is not None:
                    return lock
        finally:
            follower.close()
        raise RuntimeError("pauses() ended")

    async def _here(self, name: str) -> str:
        if not name:
            return ""
        found = await asyncio.to_thread(commit_in, self.folder, name)
        if not found.startswith(name):  # a branch or tag that looks like a hash
            return ""
        await asyncio.to_thread(self._mark_used)
        return found

    async def _ask(self, revision: Revision) -> tuple[str, str]:
        """The ref that the remote has for ``revision`` and its commit now; empty: it has none."""
        patterns = [name for ref in revision.refs for name in (ref, f"{ref}^{{}}")]
        git = Git(Path("/"), self._log, access=self.access)
        told = await git.run("ls-remote", "--", self.url, *patterns, keep_stdout=True)
        self._must_reach(told)
        return found_in(told.stdout, revision.refs)

    async def _fetched(self, revision: Revision, ref: str, commit: str) -> str:
        """Fetch what leads to the commit; a mirror that turns out to be damaged is made again."""
        finished, found = await self._fetch_once(revision, ref, commit)
        known = bool(commit) and not revision.is_exact
        if is_damage(finished.tail) or (known and not found):
            say(self._log, f"the mirror of {self.url} on this node is damaged; making it again")
            await finish_in_thread(asyncio.to_thread(self._set_aside))
            finished, found = await self._fetch_once(revision, ref, commit)
        if not found:
            self._must_reach(finished)
        return found

    async def _fetch_once(self, revision: Revision, ref: str, commit: str) -> tuple[Finished, str]:
        wanted = commit or revision.hash
        alone = f"+{commit}:refs/dray/{commit}"
        if not self._history and commit:
            finished = await self._fetch("--depth=1", alone)
            return finished, await self._here(wanted)
        special = () if not ref or ref.startswith(("refs/heads/", "refs/tags/")) else (ref,)
        named = tuple(f"+{each}:refs/dray/{each.removeprefix('refs/')}" for each in special)
        finished = await self._fetch("--prune", *_ALL_REFS, *named)
        found = await self._here(wanted)
        if finished.code == 0 and not found and commit:
            # No branch or tag leads to it, as to a pull request's that was closed.
            await self._fetch(alone)
            found = await self._here(wanted)
        return finished, found

    async def _fetch(self, *args: str) -> Finished:
        await finish_in_thread(asyncio.to_thread(self._make_ready))
        made = await self.git.run("init", "--quiet", "--bare", "--template=")
        if made.code != 0:
            return made
        say(self._log, f"fetching {self.url} for {self._whose}")
        options = [word for word in args if word.startswith("--")]
        refs = [word for word in args if not word.startswith("--")]
        finished = await self.git.run(
            *("fetch", "--progress", "--no-tags", "--no-write-fetch-head", *options),
            *("--", self.url, *refs),
        )
        if finished.code == 0:
            await self._keep_packs_few()
        return finished

    def _make_ready(self) -> None:
        """Remove git's own lock files: whoever made them is dead, for our lock was free."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for found in (*self.folder.glob("*.lock"), *self.folder.glob("refs/**/*.lock")):
            found.unlink(missing_ok=True)
        for found in self.folder.glob("objects/pack/tmp_*"):
            found.unlink(missing_ok=True)
        self._mark_used()

    def _mark_used(self) -> None:
        about = self.folder / ABOUT
        if about.exists():
            os.utime(about)
        elif self.folder.exists():
            about.write_text(json.dumps({"url": self.url, "history": self._history}), "utf-8")

    async def _keep_packs_few(self) -> None:
        """Join small packs once there are many, unless somebody is reading them."""
        packs = await asyncio.to_thread(lambda: len(list(self.folder.glob("objects/pack/*.pack"))))
        if packs > _MOST_PACKS:
            # Nothing is dropped, also of what no ref leads to any more: who looks up an object in
            # a pack that went away finds it in the new one.
            await self.git.run("repack", "--geometric=2", "-d", "-q")

    def _set_aside(self) -> None:
        going = self.folder.with_name(f"{REMOVING}{self.folder.name}-{os.getpid()}")
        shutil.rmtree(going, ignore_errors=True)
        with suppress(FileNotFoundError):
            self.folder.rename(going)
        shutil.rmtree(going, ignore_errors=True)

    def _must_reach(self, finished: Finished) -> None:
        if finished.code != 0:
            raise source_failed(
                why_unreachable(self.access, finished.tail),
                finished.tail,
                field="execution.repository",
            )

    def _absent(self, revision: Revision) -> Exception:
        return source_failed(
            f"{revision.noun} {revision.name} is not in {self.url}; push it, or run the task once "
            "from your machine so that it carries a snapshot",
            field=f"execution.{revision.noun}",
            value=revision.name,
        )


def mirror_name(url: str, *, history: bool) -> str:
    """What the mirror of ``url`` is called; one without history is another."""
    return hashlib.sha256(f"{url}{'' if history else ' alone'}".encode()).hexdigest()[:32]


async def _shared(path: Path) -> FileLock:
    """The shared lock on ``path``; who removes a mirror holds it for a moment only."""
    for pause in pauses():
        if (lock := try_lock(path, shared=True)) is not None:
            return lock
        await asyncio.sleep(pause)
    raise RuntimeError("pauses() ended")


async def _with_own_ssh(access: Access, log: LogWriter) -> Access:
    """The node's ``core.sshCommand``, which the variable that we set would hide."""
    if "GIT_SSH_COMMAND" in {*agent_variables(), *access.variables}:
        return access
    command = await Git(Path("/"), log).ask("config", "--get", "core.sshCommand")
    if not command or not command.strip():
        return access
    return replace(access, variables={**access.variables, "GIT_SSH_COMMAND": command.strip()})
