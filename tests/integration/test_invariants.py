"""What only a whole cluster can show of the invariants: who waits for whom, and who holds what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dray.runtime.resources import Resources
from dray.runtime.states import State
from tests.integration.conftest import Cluster
from tests.waiting import wait_until

N_CPUS = 4

TRAINS = """
import pathlib, sys
from dray import Task
task = Task.init("invariants", "never waits")
print(task.id, flush=True)
sys.stdin.readline()
for i in range(2000):
    task.get_logger().report_scalar("loss", "train", value=1 / (i + 1), iteration=i)
    print("epoch", i)
pathlib.Path("model.bin").write_bytes(b"weights")
task.upload_artifact("model", "model.bin")
print("done", flush=True)
"""

COORDINATES = """
import os
from dray.runtime.models import Execution
from dray.sdk.client import Client
with Client(os.environ["DRAY_URL"], os.environ["DRAY_TOKEN"]) as client:
    execution = Execution(entry_point="main.py", snapshot="{snapshot}")
    child = client.create_task("invariants", "step", execution=execution)
    client.enqueue(child.id, "default")
    assert client.wait(child.id, timeout=300).state.value == "completed"
"""


@pytest.mark.invariant(6)
def test_a_training_process_ends_while_its_server_does_not_answer(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(TRAINS)
    with subprocess.Popen(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env=cluster.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as script:
        assert script.stdin is not None
        assert script.stdout is not None
        lines = iter(script.stdout.readline, "")
        task_id = next(line.strip() for line in lines if len(line.strip()) == 32)
        gateway = psutil.Process(cluster.pid_of("gateway"))
        scheduler = psutil.Process(cluster.pid_of("scheduler"))
        scheduler.suspend()  # it would end a gateway that hangs
        gateway.suspend()
        try:
            script.stdin.write("\n")
            script.stdin.flush()
            assert list(lines)[-1] == "done\n"
            assert script.wait(timeout=60) == 0
            assert gateway.status() == psutil.STATUS_STOPPED, "the server has not answered yet"
        finally:
            gateway.resume()
            scheduler.resume()
    ended = wait_until(
        lambda: cluster.client.get_task(task_id), lambda t: t.state is State.COMPLETED
    )
    assert ended.metrics["loss"]["train"].n_points == 2000
    assert [artifact.name for artifact in ended.artifacts] == ["model"]
    assert cluster.console(ended).count("epoch") == 2000


@pytest.mark.invariant(7)
def test_more_coordinators_than_cpus_wait_for_their_steps_and_all_come_to_an_end(
    cluster: Cluster,
) -> None:
    step = cluster.finished(cluster.submit("print('a step')"))
    source = COORDINATES.format(snapshot=step.execution.snapshot)
    coordinators = [
        cluster.submit(source, queue="services", resources=Resources(cpus=0))
        for _ in range(N_CPUS + 1)
    ]
    for one in coordinators:
        ended = cluster.finished(one)
        assert ended.state is State.COMPLETED, ended.cause


@pytest.mark.invariant(8)
def test_nothing_here_was_driven_by_a_tick(cluster: Cluster) -> None:
    """This cluster's safety tick would come once an hour; all its tests ran without one."""
    assert float(cluster.environ["DRAY_SAFETY_TICK_S"]) == 3600
    ended = cluster.finished(cluster.submit("print('pushed')"))
    assert ended.state is State.COMPLETED
