"""Sync: a spool shipped later, in whole or in part, as often as one likes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.runtime.causes import CauseKind
from dray.runtime.errors import IllegalTransition, InvalidInput, ServerUnreachable
from dray.runtime.paths import HomePaths, SpoolPaths
from dray.runtime.records import RECORDS, STDERR, STDOUT, Chunk, Frame
from dray.runtime.states import State
from dray.sdk.client import Client
from dray.sdk.runs.endings import cause_of
from dray.sdk.ship.shipped import Shipped, load_shipped, save_shipped
from dray.sdk.ship.sync import find_spools, sync
from tests.unit.sdk.live import TOKEN, Live, serving
from tests.unit.sdk.sink import append
from tests.unit.sdk.spools import fill, make_spool, record, started_spool, task_id
from tests.unit.sdk.test_parcels import artifact


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(tmp_path_factory.mktemp("home")) as live:
        yield live


@pytest.fixture
def client(live: Live) -> Client:
    return live.client


def stored(client: Client, spool: SpoolPaths, stream: str = STDOUT) -> bytes:
    return b"".join(client.console_raw(task_id(spool), stream=stream))


def test_a_run_recorded_offline_is_made_whole_on_the_server(client: Client, tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    fill(spool)
    artifact(spool, "model", b"weights")
    record(spool, "final", exit_code=0)
    report = sync(spool.root, client)
    assert (report.state, report.closed, report.epoch, report.note) == (
        State.COMPLETED,
        True,
        1,
        "",
    )
    assert report.n_bytes == sum(spool.stream(s).stat().st_size for s in (STDOUT, RECORDS))
    task = client.get_task(task_id(spool))
    assert task.execution.entry_point == "train.py"
    assert task.metrics["loss"]["train"].n_points == 3
    assert stored(client, spool) == b"epoch 1\nepoch 2\n"
    assert client.artifact_content(task.id, "model") == b"weights"
    assert task.attempt is not None
    assert all(end.exact for end in task.attempt.receipt.values())


def test_a_second_sync_changes_nothing(client: Client, tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    fill(spool)
    record(spool, "final", exit_code=0)
    first = sync(spool.root, client)
    before = client.get_task(task_id(spool))
    again = sync(spool.root, client)
    assert (again.n_bytes, again.closed, again.epoch) == (0, True, first.epoch)
    spool.shipped.unlink()  # nor does one that forgot about the first
    with pytest.raises(IllegalTransition, match="completed"):
        sync(spool.root, client)
    assert client.get_task(task_id(spool)) == before


def test_the_rest_of_a_run_whose_server_went_away_is_sent(client: Client, tmp_path: Path) -> None:
    spool, _ = started_spool(tmp_path, client)
    fill(spool)
    client.send_frame(task_id(spool), 1, Frame([Chunk(STDOUT, 0, b"epoch 1\n")], executing=True))
    save_shipped(spool, Shipped(client.url, 1, {STDOUT: 8}))
    record(spool, "final", exit_code=2, exception="ValueError: no")
    report = sync(spool.root, client)
    assert report.state is State.FAILED
    assert stored(client, spool) == b"epoch 1\nepoch 2\n"
    cause = client.get_task(task_id(spool)).cause
    assert cause is not None
    assert (cause.exit_code, cause.evidence) == (2, "ValueError: no")


def test_of_a_run_that_goes_on_what_is_there_is_sent_and_the_rest_later(
    client: Client, tmp_path: Path
) -> None:
    spool = make_spool(tmp_path, pid=os.getpid())
    fill(spool)
    report = sync(spool.root, client)
    assert (report.state, report.closed) == (State.RUNNING, False)
    assert stored(client, spool) == b"epoch 1\nepoch 2\n"
    append(spool.stream(STDOUT), b"epoch 3\n")
    assert sync(spool.root, client).n_bytes == 8
    assert find_spools(HomePaths(tmp_path)) == []


def test_a_run_without_a_last_record_vanished(client: Client, tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    append(spool.stream(STDERR), b"Killed by the kernel\n")
    assert sync(spool.root, client).state is State.FAILED
    cause = client.get_task(task_id(spool)).cause
    assert cause is not None
    assert cause.kind is CauseKind.VANISHED
    assert cause.evidence == "Killed by the kernel\n"


def test_a_run_of_another_machine_is_over_whatever_has_its_pid_here(
    client: Client, tmp_path: Path
) -> None:
    spool = make_spool(tmp_path, pid=os.getpid(), node="some-other-host")
    assert sync(spool.root, client).closed


def test_a_pid_that_was_given_out_again_is_not_the_run(client: Client, tmp_path: Path) -> None:
    spool = make_spool(tmp_path, pid=os.getpid())
    os.utime(spool.attempt, (1000.0, 1000.0))  # long before this process was born
    assert sync(spool.root, client).closed


def test_what_the_server_lost_is_sent_again(client: Client, tmp_path: Path) -> None:
    spool = make_spool(tmp_path)
    fill(spool)
    record(spool, "final", exit_code=0)
    sync(spool.root, client)
    client.delete_task(task_id(spool))
    assert sync(spool.root, client).state is State.COMPLETED
    assert stored(client, spool) == b"epoch 1\nepoch 2\n"


def test_the_epoch_at_the_server_is_kept_when_it_differs(client: Client, tmp_path: Path) -> None:
    spool = make_spool(tmp_path, pid=os.getpid(), epoch=7, url="http://another.example")
    fill(spool)
    assert sync(spool.root, client).epoch == 1
    assert load_shipped(spool, client.url).epoch == 1
    assert json.loads(spool.attempt.read_text())["epoch"] == 7


def test_a_task_that_ran_again_since_is_left_alone(client: Client, tmp_path: Path) -> None:
    spool, _ = started_spool(tmp_path, client)
    task = task_id(spool)
    end = {"cause": {"kind": "exit_code", "message": "over", "exit_code": 0}, "receipt": {}}
    client.send_frame(task, 1, Frame(finish=end))
    client.reset(task)
    client.start(task, agent="local:b", node="b", claim_id="another")
    fill(spool)
    with pytest.raises(IllegalTransition):
        sync(spool.root, client)
    assert client.get_task(task).epoch == 2


def test_an_attempt_the_server_has_closed_is_told_and_not_tried_again(
    client: Client, tmp_path: Path
) -> None:
    spool, _ = started_spool(tmp_path / "spools", client)
    end = {"cause": {"kind": "aborted", "message": "gone", "by": "user"}, "receipt": {}}
    client.send_frame(task_id(spool), 1, Frame(finish=end))
    fill(spool)
    report = sync(spool.root, client)
    assert (report.state, report.closed, report.n_bytes) == (State.ABORTED, True, 0)
    assert "over" in report.note
    assert find_spools(HomePaths(tmp_path)) == []


def test_unshipped_spools_are_found_oldest_first(client: Client, tmp_path: Path) -> None:
    home = HomePaths(tmp_path)
    assert find_spools(home) == []
    spools = [make_spool(home.spools) for _ in range(3)]
    (home.spools / "no-spool").mkdir()
    for age, spool in enumerate(reversed(spools)):
        os.utime(spool.task, (1000.0 + age, 1000.0 + age))
    assert find_spools(home) == [spool.root for spool in reversed(spools)]
    sync(spools[1].root, client)
    assert find_spools(home) == [spools[2].root, spools[0].root]


def test_a_folder_that_is_no_spool_is_told(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no spool"):
        sync(tmp_path, client)


def test_a_server_that_restarts_in_between_gets_the_rest(tmp_path: Path) -> None:
    home, spool = tmp_path / "home", make_spool(tmp_path / "spools", pid=os.getpid())
    fill(spool)
    with serving(home) as first:
        sync(spool.root, first.client)
    with pytest.raises(ServerUnreachable):
        sync(spool.root, Client(first.url, TOKEN, retries=0))
    append(spool.stream(STDOUT), b"more\n")
    with serving(home, port=int(first.url.rpartition(":")[2])) as second:
        assert sync(spool.root, second.client).n_bytes == 5
        assert stored(second.client, spool) == b"epoch 1\nepoch 2\nmore\n"


@pytest.mark.parametrize(
    ("final", "kind", "message"),
    [
        ({"exit_code": 0}, CauseKind.EXIT_CODE, "exited with code 0"),
        ({"exit_code": 1, "reason": "ValueError: no"}, CauseKind.EXIT_CODE, "ValueError: no"),
        ({"signal": 15}, CauseKind.SIGNAL, "ended by SIGTERM"),
        ({"marked": "complete"}, CauseKind.MARKED, "marked completed by user"),
        ({"marked": "fail", "reason": "bad"}, CauseKind.MARKED, "bad"),
        ({"marked": "explode"}, CauseKind.VANISHED, "cannot be read"),
        ({}, CauseKind.VANISHED, "cannot be read"),
    ],
)
def test_a_last_record_is_the_cause(
    final: dict[str, object], kind: CauseKind, message: str
) -> None:
    cause = cause_of(final)
    assert cause.kind is kind
    assert message in cause.message
