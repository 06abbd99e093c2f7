"""From a death to the decision: a killed agent, a killed node, a killed gateway."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil

from benchmarks.cluster import QUEUE, Cluster, free_port
from benchmarks.measure import Reading, Sample, in_words
from benchmarks.stand import Stand
from dray.runtime.errors import ServerUnreachable
from dray.runtime.execution import Execution
from dray.runtime.models import Task
from dray.runtime.resources import Resources
from dray.runtime.states import Phase, State

T = TypeVar("T")

N_AGENTS = 5
N_GATEWAYS = 5
N_NODES = 2
_PATIENCE_S = 180.0
_LOOK_EVERY_S = 0.01
_SLEEPS = "import time; print('up', flush=True); time.sleep(600)"


def measure(stand: Stand) -> list[Reading]:
    """All three on clusters with the leases users get."""
    with _two_nodes(stand.folder) as cluster:
        nodes = Sample(tuple(_kill_node(cluster) for _ in range(N_NODES)))
    agents = Sample(tuple(_kill_agent(stand.cluster) for _ in range(N_AGENTS)))
    gateways = Sample(tuple(_kill_gateway(stand.cluster) for _ in range(N_GATEWAYS)))
    return [
        Reading("killed-agent", agents, "a SIGKILL", note=_worst(agents)),
        Reading("killed-node", nodes, "a SIGKILL of its raylet", note=_worst(nodes)),
        Reading("killed-gateway", gateways, "a SIGKILL", note=_worst(gateways)),
    ]


def _kill_agent(cluster: Cluster) -> float:
    """Milliseconds from the kill until its task is pending again, or running elsewhere."""
    task = _executing(cluster, Resources(cpus=1))
    assert task.attempt is not None
    agent = _agent_process(cluster, task)
    began = time.monotonic()
    agent.kill()
    _until(lambda: cluster.client.get_task(task.id).epoch > 1 or _is_pending(cluster, task))
    took_s = time.monotonic() - began
    _end(cluster, task)
    return took_s * 1e3


def _kill_node(cluster: Cluster) -> float:
    with _node(cluster) as raylet:
        task = _executing(cluster, Resources(cpus=3))
        began = time.monotonic()
        raylet.kill()
        _until(lambda: _is_pending(cluster, task))
        took_s = time.monotonic() - began
    _end(cluster, task)
    return took_s * 1e3


def _kill_gateway(cluster: Cluster) -> float:
    """Milliseconds from the kill until a request is answered by another process."""
    task = _executing(cluster, Resources(cpus=1))
    pid = next(c.pid for c in cluster.client.server_info().components if c.name == "gateway")
    assert pid is not None
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    _until(lambda: _answers(cluster))
    took_s = time.monotonic() - began
    after = cluster.client.get_task(task.id)
    if (after.state, after.epoch) != (State.RUNNING, 1):
        raise RuntimeError(f"task {task.id[:8]} was harmed: {after.state} at {after.epoch}")
    _end(cluster, task)
    return took_s * 1e3


def _executing(cluster: Cluster, resources: Resources) -> Task:
    snapshot = cluster.snapshot(_SLEEPS)
    execution = Execution(entry_point="main.py", snapshot=snapshot, resources=resources)
    task = cluster.client.create_task("bench", "main.py", execution=execution)
    cluster.client.enqueue(task.id, QUEUE)
    _until(lambda: cluster.client.get_task(task.id).phase is Phase.EXECUTING)
    return cluster.client.get_task(task.id)


def _end(cluster: Cluster, task: Task) -> None:
    _until(lambda: _answers(cluster))
    cluster.client.abort(task.id)
    _until(lambda: cluster.client.get_task(task.id).state is State.ABORTED)


def _is_pending(cluster: Cluster, task: Task) -> bool:
    return cluster.client.get_task(task.id).state is State.PENDING


def _answers(cluster: Cluster) -> bool:
    try:
        return bool(cluster.client.server_info())
    except ServerUnreachable:
        return False


def _agent_process(cluster: Cluster, task: Task) -> psutil.Process:
    """The agent that runs a task: the Ray worker above its child."""
    mark = ("DRAY_TASK_ID", task.id)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(mark[0]) == mark[1]:
                return next(p for p in process.parents() if p.name().startswith("ray::"))
    raise RuntimeError(f"no process of task {task.id[:8]} in {cluster.home.root}")


@contextmanager
def _two_nodes(folder: Path) -> Generator[Cluster]:
    """A cluster that joined a Ray started by hand, which more nodes may join."""
    port, ray_folder = free_port(), Path(tempfile.mkdtemp(prefix="dray-bench-"))
    arguments = [f"--port={port}", f"--temp-dir={ray_folder}", "--num-cpus=2"]
    log = folder / "ray.log"
    try:
        with _ray(log, "--head", *arguments, "--include-dashboard=false"):
            _until(lambda: b"Ray runtime started" in log.read_bytes())
            with Cluster.up(folder / "joined", f"127.0.0.1:{port}") as cluster:
                yield cluster
    finally:
        shutil.rmtree(ray_folder, ignore_errors=True)


@contextmanager
def _node(cluster: Cluster) -> Generator[psutil.Process]:
    address = f"--address={cluster.ray_address}"
    with _ray(cluster.home.root / "node.log", address, "--num-cpus=3") as node:
        yield _until(lambda: _raylet_of(node))


@contextmanager
def _ray(log: Path, *arguments: str) -> Generator[psutil.Popen]:
    """``ray start`` in the foreground of a session of its own, killed with all below it."""
    command = [str(Path(sys.executable).parent / "ray"), "start", "--block", *arguments]
    options = ["--node-ip-address=127.0.0.1", "--disable-usage-stats", "--log-style=record"]
    with log.open("ab") as output:
        process = psutil.Popen(
            [*command, *options], stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def _raylet_of(node: psutil.Popen) -> psutil.Process | None:
    return next((p for p in node.children(recursive=True) if p.name() == "raylet"), None)


def _until(look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {_PATIENCE_S:g} s")
        time.sleep(_LOOK_EVERY_S)


def _worst(sample: Sample) -> str:
    return f"worst of {len(sample.values)}: {in_words(max(sample.values))} ms"
