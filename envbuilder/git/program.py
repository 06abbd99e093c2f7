"""Git for a checkout: never asks a person, keeps no credentials, stops when cancelled.

GitPython reads what a repository holds. What changes one is run as every installer is, because
a fetch must stream into the task's log and die with its process group.
"""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from dray.envbuilder.failures import source_failed
from dray.envbuilder.git.credentials import Access
from dray.envbuilder.tools.log import LogWriter, NoLog
from dray.envbuilder.tools.process import Finished, run_tool
from dray.envbuilder.tools.surroundings import agent_variables, git_variables

#: Settings of the node that would change what is laid out, or leave processes behind.
_SETTINGS = (
    "core.autocrlf=false",
    "core.hooksPath=/dev/null",
    "advice.detachedHead=false",
    "gc.auto=0",
    "maintenance.auto=false",
    # Every fetch is one pack: its files are few, however many objects came.
    "fetch.unpackLimit=1",
    "transfer.unpackLimit=1",
    # A server that sends next to nothing for a minute is given up.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "lfs.dialtimeout=20",
)
#: A state of git's or git LFS's progress, such as ``Receiving objects:  42% (21/50), 1.2 MiB``.
_PROGRESS = re.compile(r"(remote: )?[A-Z][A-Za-z ]+: +\d+%? ")
#: Between two lines of progress in the log.
_PROGRESS_PAUSE_S = 3.0


@dataclass(frozen=True)
class Git:
    """git in one folder, its output in the log.

    Attributes:
        bare: the folder itself is the repository; git looks for no other around it.
        access: the remote that it may speak to, and as whom; None: to none.
    """

    folder: Path
    log: LogWriter
    bare: bool = False
    access: Access | None = None

    async def run(
        self, *args: str | Path, settings: tuple[str, ...] = (), keep_stdout: bool = False
    ) -> Finished:
        """What came of ``git args``; its exit code is the caller's to judge."""
        options = [word for setting in (*_SETTINGS, *settings) for word in ("-c", setting)]
        variables = git_variables(agent_variables())
        if self.access is not None:
            variables.update(self.access.variables)
        finished = await run_tool(
            [_program(), *self._where(), *options, *args],
            env=variables,
            cwd=self.folder,
            log=_CalmLog(self.log),
            keep_stdout=keep_stdout,
            redraws=True,
        )
        lines = finished.tail.splitlines(keepends=True)
        tail = "".join(line for line in lines if not _PROGRESS.match(line))
        return replace(finished, tail=tail)

    async def ask(self, *args: str | Path, settings: tuple[str, ...] = ()) -> str | None:
        """What ``git args`` prints; None when it fails, which the log does not show."""
        quiet = replace(self, log=NoLog())
        finished = await quiet.run(*args, settings=settings, keep_stdout=True)
        return finished.stdout if finished.code == 0 else None

    def _where(self) -> list[str]:
        return [f"--git-dir={self.folder.absolute()}"] if self.bare else []


class _CalmLog:
    """Leaves out most of what a progress bar says."""

    def __init__(self, log: LogWriter) -> None:
        self._log = log
        self._told_at = time.monotonic()

    def write(self, data: bytes, /) -> object:
        """See :class:`dray.envbuilder.tools.log.LogWriter`."""
        if _PROGRESS.match(data.decode("utf-8", "replace")):
            now = time.monotonic()
            if now - self._told_at < _PROGRESS_PAUSE_S:
                return None
            self._told_at = now
        return self._log.write(data) if data.strip() else None


def commit_in(folder: Path, name: str) -> str:
    """Full id of the commit that a hash or a ref means in a repository; empty when it has none.

    Reads the disk, so it belongs in a thread.
    """
    from git import BadName, InvalidGitRepositoryError, NoSuchPathError, Repo
    from git.exc import GitCommandError, ODBError

    absent = (BadName, ODBError, InvalidGitRepositoryError, NoSuchPathError, GitCommandError)
    try:
        with Repo(folder, expand_vars=False) as repository:
            # Variables of the agent must not lead it to another repository.
            repository.git.update_environment(GIT_DIR=str(folder), GIT_WORK_TREE=str(folder))
            return repository.commit(name).hexsha
    except (*absent, ValueError, OSError):  # also of a repository that is broken
        return ""


def is_installed(program: str) -> bool:
    """Whether a program is on the agent's ``PATH``."""
    return shutil.which(program, path=agent_variables().get("PATH")) is not None


def _program() -> str:
    found = shutil.which("git", path=agent_variables().get("PATH"))
    if found is None:
        raise source_failed("git is not on this node's PATH; install it to run tasks from git")
    return found
