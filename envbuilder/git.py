"""Git for a checkout: never asks a person, keeps no credentials, stops when cancelled.

GitPython reads what a repository holds. What changes one is run as every installer is, because
a fetch must stream into the task's log and die with its process group.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.failures import source_failed
from dray.envbuilder.log import LogWriter
from dray.envbuilder.process import Finished, run_tool
from dray.envbuilder.surroundings import agent_variables, git_variables

#: Settings of the node that would change what is laid out, or leave processes behind.
_SETTINGS = (
    "core.autocrlf=false",
    "core.hooksPath=/dev/null",
    "advice.detachedHead=false",
    "gc.auto=0",
    "maintenance.auto=false",
    # A server that sends next to nothing for a minute is given up.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)


@dataclass(frozen=True)
class Git:
    """git in one folder, its output in the log.

    Attributes:
        bare: the folder itself is the repository; git looks for no other around it.
    """

    folder: Path
    log: LogWriter
    bare: bool = False

    async def run(self, *args: str | Path, settings: tuple[str, ...] = ()) -> Finished:
        """What came of ``git args``; its exit code is the caller's to judge."""
        options = [word for setting in (*_SETTINGS, *settings) for word in ("-c", setting)]
        return await run_tool(
            [_program(), *self._where(), *options, *args],
            env=git_variables(agent_variables()),
            cwd=self.folder,
            log=self.log,
        )

    def _where(self) -> list[str]:
        return [f"--git-dir={self.folder.absolute()}"] if self.bare else []


def commit_in(folder: Path, name: str) -> str:
    """Full id of the commit that a hash or a ref means in a repository; empty when it has none.

    Reads the disk, so it belongs in a thread.
    """
    from git import BadName, BadObject, InvalidGitRepositoryError, NoSuchPathError, Repo

    try:
        with Repo(folder, expand_vars=False) as repository:
            return repository.commit(name).hexsha
    except (BadName, BadObject, InvalidGitRepositoryError, NoSuchPathError, ValueError):
        return ""


def _program() -> str:
    found = shutil.which("git", path=agent_variables().get("PATH"))
    if found is None:
        raise source_failed("git is not on this node's PATH; install it to run tasks from git")
    return found
