"""What goes wrong around a task costs that task its due, and nothing else anything."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from dray.actors import rayhost
from dray.runtime.causes import CauseKind
from dray.runtime.models import Policy
from dray.runtime.paths import HomePaths
from dray.runtime.resources import Resources
from dray.runtime.states import State
from tests.integration.conftest import Cluster, free_port
from tests.waiting import wait_until


def test_a_task_that_prepares_waits_for_a_killed_gateway(cluster: Cluster) -> None:
    gateway = cluster.pid_of("gateway")
    task = cluster.submit(f"print({random.random()})")  # bytes no node has seen
    wait_until(lambda: cluster.client.get_task(task.id).state, lambda s: s is not State.PENDING)
    os.kill(gateway, signal.SIGKILL)
    ended = cluster.finished(task)
    assert (ended.state, ended.epoch) == (State.COMPLETED, 1), ended.cause


def test_a_script_that_deletes_its_spool_runs_once(cluster: Cluster) -> None:
    source = (
        "import os, shutil\n"
        "root = os.path.dirname(os.environ['DRAY_SPOOL'])\n"
        "while os.path.exists(root): shutil.rmtree(root, ignore_errors=True)\n"
        "print('into the void', flush=True)\n"
    )
    ended = cluster.finished(cluster.submit(source, policy=Policy(max_requeues=0)))
    assert (ended.state, ended.epoch) == (State.FAILED, 1)
    assert ended.cause is not None
    assert "could not be kept" in ended.cause.message


def test_output_a_node_has_no_room_for_fails_its_task_alone(cluster: Cluster) -> None:
    source = (
        "import os, time\n"
        "os.symlink('/dev/full', os.environ['DRAY_SPOOL'] + '/stdout.log')\n"
        "print('lost', flush=True)\n"
        "time.sleep(600)\n"
    )
    ended = cluster.finished(cluster.submit(source, policy=Policy(max_requeues=0)))
    assert (ended.state, ended.epoch) == (State.FAILED, 1)
    assert ended.cause is not None
    assert ended.cause.kind is CauseKind.WORKER_LOST
    assert "No space left" in ended.cause.message
    after = cluster.finished(cluster.submit("print('next')"))
    assert after.attempt is not None
    assert ended.attempt is not None
    assert after.attempt.agent == ended.attempt.agent


def test_a_bottomless_record_ends_nothing(cluster: Cluster) -> None:
    source = (
        "import os\n"
        "with open(os.environ['DRAY_SPOOL'] + '/records.jsonl', 'w') as file:\n"
        "    file.write('{\"k\":\"final\",\"x\":' + '[' * 100_000 + ']' * 100_000 + '}\\n')\n"
    )
    ended = cluster.finished(cluster.submit(source))
    assert (ended.state, ended.epoch) == (State.COMPLETED, 1), ended.cause


def test_a_deleted_queue_leaves_no_process(cluster: Cluster) -> None:
    before = queue_processes(cluster)
    cluster.client.create_queue("short-lived")
    cluster.submit("print(1)", queue="short-lived", resources=Resources(cpus=64))
    wait_until(lambda: queue_processes(cluster), lambda now: now > before)
    cluster.client.delete_queue("short-lived", force=True)
    # An actor that what left the queue had called back would be there before this queue's.
    cluster.client.create_queue("next")
    cluster.finished(cluster.submit("print(2)", queue="next"))
    assert len(queue_processes(cluster) - before) == 1
    cluster.client.delete_queue("next")
    wait_until(lambda: queue_processes(cluster), lambda now: now == before)


def queue_processes(cluster: Cluster) -> set[int]:
    """The processes of all queues of a cluster."""
    import psutil

    found: set[int] = set()
    for process in psutil.process_iter():
        try:
            is_queue = process.cmdline()[:1] == ["ray::QueueActor"]
            if is_queue and process.environ().get("DRAY_HOME") == cluster.environ["DRAY_HOME"]:
                found.add(process.pid)
        except psutil.Error:
            continue  # it ended meanwhile, or is another user's
    return found


def test_down_ends_what_a_killed_up_had_started(cluster: Cluster, tmp_path: Path) -> None:
    environ = {**cluster.environ, "DRAY_HOME": str(tmp_path), "DRAY_PORT": str(free_port())}
    home = HomePaths(tmp_path)
    command = [sys.executable, "-m", "dray"]
    up = subprocess.Popen(
        [*command, "up", "--num-cpus", "1"], env=environ, stderr=subprocess.DEVNULL
    )
    try:
        log = home.logs / "ray.log"
        wait_until(lambda: log.is_file() and b"runtime started" in log.read_bytes())
    finally:
        up.kill()
        up.wait()
        down = subprocess.run([*command, "down", "--force"], env=environ, capture_output=True)
    assert b"Dray is down" in down.stdout + down.stderr
    assert not rayhost.end_head(home)
