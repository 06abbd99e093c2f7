"""Stopping tasks on a real cluster: the last word, the ladder, the limits, and who is named."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dray.runtime.causes import CauseKind
from dray.runtime.cgroups import Cgroup
from dray.runtime.models import Policy, Task
from dray.runtime.resources import Resources
from dray.runtime.states import Phase, State
from tests.integration.conftest import Cluster
from tests.waiting import wait_until

#: Stores a checkpoint when it is stopped, as soon as somebody puts a file into its spool.
SAVES = """
import os, time
from dray import Task
task = Task.init('tests', 'saves', reuse_last_task_id=False)
def save():
    while not os.path.exists(os.environ['DRAY_SPOOL'] + '/go'): time.sleep(0.01)
    task.get_logger().report_scalar('saved', 'at', value=7, iteration=1)
    task.upload_artifact('checkpoint', {'step': 7})
    print('saved', flush=True)
task.register_abort_callback(save, callback_execution_timeout=60)
print('ready', task.id, os.environ['DRAY_SPOOL'], flush=True)
time.sleep(600)
"""
STUBBORN = """
import os, signal, time
for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)
print('pid', os.getpid(), flush=True)
time.sleep(600)
"""


def said(cluster: Cluster, task: Task, word: str) -> list[str]:
    """What follows a word in its console, once the line is there."""
    seen = wait_until(lambda: cluster.console(task), lambda text: f"{word} " in text)
    return seen.split(f"{word} ", 1)[1].split()


def assert_saved(cluster: Cluster, ended: Task, by: str) -> None:
    assert ended.state is State.ABORTED
    assert ended.cause is not None
    assert (ended.cause.kind, ended.cause.by) == (CauseKind.ABORTED, by)
    assert "abort callback of process" in (ended.cause.evidence or "")
    assert "SIGINT to 1 process" in (ended.cause.evidence or "")
    assert "saved" in cluster.console(ended)
    assert ended.metrics["saved"]["at"].last == 7
    assert [artifact.name for artifact in cluster.client.artifacts(ended.id)] == ["checkpoint"]
    assert ended.attempt is not None
    assert ended.attempt.receipt["stdout"].exact


def test_an_aborted_task_stores_its_checkpoint_while_it_is_stopping(cluster: Cluster) -> None:
    task = cluster.submit(SAVES)
    spool = said(cluster, task, "ready")[1]
    cluster.client.abort(task.id, reason="enough")
    stopping = cluster.client.get_task(task.id)
    assert (stopping.state, stopping.phase) == (State.RUNNING, Phase.STOPPING)
    Path(spool, "go").touch()
    assert_saved(cluster, cluster.finished(task), by="user")


def abort_by_command(cluster: Cluster, task_id: str) -> None:
    assert cluster.dray("task", "abort", task_id).returncode == 0


def abort_by_request(cluster: Cluster, task_id: str) -> None:
    cluster.client.abort(task_id)


@pytest.mark.parametrize("abort", [abort_by_command, abort_by_request])
def test_a_run_started_by_hand_is_aborted_the_same_way(
    cluster: Cluster, tmp_path: Path, abort: Callable[[Cluster, str], None]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(SAVES)
    command = [sys.executable, str(script)]
    with subprocess.Popen(
        command, cwd=tmp_path, env=cluster.environ, stdout=subprocess.PIPE, text=True
    ) as run:
        try:
            assert run.stdout is not None
            _, task_id, spool = run.stdout.readline().split()
            abort(cluster, task_id)
            assert cluster.client.get_task(task_id).phase is Phase.STOPPING
            Path(spool, "go").touch()
            assert run.wait(30) != 0
        finally:
            run.kill()
    assert_saved(cluster, cluster.finished(cluster.client.get_task(task_id)), by="user")


def test_a_task_that_ignores_every_word_is_gone_soon_after_its_grace(cluster: Cluster) -> None:
    task = cluster.submit(STUBBORN, policy=Policy(stop_grace_s=0.2))
    pid = int(said(cluster, task, "pid")[0])
    began = time.monotonic()
    cluster.client.abort(task.id)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    assert time.monotonic() - began < 0.2 + 2
    ended = cluster.finished(task)
    assert ended.cause is not None
    assert (ended.cause.evidence or "").splitlines() == [
        f"{name} to 1 process" for name in ("SIGINT", "SIGTERM", "SIGKILL")
    ]


def test_a_task_that_runs_too_long_is_ended_for_that(cluster: Cluster) -> None:
    ended = cluster.finished(
        cluster.submit("import time; time.sleep(600)", policy=Policy(max_run_time_s=0.5))
    )
    assert ended.state is State.FAILED
    assert ended.cause is not None
    assert ended.cause.kind is CauseKind.TIME_LIMIT
    assert "0.5 s" in ended.cause.message


def can_limit_memory() -> bool:
    group = Cgroup.make(f"probe-{os.getpid()}", 1 << 30)
    use = group.memory()
    group.close()
    return use is not None and use.limit_bytes == 1 << 30


@pytest.mark.skipif(not can_limit_memory(), reason="no memory cgroup can be made here")
def test_a_task_that_outgrows_its_memory_fails_with_the_figures(cluster: Cluster) -> None:
    source = "held = []\nwhile True: held.append(bytearray(1 << 20))"
    task = cluster.submit(source, resources=Resources(cpus=1, memory_bytes=64 << 20))
    ended = cluster.finished(task)
    assert ended.state is State.FAILED
    assert ended.cause is not None
    assert ended.cause.kind is CauseKind.OUT_OF_MEMORY
    assert "peak 64.0 MiB, limit 64.0 MiB" in (ended.cause.evidence or "")


def test_a_task_whose_keeper_was_killed_is_lost_not_failed(cluster: Cluster) -> None:
    source = (
        "import os, signal\n"
        "if os.environ['DRAY_EPOCH'] == '1':\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
        "    signal.pause()\n"
    )
    ended = cluster.finished(cluster.submit(source))
    assert (ended.state, ended.epoch, ended.n_requeues) == (State.COMPLETED, 2, 1)
    first = cluster.client.attempts(ended.id)[0]
    assert first.cause is not None
    assert first.cause.kind is CauseKind.WORKER_LOST
