"""A task on a real cluster: from the queue to an end that is true."""

from __future__ import annotations

import hashlib
import os
import signal

import pytest

from dray.runtime.causes import CauseKind
from dray.runtime.models import Parameter
from dray.runtime.resources import Resources
from dray.runtime.states import Phase, State
from tests.integration.conftest import Cluster
from tests.waiting import wait_until


def test_a_task_runs_and_its_console_is_exact(cluster: Cluster) -> None:
    task = cluster.submit("import sys\nprint('hello')\nsys.stderr.write('warned\\n')")
    ended = cluster.finished(task)
    assert (ended.state, ended.cause and ended.cause.exit_code) == (State.COMPLETED, 0)
    assert cluster.console(task) == "hello\n"
    assert ended.attempt is not None
    receipt = ended.attempt.receipt["stdout"]
    assert receipt.exact
    assert receipt.sha256 == hashlib.sha256(b"hello\n").hexdigest()
    assert cluster.console(task, "stderr") == "warned\n"


@pytest.mark.invariant(4)
@pytest.mark.parametrize(
    ("source", "state", "kind"),
    [
        ("raise SystemExit(3)", State.FAILED, CauseKind.EXIT_CODE),
        ("raise ValueError('no')", State.FAILED, CauseKind.EXIT_CODE),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", State.FAILED, CauseKind.SIGNAL),
    ],
    ids=["exits 3", "raises", "killed by a signal"],
)
def test_an_end_has_its_cause(cluster: Cluster, source: str, state: State, kind: CauseKind) -> None:
    ended = cluster.finished(cluster.submit(source))
    assert ended.state is state
    assert ended.cause is not None
    assert ended.cause.kind is kind


def test_a_traceback_is_the_evidence_of_a_failure(cluster: Cluster) -> None:
    ended = cluster.finished(cluster.submit("raise ValueError('too hot')"))
    assert ended.cause is not None
    assert "ValueError: too hot" in (ended.cause.evidence or "")


def test_task_init_attaches_and_stored_parameters_win(cluster: Cluster) -> None:
    source = (
        "import argparse\n"
        "from dray import Task\n"
        "task = Task.init('p', 'n')\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', type=float, default=0.1)\n"
        "args = parser.parse_args()\n"
        "task.get_logger().report_scalar('loss', 'train', value=args.lr, iteration=1)\n"
        "print(args.lr)\n"
    )
    ended = cluster.finished(cluster.submit(source, parameters={"Args/lr": Parameter("0.5")}))
    assert ended.state is State.COMPLETED, ended.cause
    assert cluster.console(ended) == "0.5\n"
    assert ended.metrics["loss"]["train"].last == 0.5


def test_an_abort_ends_the_whole_tree(cluster: Cluster) -> None:
    source = (
        "import os, signal, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', "
        "'import signal,time; signal.signal(15, signal.SIG_IGN); signal.signal(2, signal.SIG_IGN);"
        " print(1, flush=True); time.sleep(600)'], start_new_session=True)\n"
        "print('pid', child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    task = cluster.submit(source)
    text = wait_until(lambda: cluster.console(task), lambda seen: "1\n" in seen and "pid" in seen)
    grandchild = int(text.split("pid ")[1].split()[0])
    cluster.client.abort(task.id, reason="enough")
    ended = cluster.finished(task)
    assert ended.state is State.ABORTED
    assert ended.cause is not None
    assert ended.cause.kind is CauseKind.ABORTED
    assert not os.path.exists(f"/proc/{grandchild}")


def test_gpus_are_what_ray_assigned(cluster: Cluster) -> None:
    source = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    without = cluster.finished(cluster.submit(source))
    assert cluster.console(without) == "\n"
    with_one = cluster.finished(cluster.submit(source, resources=Resources(cpus=1, gpus=1)))
    assert cluster.console(with_one).strip() in ("0", "1")


def test_a_task_too_large_for_the_cluster_waits_and_says_why(cluster: Cluster) -> None:
    task = cluster.submit("print(1)", resources=Resources(cpus=64))
    why = wait_until(lambda: cluster.client.why(task.id), lambda seen: "no node" in seen.reason)
    assert "lacks 60 CPU" in why.reason
    assert cluster.client.dequeue(task.id).state is State.DRAFT


def test_a_missing_requirement_fails_with_the_installers_words(cluster: Cluster) -> None:
    ended = cluster.finished(
        cluster.submit("print(1)", packages=["no-such-package-of-anybody==1.0"])
    )
    assert ended.cause is not None
    assert ended.cause.kind is CauseKind.ENVIRONMENT_FAILED
    assert "no-such-package-of-anybody" in (ended.cause.evidence or "")


def test_a_killed_agent_sends_its_task_to_another(cluster: Cluster) -> None:
    source = (
        "import os, time\nprint('epoch', os.environ['DRAY_EPOCH'], flush=True)\n"
        "if os.environ['DRAY_EPOCH'] == '1': time.sleep(600)\n"
    )
    task = cluster.submit(source)
    wait_until(lambda: cluster.console(task), lambda seen: "epoch 1" in seen)
    running = cluster.client.get_task(task.id)
    assert running.phase is Phase.EXECUTING
    assert running.attempt is not None
    os.kill(agent_pid(running.attempt.agent), signal.SIGKILL)
    ended = cluster.finished(task)
    assert (ended.state, ended.epoch, ended.n_requeues) == (State.COMPLETED, 2, 1)
    first = cluster.client.attempts(task.id)[0]
    assert first.cause is not None
    assert first.cause.kind is CauseKind.WORKER_LOST


@pytest.mark.invariant(1)
@pytest.mark.parametrize("component", ["gateway", "scheduler", "queue default"])
def test_a_killed_coordinator_costs_a_running_task_nothing(
    cluster: Cluster, component: str
) -> None:
    source = (
        "import time\n"
        "for i in range(400):\n"
        "    print('line', i, flush=True)\n"
        "    time.sleep(0.01)\n"
    )
    task = cluster.submit(source)
    wait_until(lambda: cluster.console(task), lambda seen: "line 20" in seen)
    killed = cluster.pid_of(component)
    os.kill(killed, signal.SIGKILL)
    ended = cluster.finished(task)
    assert (ended.state, ended.epoch) == (State.COMPLETED, 1)
    assert ended.attempt is not None
    assert ended.attempt.receipt["stdout"].exact
    assert cluster.console(task) == "".join(f"line {i}\n" for i in range(400))
    assert cluster.finished(cluster.submit("print('next')")).state is State.COMPLETED
    assert cluster.pid_of(component) != killed


def agent_pid(agent: str) -> int:
    """The process of an agent, found as a person would: by the command line of its children."""
    import psutil

    for process in psutil.process_iter(["environ"]):
        environ = process.info["environ"] or {}
        if environ.get("DRAY_AGENT") == agent:
            parent = process.parent()
            while parent is not None and not parent.name().startswith("ray::"):
                parent = parent.parent()
            if parent is not None:
                return int(parent.pid)
    raise AssertionError(f"no process of agent {agent}")


def test_a_static_queue_takes_tasks_with_a_warning_and_says_what_they_wait_for(
    cluster: Cluster,
) -> None:
    assert cluster.dray("queue", "create", "lab", "--static").returncode == 0
    task = cluster.submit("print(1)")
    ended = cluster.finished(task)
    copy = cluster.client.clone_task(ended.id)
    enqueued = cluster.client.enqueue(copy.id, "lab")
    assert not enqueued.queue_served
    assert "lab" in enqueued.warning
    shown = cluster.dray("task", "show", copy.id).stdout
    assert "no agent serves queue 'lab'" in shown
    assert cluster.client.abort(copy.id).state is State.ABORTED


def test_down_and_up_again_finds_everything_and_goes_on(cluster: Cluster) -> None:
    source = (
        "import os, time\nprint('epoch', os.environ['DRAY_EPOCH'], flush=True)\n"
        "if os.environ['DRAY_EPOCH'] == '1': time.sleep(600)\n"
    )
    task = cluster.submit(source)
    wait_until(lambda: cluster.console(task), lambda seen: "epoch 1" in seen)
    down = cluster.dray("down")
    assert "1 running task told to stop" in down.stderr + down.stdout
    up = cluster.dray("up", "--num-cpus", "4", "--num-gpus", "2")
    assert up.returncode == 0, up.stderr
    ended = cluster.finished(task)
    assert (ended.state, ended.epoch, ended.n_requeues) == (State.COMPLETED, 2, 0)
    first = cluster.client.attempts(task.id)[0]
    assert first.cause is not None
    assert first.cause.kind is CauseKind.PREEMPTED
    assert cluster.console(task) == "epoch 1\nepoch 2\n"
