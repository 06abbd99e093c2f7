"""One real cluster for the whole session, brought up and down by the command line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from dray.runtime.errors import ServerUnreachable
from dray.runtime.execution import Execution
from dray.runtime.models import Parameter, Policy, Task
from dray.runtime.paths import HomePaths
from dray.runtime.snapshots import FileEntry, encode_manifest
from dray.runtime.states import State
from dray.sdk.client import Client
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.integration.examples import Recorded, Runs, Script

#: What ``wait`` gives a task that builds nothing: a loaded machine may need most of it.
PATIENCE_S = 60.0


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker has the cluster that tests share, the same or another one those of their own."""
    for item in items:
        if isinstance(item, pytest.Function) and "integration" in item.path.parts:
            shared = "cluster" in item.fixturenames  # also through another fixture
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.xdist_group("cluster" if shared else "own-cluster"))


@dataclass(frozen=True)
class Cluster:
    """A running cluster as its user sees it."""

    home: Path
    environ: dict[str, str]
    client: Client

    def dray(self, *arguments: str, timeout_s: float = 180.0) -> subprocess.CompletedProcess[str]:
        """Run the command line against this cluster."""
        return subprocess.run(
            [sys.executable, "-m", "dray", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def submit(
        self,
        source: str,
        *,
        queue: str = "default",
        parameters: dict[str, Parameter] | None = None,
        policy: Policy | None = None,
        **execution: Any,
    ) -> Task:
        """Enqueue a task whose code is one file with this text.

        ``execution`` are further members of ``runtime.execution.Execution``.
        """
        file = FileEntry("main.py", self.client.put_blob(source.encode()), len(source.encode()))
        snapshot = self.client.put_blob(encode_manifest([file]))
        created = self.client.create_task(
            "tests",
            "main.py",
            execution=Execution(entry_point="main.py", snapshot=snapshot, **execution),
            parameters=parameters or {},
            policy=policy or Policy(),
        )
        return self.client.enqueue(created.id, queue).task

    def finished(self, task: Task) -> Task:
        """The task once it has come to an end."""
        self.await_server()
        ended = self.client.wait(task.id, timeout=PATIENCE_S)
        assert ended.state in (State.COMPLETED, State.FAILED, State.ABORTED), ended
        return ended

    def await_server(self) -> None:
        """Return when the server answers, which after a restart takes some seconds."""

        def answers() -> bool:
            try:
                return bool(self.client.server_info())
            except ServerUnreachable:
                return False

        wait_until(answers)

    def console(self, task: Task, stream: str = "stdout") -> str:
        """Everything of one stream, over all attempts."""
        pieces = self.client.console(task.id).pieces
        return "".join(piece.text for piece in pieces if piece.stream == stream)

    def pid_of(self, component: str) -> int:
        """The process of one part of the control plane."""
        found = {c.name: c.pid for c in self.client.server_info().components}
        return found[component]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_cluster(root: Path, *arguments: str, **variables: str) -> Iterator[Cluster]:
    """A cluster of its own, brought up with these arguments and variables, and down again."""
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith("DRAY_")},
        "DRAY_HOME": str(root / "home"),
        "DRAY_CACHE": str(root / "cache"),
        "DRAY_PORT": str(free_port()),
        "DRAY_STOP_GRACE_S": "0.5",
        "DRAY_CONSOLE_BURST_BYTES": str(4 << 20),
        **variables,
    }
    command = [sys.executable, "-m", "dray", "up", "--json", *arguments]
    try:
        up = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=180)
        assert up.returncode == 0, up.stderr
        info = json.loads(up.stdout)
        home = HomePaths(Path(environ["DRAY_HOME"]))
        with Client(info["url"], home.token.read_text().strip()) as client:
            yield Cluster(home.root, environ, client)
    finally:
        down = subprocess.run(
            [sys.executable, "-m", "dray", "down", "--force"],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert down.returncode == 0, down.stderr


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("cluster")
    # No safety tick: whatever happens here was told to whom it concerns.
    variables = {"DRAY_SAFETY_TICK_S": "3600"}
    with running_cluster(root, "--num-cpus", "4", "--num-gpus", "2", **variables) as running:
        yield running


@pytest.fixture(scope="module")
def configured(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster that tests share, with the SDK of this process configured for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRAY_URL", cluster.client.url)
        patch.setenv("DRAY_TOKEN", cluster.client.token)
        for name in ("DRAY_HOME", "DRAY_CACHE"):
            patch.setenv(name, cluster.environ[name])
        yield cluster


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, configured: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """All examples of this module, begun with its first test."""
    from tests.integration.examples import Runs

    wanted = {
        item.nodeid: cast("tuple[Script, str]", item.callspec.params["run"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and "run" in item.fixturenames
    }
    with Runs(wanted, configured, tmp_path_factory.mktemp("examples")) as begun:
        yield begun


@pytest.fixture
def run(request: pytest.FixtureRequest, runs: Runs) -> Recorded:
    """What ``tests.integration.examples.example`` asks for, recorded."""
    node: pytest.Item = request.node
    return runs.of(node.nodeid)
