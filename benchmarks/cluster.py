"""A real cluster of two CPUs, brought up and down by the command line, for one run of measures."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dray.runtime.execution import Execution
from dray.runtime.models import Task
from dray.runtime.paths import HomePaths, NodePaths
from dray.runtime.snapshots import FileEntry, digest, encode_manifest
from dray.runtime.states import State
from dray.sdk.client import Client

N_CPUS = 2
QUEUE = "default"
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Cluster:
    """What subjects see of it.

    Attributes:
        ray_address: where its Ray can be joined.
        ray_pid: the first process of its Ray; 0 where it was there before.
    """

    home: HomePaths
    node: NodePaths
    client: Client
    ray_address: str
    ray_pid: int

    @staticmethod
    @contextmanager
    def up(folder: Path, ray_address: str = "") -> Generator[Cluster]:
        """A cluster in this folder, until the context is left; on a Ray of its own or this one."""
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DRAY_")},
            "DRAY_HOME": str(folder / "home"),
            "DRAY_CACHE": str(folder / "cache"),
            "DRAY_PORT": str(free_port()),
            "DRAY_STOP_GRACE_S": "0.5",
        }
        home = HomePaths(folder / "home")
        try:
            where = ["--address", ray_address] if ray_address else ["--num-cpus", str(N_CPUS)]
            info = json.loads(_dray(environ, "up", "--json", *where))
            record = json.loads(home.cluster.read_text("utf-8"))
            address, ray_pid = str(record["ray_address"]), int(record["ray_pid"] or 0)
            with Client(info["url"], home.token.read_text("utf-8").strip()) as client:
                yield Cluster(home, NodePaths(folder / "cache"), client, address, ray_pid)
        finally:
            _dray(environ, "down", "--force")

    def snapshot(self, source: str) -> str:
        """Code that is this one file, sent once for many tasks."""
        data = source.encode()
        self.client.put_blob(data)
        entry = FileEntry("main.py", digest(data), len(data))
        return self.client.put_blob(encode_manifest([entry]))

    def draft(self, snapshot: str) -> Task:
        """A task that would run it."""
        execution = Execution(entry_point="main.py", snapshot=snapshot)
        return self.client.create_task("bench", "main.py", execution=execution)

    def completed(self, task_id: str) -> Task:
        """The task once it has completed."""
        task = self.client.wait(task_id, timeout=_PATIENCE_S)
        if task.state is not State.COMPLETED:
            raise RuntimeError(f"task {task.id[:8]} is {task.state}: {task.cause}")
        return task

    def warm_up(self, snapshot: str, n_agents: int) -> Task:
        """Have agents started and the environment built; one of the tasks that did it."""
        tasks = [self.draft(snapshot) for _ in range(2 * n_agents)]
        for task in tasks:
            self.client.enqueue(task.id, QUEUE)
        return [self.completed(task.id) for task in tasks][-1]

    def python_of(self, task: Task) -> Path:
        """The interpreter that ran a task."""
        environment = task.attempt and task.attempt.environment
        assert environment is not None
        return self.node.environments / environment.key / "bin" / "python"


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _dray(environ: dict[str, str], *arguments: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-m", "dray", *arguments],
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    if finished.returncode != 0:
        raise RuntimeError(f"dray {arguments[0]} failed:\n{finished.stderr[-3000:]}")
    return finished.stdout
