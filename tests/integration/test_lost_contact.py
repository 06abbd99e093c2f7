"""Silence: an agent that hangs, a node that is gone, a server that does not answer."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from dray.runtime.causes import CauseKind
from dray.runtime.models import OnLost, Policy, Task
from dray.runtime.paths import HomePaths
from dray.runtime.resources import Resources
from dray.runtime.states import Phase, State
from tests.integration.conftest import Cluster, free_port, running_cluster
from tests.integration.test_running import agent_pid
from tests.waiting import wait_until

LEASE_TTL_S = 6.0
#: What a loaded machine may need for a lease to run out and another agent to start.
PATIENCE_S = 120.0
#: Runs on in its first attempt, ends at once in any other.
HANGS_ONCE = "import os, time\nif os.environ['DRAY_EPOCH'] == '1': time.sleep(600)\n"


@pytest.fixture(scope="module")
def short_leases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Ray cluster that was there before, which may have several nodes, joined."""
    root = tmp_path_factory.mktemp("short-leases")
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="dray-ray-"))
    head = ["--head", f"--port={port}", f"--temp-dir={folder}", "--num-cpus=2"]
    with ray_node(root, *head, "--include-dashboard=false") as node:
        wait_until(lambda: b"Ray runtime started" in (root / "ray.log").read_bytes())
        variables = {"DRAY_LEASE_TTL_S": str(LEASE_TTL_S), "DRAY_SAFETY_TICK_S": "1"}
        joined = running_cluster(root, "--address", f"127.0.0.1:{port}", **variables)
        with joined as running:
            yield running
        assert node.is_running(), "what Dray has joined, it leaves as it was"
    shutil.rmtree(folder, ignore_errors=True)


def executing(cluster: Cluster, task: Task) -> str:
    """The agent of a task, once its process runs."""
    seen = wait_until(
        lambda: cluster.client.get_task(task.id),
        lambda t: t.phase is Phase.EXECUTING,
        timeout_s=PATIENCE_S,
    )
    assert seen.attempt is not None
    return seen.attempt.agent


def completed(cluster: Cluster, task: Task) -> Task:
    return wait_until(
        lambda: cluster.client.get_task(task.id),
        lambda t: t.state is State.COMPLETED,
        timeout_s=PATIENCE_S,
    )


def children_of(process: psutil.Process) -> list[psutil.Process]:
    return [p for p in process.children(recursive=True) if "main.py" in " ".join(p.cmdline())]


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.invariant(3)
def test_an_agent_that_hangs_is_fenced_given_up_and_ended(short_leases: Cluster) -> None:
    task = short_leases.submit(HANGS_ONCE)
    agent = executing(short_leases, task)
    hung = psutil.Process(agent_pid(agent))
    (child,) = children_of(hung)
    hung.suspend()
    ended = completed(short_leases, task)
    assert (ended.epoch, ended.n_requeues) == (2, 1)
    assert is_gone(child), "the fence fell before the second attempt"
    wait_until(lambda: is_gone(hung))
    assert agent not in {a.name for a in short_leases.client.list_agents()}


def test_under_the_policy_wait_a_silent_agent_costs_nothing(short_leases: Cluster) -> None:
    source = "import time\nfor i in range(100): print(i, flush=True); time.sleep(0.1)\n"
    task = short_leases.submit(source, policy=Policy(on_lost=OnLost.WAIT))
    hung = psutil.Process(agent_pid(executing(short_leases, task)))
    hung.suspend()
    seen = wait_until(
        lambda: short_leases.client.get_task(task.id),
        lambda t: t.phase is Phase.UNREACHABLE,
        timeout_s=PATIENCE_S,
    )
    assert seen.state is State.RUNNING
    hung.resume()
    ended = completed(short_leases, task)
    assert ended.epoch == 1
    assert short_leases.console(ended) == "".join(f"{i}\n" for i in range(100))


@pytest.mark.invariant(3)
def test_a_server_that_was_stopped_for_longer_than_a_lease_blames_nobody(
    short_leases: Cluster,
) -> None:
    task = short_leases.submit(
        "import time\nprint('up', flush=True)\ntime.sleep(20)\n",
        policy=Policy(on_lost=OnLost.WAIT),
    )
    executing(short_leases, task)
    stopped = [psutil.Process(short_leases.pid_of(name)) for name in ("scheduler", "gateway")]
    began = time.monotonic()
    for process in stopped:  # the scheduler first: it would end a gateway that hangs
        process.suspend()
    wait_until(lambda: time.monotonic() - began > 1.5 * LEASE_TTL_S)
    for process in reversed(stopped):
        process.resume()
    ended = completed(short_leases, task)
    assert ended.epoch == 1
    events = [entry.event for entry in short_leases.client.history(task.id).items]
    assert "requeue" not in events


@pytest.mark.parametrize("component", ["gateway", "scheduler", "queue default"])
def test_a_coordinator_that_hangs_is_replaced(short_leases: Cluster, component: str) -> None:
    hung = psutil.Process(short_leases.pid_of(component))
    hung.suspend()
    wait_until(lambda: is_gone(hung), timeout_s=PATIENCE_S)
    short_leases.await_server()
    assert short_leases.finished(short_leases.submit("print('next')")).state is State.COMPLETED


@pytest.mark.invariant(3)
def test_a_task_on_a_node_that_is_gone_runs_again_on_another(short_leases: Cluster) -> None:
    with second_node(short_leases) as raylet:
        task = short_leases.submit(
            HANGS_ONCE,
            resources=Resources(cpus=3),
        )
        agent = executing(short_leases, task)
        hosted = psutil.Process(agent_pid(agent))
        (child,) = children_of(hosted)
        raylet.kill()
        wait_until(lambda: is_gone(child), timeout_s=PATIENCE_S)
        with second_node(short_leases):
            ended = completed(short_leases, task)
    assert (ended.epoch, ended.n_requeues) == (2, 1)
    first = short_leases.client.attempts(task.id)[0]
    assert first.cause is not None
    assert first.cause.kind is CauseKind.WORKER_LOST


@contextmanager
def ray_node(folder: Path, *arguments: str) -> Iterator[psutil.Popen]:
    """A Ray node as somebody starts it by hand; ended with everything below it."""
    command = [str(Path(sys.executable).parent / "ray"), "start", "--block", *arguments]
    options = ["--node-ip-address=127.0.0.1", "--disable-usage-stats", "--log-style=record"]
    with (folder / "ray.log").open("ab") as log:
        node = psutil.Popen([*command, *options], stdout=log, stderr=log, start_new_session=True)
    try:
        yield node
    finally:
        below = node.children(recursive=True) if node.is_running() else []
        for process in (node, *below):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        node.wait()


@contextmanager
def second_node(cluster: Cluster) -> Iterator[psutil.Process]:
    """Another node, with more CPUs than the head has; its raylet."""
    address = json.loads(HomePaths(cluster.home).cluster.read_text())["ray_address"]
    with ray_node(cluster.home, f"--address={address}", "--num-cpus=3") as node:
        yield wait_until(lambda: raylet_of(node))


def raylet_of(node: psutil.Popen) -> psutil.Process:
    found = (p for p in node.children(recursive=True) if p.name() == "raylet")
    return next(found, None)  # type: ignore[return-value]  # None: not yet
