"""Where an environment is built and its task runs: this node itself, or a container on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dray.envbuilder.launch.plan import LaunchPlan
from dray.envbuilder.tools.interpreters import Interpreter, find_interpreter
from dray.envbuilder.tools.log import LogWriter
from dray.envbuilder.tools.process import Finished, run_tool


class Place(Protocol):
    """Runs tools, knows its interpreters, and starts a task's process.

    Every path that is given to it means the same file on the node.
    """

    @property
    def mark(self) -> str:
        """What of this place an environment depends on, part of its key; empty: the node."""
        ...

    async def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        log: LogWriter | None = None,
        keep_stdout: bool = False,
    ) -> Finished:
        """Run a tool to its end; see :func:`dray.envbuilder.tools.process.run_tool`."""
        ...

    async def find_interpreter(self, request: str) -> Interpreter:
        """Exactly the Python that is asked for; see :func:`dray.envbuilder.tools.interpreters`."""
        ...

    def launch(self, plan: LaunchPlan) -> LaunchPlan:
        """What to start on the node so that ``plan`` runs in this place."""
        ...


@dataclass(frozen=True)
class NodePlace:
    """The node itself."""

    @property
    def mark(self) -> str:
        """See :class:`Place`."""
        return ""

    async def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        log: LogWriter | None = None,
        keep_stdout: bool = False,
    ) -> Finished:
        """See :class:`Place`."""
        return await run_tool(argv, env=env, cwd=cwd, log=log, keep_stdout=keep_stdout)

    async def find_interpreter(self, request: str) -> Interpreter:
        """See :class:`Place`."""
        return await find_interpreter(request)

    def launch(self, plan: LaunchPlan) -> LaunchPlan:
        """See :class:`Place`."""
        return plan


NODE = NodePlace()
