"""A task that runs again: by its retries, by being enqueued after an end, or from a laptop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dray.runtime.causes import CauseKind
from dray.runtime.models import Policy
from dray.runtime.states import State
from tests.integration.conftest import Cluster
from tests.waiting import wait_until

#: Reports three iterations; on its first attempt it fails or stays at the last of them.
BEGINS = (
    "import os, sys, time\n"
    "from dray import Task\n"
    "task = Task.init('tests', 'goes on', continue_last_task=True)\n"
    "for i in range(3):\n"
    "    task.logger.report_scalar('loss', 'train', 1.0 / (i + 1), i)\n"
    "print('attempt', os.environ['DRAY_EPOCH'], flush=True)\n"
)
FAILS_AT_FIRST = BEGINS + "raise SystemExit(os.environ['DRAY_EPOCH'] == '1')\n"
STAYS_AT_FIRST = BEGINS + "if os.environ['DRAY_EPOCH'] == '1': time.sleep(600)\n"


def iterations(cluster: Cluster, task_id: str) -> list[int]:
    return cluster.client.scalars(task_id)["loss"]["train"].iterations


def test_a_failure_within_its_retries_is_tried_again_from_where_it_began(cluster: Cluster) -> None:
    policy = Policy(retries=1, retry_delay_s=0.0)
    ended = cluster.finished(cluster.submit(FAILS_AT_FIRST, policy=policy))
    assert (ended.state, ended.epoch, ended.n_retries) == (State.COMPLETED, 2, 1)
    first = cluster.client.attempts(ended.id)[0]
    assert first.cause is not None
    assert (first.cause.kind, first.cause.exit_code) == (CauseKind.EXIT_CODE, 1)
    # The same piece of work, tried twice: both attempts count from 0, and both are kept.
    assert ended.initial_iteration == 0
    assert iterations(cluster, ended.id) == [0, 0, 1, 1, 2, 2]
    shown = cluster.dray("task", "show", ended.id).stdout
    assert "retried\t1 of 1" in shown
    assert "exited with code 1" in shown


def test_an_aborted_task_goes_on_when_it_is_enqueued_again(cluster: Cluster) -> None:
    task = cluster.submit(STAYS_AT_FIRST)
    wait_until(lambda: cluster.console(task), lambda seen: "attempt 1" in seen)
    assert cluster.dray("task", "abort", "--wait", task.id).stdout == f"{task.id}\taborted\n"
    again = cluster.dray("task", "enqueue", task.id)
    assert "goes on as attempt 2 from iteration 3" in again.stderr
    ended = cluster.finished(task)
    assert (ended.state, ended.epoch, ended.initial_iteration) == (State.COMPLETED, 2, 3)
    assert iterations(cluster, task.id) == [0, 1, 2, 3, 4, 5]
    assert cluster.console(task) == "attempt 1\nattempt 2\n"


def test_what_failed_on_the_cluster_goes_on_where_a_laptop_continues_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    failed = cluster.finished(cluster.submit(FAILS_AT_FIRST))
    assert failed.state is State.FAILED
    (tmp_path / "main.py").write_text(
        BEGINS.replace("continue_last_task=True", f"continue_last_task={failed.id!r}")
    )
    ran = subprocess.run(
        [sys.executable, "main.py"],
        cwd=tmp_path,
        env=cluster.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (0, "attempt 2\n"), ran.stderr
    ended = cluster.finished(failed)
    assert (ended.state, ended.initial_iteration) == (State.COMPLETED, 3)
    assert iterations(cluster, failed.id) == [0, 1, 2, 3, 4, 5]
    assert cluster.console(failed) == "attempt 1\nattempt 2\n"
