"""The process beside a run started by hand, with real scripts, real signals and the real server."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.runtime.causes import Cause, CauseKind
from dray.runtime.models import Task
from dray.runtime.paths import HomePaths, SpoolPaths
from dray.runtime.records import STDERR, STDOUT
from dray.runtime.states import State
from dray.sdk.client import Client
from dray.sdk.ship.sync import find_spools, sync
from tests.unit.sdk.live import Live, serving
from tests.unit.sdk.sink import append
from tests.unit.sdk.spools import fill, make_spool, record, started_spool, still_there, task_id
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

#: Ends when its stdin does, so that no test leaves one behind.
SCRIPT = "import sys; sys.stdin.read()"
#: Ignores INT and TERM and has a child that does so too; prints the child's pid.
STUBBORN = """
import signal, subprocess, sys
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"])
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(tmp_path_factory.mktemp("home")) as live:
        yield live


@pytest.fixture
def client(live: Live) -> Client:
    return live.client


@contextlib.contextmanager
def script(code: str = SCRIPT) -> Iterator[subprocess.Popen[bytes]]:
    """A run; it ends at the latest when the test does."""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def shipper(
    spool: SpoolPaths, pid: int, token: str = "", **constants: float
) -> Iterator[subprocess.Popen[bytes]]:
    """The shipper beside a run; ``constants`` of its module can be set."""
    settings = "".join(f"s.{name} = {value}; " for name, value in constants.items())
    code = f"import sys; import dray.sdk.ship.shipper as s; {settings}sys.exit(s.main())"
    command = [sys.executable, "-c", code, str(spool.root), "--pid", str(pid)]
    environment = {
        **os.environ,
        "DRAY_TOKEN": token,
        "DRAY_HOME": str(spool.root),
        "DRAY_STOP_GRACE_S": "0.1",
    }
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def end(run: subprocess.Popen[bytes]) -> None:
    """Let a script go."""
    assert run.stdin is not None
    run.stdin.close()
    run.wait(30)


def cause_of(task: Task) -> Cause:
    assert task.cause is not None
    return task.cause


def until_shipping(client: Client, spool: SpoolPaths) -> None:
    """Wait until the shipper has sent something: the facts of the host."""
    wait_until(lambda: client.get_task(task_id(spool)).runtime.get("hostname"))


def test_it_ships_a_run_to_its_end_and_lives_past_ctrl_c(client: Client, tmp_path: Path) -> None:
    with script() as run:
        spool, token = started_spool(tmp_path, client, pid=run.pid)
        with shipper(spool, run.pid, token) as process:
            until_shipping(client, spool)
            process.send_signal(signal.SIGINT)
            fill(spool)
            wait_until(lambda: client.console(task_id(spool)).pieces)
            record(spool, "final", exit_code=0)
            end(run)
            assert process.wait(30) == 0
    task = client.get_task(task_id(spool))
    assert task.state is State.COMPLETED
    assert task.metrics["loss"]["train"].n_points == 3
    assert task.attempt is not None
    assert task.attempt.receipt[STDOUT].exact


def test_a_run_that_is_killed_is_told_with_its_last_words(client: Client, tmp_path: Path) -> None:
    with script() as run:
        spool, token = started_spool(tmp_path, client, pid=run.pid)
        with shipper(spool, run.pid, token) as process:
            until_shipping(client, spool)
            append(spool.stream(STDERR), b"allocating 80 GB\n")
            run.kill()
            assert process.wait(30) == 0
    task = client.get_task(task_id(spool))
    assert task.state is State.FAILED
    assert cause_of(task).kind is CauseKind.VANISHED
    assert cause_of(task).evidence == "allocating 80 GB\n"


def test_a_request_to_stop_ends_the_whole_tree(client: Client, tmp_path: Path) -> None:
    with script(STUBBORN) as run:
        assert run.stdout is not None
        child = int(run.stdout.readline())
        spool, token = started_spool(tmp_path, client, pid=run.pid)
        with shipper(spool, run.pid, token) as process:
            until_shipping(client, spool)
            client.abort(task_id(spool), reason="wrong data")
            assert process.wait(30) == 0
        assert run.wait(30) == -signal.SIGKILL
        wait_until(lambda: not still_there(child))
    task = client.get_task(task_id(spool))
    assert task.state is State.ABORTED
    assert cause_of(task).message == "wrong data"


def test_a_run_that_takes_longer_than_its_task_may_is_ended(client: Client, tmp_path: Path) -> None:
    with script() as run:
        spool, token = started_spool(tmp_path, client, pid=run.pid)
        task = json.loads(spool.task.read_text())
        task["policy"] = {"max_run_time_s": 0.2, "stop_grace_s": 9}
        spool.task.write_text(json.dumps(task))
        with shipper(spool, run.pid, token) as process:
            assert process.wait(30) == 0
        assert run.wait(30) == -signal.SIGINT
    cause = cause_of(client.get_task(task_id(spool)))
    assert (cause.kind, cause.message) == (
        CauseKind.TIME_LIMIT,
        "ran longer than its limit of 0.2 s",
    )
    assert cause.evidence == "SIGINT to 1 process"


def test_it_holds_nothing_open_that_the_script_writes_to(client: Client, tmp_path: Path) -> None:
    with script() as run:
        spool, token = started_spool(tmp_path, client, pid=run.pid)
        with shipper(spool, run.pid, token) as process:
            assert process.stdout is not None
            assert process.stdout.read() == b""  # its end comes while the process lives
            assert process.poll() is None


def test_a_run_that_began_without_its_server_is_started_there(
    client: Client, tmp_path: Path
) -> None:
    with script() as run:
        spool = make_spool(tmp_path, pid=run.pid, url=client.url)
        fill(spool)
        with shipper(spool, run.pid, client.token) as process:
            wait_until(lambda: [t.id for t in client.iter_tasks() if t.id == task_id(spool)])
            record(spool, "final", marked="complete", reason="good enough")
            end(run)
            assert process.wait(30) == 0
    task = client.get_task(task_id(spool))
    assert (task.state, task.name, cause_of(task).message) == (
        State.COMPLETED,
        "train",
        "good enough",
    )


def test_offline_it_samples_until_the_end_and_sync_does_the_rest(
    client: Client, tmp_path: Path
) -> None:
    with script() as run:
        spool = make_spool(tmp_path, pid=run.pid)
        with shipper(spool, run.pid, SAMPLE_EVERY_S=0.05) as process:
            records = spool.stream("records")
            wait_until(lambda: records.exists() and b":monitor:machine" in records.read_bytes())
            end(run)
            assert process.wait(30) == 0
    assert not spool.shipped.exists()
    assert sync(spool.root, client).closed
    assert "cpu_usage" in client.scalars(task_id(spool))[":monitor:machine"]


def test_a_server_that_stays_away_leaves_the_spool_to_sync(client: Client, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with script() as run, serving(home) as away:
        spool, token = started_spool(tmp_path, away.client, pid=run.pid)
    fill(spool)
    with shipper(spool, run.pid, token, LINGER_S=0.1) as process:
        assert process.wait(30) == 1
    assert "dray sync" in (spool.root / "shipper.log").read_text()
    assert sync(spool.root, client).state is State.FAILED


def test_a_run_that_moved_to_a_queue_is_left_alone(client: Client, tmp_path: Path) -> None:
    client.create_queue("gpu")
    with script() as run:
        spool, token = started_spool(tmp_path / "spools", client, pid=run.pid)
        with shipper(spool, run.pid, token) as process:
            until_shipping(client, spool)
            client.hand_over(task_id(spool), epoch=1, queue="gpu")
            assert process.wait(30) == 0
        assert run.poll() is None
    assert find_spools(HomePaths(tmp_path)) == []
    assert client.get_task(task_id(spool)).state is State.PENDING
