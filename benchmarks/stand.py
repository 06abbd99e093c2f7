"""What subjects stand on: a working folder, an environment with its python, a cluster if asked."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from benchmarks.starts import child_environment, start_to_first_line
from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.environment import Environment
from dray.envbuilder.launch.child_code import child_code
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.log import NoLog
from dray.runtime.paths import NodePaths

if TYPE_CHECKING:
    from benchmarks.cluster import Cluster

_WORK = Path(__file__).parent / ".work"
_BARE = "import time\nprint(time.time_ns(), flush=True)\n"


class Stand:
    """Everything is made when it is first asked for, and goes when the stand is left."""

    def __init__(self) -> None:
        self._exits = ExitStack()
        self._environment: Environment | None = None
        self._child_code: Path | None = None
        self._cluster: Cluster | None = None
        self.folder = Path()

    @property
    def environment(self) -> Environment:
        """An environment without packages, such as a task gets that names none."""
        if self._environment is None:
            self._environment = asyncio.run(
                ensure_environment(EnvironmentSpec(), self.node, NoLog())
            )
        return self._environment

    @property
    def node(self) -> NodePaths:
        """The cache of the node that this is."""
        return NodePaths(self.folder / "cache")

    @property
    def child_code(self) -> Path:
        """What agents put on the path of a child."""
        if self._child_code is None:
            made = self.environment
            self._child_code = asyncio.run(child_code(self.node, made.python, made.cache_tag))
        return self._child_code

    @property
    def cluster(self) -> Cluster:
        """A cluster with two CPUs, up and idle."""
        from benchmarks.cluster import Cluster

        if self._cluster is None:
            self._cluster = self._exits.enter_context(Cluster.up(self.folder / "cluster"))
        return self._cluster

    def script(self, name: str, text: str) -> Path:
        """A file with this text."""
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path

    def bare_start(self) -> Callable[[], float]:
        """Milliseconds from starting the environment's python to the first line it prints."""
        script = self.script("bare.py", _BARE)
        argv, env = [str(self.environment.python), str(script)], child_environment()
        return lambda: start_to_first_line(argv, env)

    def __enter__(self) -> Stand:
        _WORK.mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(dir=_WORK))
        self._exits.callback(shutil.rmtree, self.folder, ignore_errors=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exits.close()
