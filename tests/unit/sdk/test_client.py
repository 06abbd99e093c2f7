"""The client against the real server: one typed method for each route."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.runtime import causes, ids
from dray.runtime.config import Settings
from dray.runtime.errors import (
    AmbiguousId,
    Conflict,
    DrayError,
    Forbidden,
    IllegalTransition,
    InvalidInput,
    NotFound,
    OffsetMismatch,
    ServerUnreachable,
    StaleEpoch,
    Unauthorized,
)
from dray.runtime.execution import Execution
from dray.runtime.models import Parameter, TaskType
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import RECORDS, STDOUT, Chunk, Frame, encode_record
from dray.runtime.states import Phase, State
from dray.sdk.client import Client, find_server
from dray.sdk.ship.shipping import Shipper
from tests.unit.sdk.live import TOKEN, Live, serving


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(tmp_path_factory.mktemp("home")) as live:
        yield live


@pytest.fixture
def client(live: Live) -> Client:
    return live.client


def start(client: Client) -> tuple[str, int, Client]:
    """A run started by hand: its id, its epoch and a client with its own token."""
    task = client.create_task("demo", "train")
    started = client.start(task.id, agent="local:here", node="here", claim_id=ids.new_id())
    return task.id, started.epoch, Client(client.url, started.token)


def finish(client: Client, task_id: str, epoch: int, code: int = 0) -> None:
    end = {"cause": {"kind": "exit_code", "message": "over", "exit_code": code}, "receipt": {}}
    client.send_frame(task_id, epoch, Frame(finish=end))


def test_a_task_is_made_found_edited_cloned_and_deleted(client: Client) -> None:
    task = client.create_task(
        "demo/vision",
        "resnet",
        type=TaskType.TESTING,
        tags=["a"],
        parameters={"Args/lr": Parameter("0.1", "float")},
        execution=Execution(entry_point="train.py"),
    )
    assert (task.state, task.type, task.project) == (State.DRAFT, TaskType.TESTING, "demo/vision")
    assert client.get_task(task.id[:12]) == task
    edited = client.edit_task(
        task.id, name="resnet-50", properties={"owner": "me"}, execution={"commit": "c" * 40}
    )
    assert edited.execution == Execution(entry_point="train.py", commit="c" * 40)
    clone = client.clone_task(task.id, name="again")
    assert clone.parent_id == task.id
    assert clone.parameters == task.parameters
    client.delete_task(clone.id)
    with pytest.raises(NotFound):
        client.get_task(clone.id)


def test_lists_are_paged_and_iterated(client: Client) -> None:
    made = [client.create_task("paged", f"t{i}", tags=["p"]).id for i in range(5)]
    page = client.list_tasks(project="paged", limit=2, order="created_at")
    assert [task.id for task in page.items] == made[:2]
    second = client.list_tasks(
        project="paged", limit=2, order="created_at", cursor=page.next_cursor
    )
    assert [task.id for task in second.items] == made[2:4]
    every = client.iter_tasks(project="paged", order="created_at", page_size=2)
    assert [task.id for task in every] == made
    assert client.list_tasks(project="paged", state=[State.RUNNING, "failed"]).items == []
    assert [t.id for t in client.iter_tasks(project="paged", name_exact="t3")] == [made[3]]


def test_a_repeated_creation_is_answered_again(client: Client) -> None:
    first = client.create_task("demo", "once", idempotency_key="the-key")
    assert client.create_task("demo", "once", idempotency_key="the-key").id == first.id


def test_a_task_goes_through_a_queue_and_back(client: Client) -> None:
    client.create_queue("slow")
    task = client.create_task("demo", "queued")
    enqueued = client.enqueue(task.id, "slow", priority=3)
    assert enqueued.task.state is State.PENDING
    assert [e.task_id for e in client.queue_tasks("slow")] == [task.id]
    assert client.get_queue("slow").n_pending == 1
    assert client.why(task.id).state is State.PENDING
    assert client.dequeue(task.id).state is State.DRAFT
    client.enqueue(task.id, "slow")
    assert client.abort(task.id, reason="no need").state is State.ABORTED
    assert client.reset(task.id).state is State.DRAFT
    client.delete_queue("slow", force=True)
    assert "slow" not in [queue.name for queue in client.list_queues()]
    events = [entry.event for entry in client.history(task.id).items]
    assert {"enqueue", "dequeue", "abort", "reset"} <= set(events)


def test_a_run_started_by_hand_ships_renews_and_ends(client: Client) -> None:
    task_id, epoch, own = start(client)
    lines = encode_record("scalar", 1.0, title="loss", series="train", i=0, v=0.5)
    lines += encode_record("scalar", 2.0, title="loss", series="train", i=1, v=float("nan"))
    frame = Frame([Chunk(STDOUT, 0, b"hello\n"), Chunk(RECORDS, 0, lines)], executing=True)
    reply = own.send_frame(task_id, epoch, frame)
    assert reply.offsets[STDOUT] == 6
    assert reply.phase is Phase.EXECUTING
    assert own.renew(task_id, epoch).stop is None
    with pytest.raises(OffsetMismatch) as refusal:
        own.send_frame(task_id, epoch, Frame([Chunk(STDOUT, 9, b"gap")]))
    assert refusal.value.details["expected"][STDOUT] == 6
    finish(own, task_id, epoch)
    assert client.get_task(task_id).state is State.COMPLETED
    with pytest.raises(StaleEpoch):
        own.renew(task_id, epoch)
    assert client.attempts(task_id)[0].agent == "local:here"
    series = client.scalars(task_id)["loss"]["train"]
    assert series.iterations == [0, 1]
    assert series.values[0] == 0.5
    assert series.values[1] != series.values[1]
    assert client.console(task_id).pieces[0].text == "hello\n"
    assert b"".join(client.console_raw(task_id, start=1, end=4)) == b"ell"
    assert client.plots(task_id) == []
    assert client.publish(task_id).state is State.PUBLISHED


def test_a_renewal_waits_for_a_request_to_stop(client: Client) -> None:
    task_id, epoch, own = start(client)
    stops: list[object] = []
    waiting = threading.Thread(
        target=lambda: stops.append(own.renew(task_id, epoch, wait_s=60.0).stop)
    )
    waiting.start()
    client.abort(task_id, reason="wrong data")
    waiting.join(30)
    (stop,) = stops
    assert isinstance(stop, causes.Cause)
    assert stop.message == "wrong data"


def test_waiting_returns_at_the_end_or_when_time_is_over(client: Client) -> None:
    task_id, epoch, own = start(client)
    assert client.wait(task_id, timeout=0.01).state is State.RUNNING
    assert client.wait(task_id, [State.RUNNING]).state is State.RUNNING
    ending = threading.Thread(target=finish, args=(own, task_id, epoch, 3))
    ending.start()
    assert client.wait(task_id).state is State.FAILED
    ending.join(30)


def test_a_followed_console_ends_with_the_task(client: Client) -> None:
    task_id, epoch, own = start(client)
    seen: list[str] = []
    for i, piece in enumerate(_written_while_followed(client, own, task_id, epoch)):
        seen.append(piece)
        assert i < 3
    assert "".join(seen) == "one\ntwo\nthree\n"


def _written_while_followed(client: Client, own: Client, task_id: str, epoch: int) -> Iterator[str]:
    words, offset = [b"two\n", b"three\n"], 4
    own.send_frame(task_id, epoch, Frame([Chunk(STDOUT, 0, b"one\n")]))
    for piece in client.follow_console(task_id):
        yield piece.text
        if words:
            word = words.pop(0)
            own.send_frame(task_id, epoch, Frame([Chunk(STDOUT, offset, word)]))
            offset += len(word)
        else:
            finish(own, task_id, epoch)


def test_a_run_moves_to_a_queue(client: Client) -> None:
    client.create_queue("gpu", elastic=False)
    task_id, epoch, own = start(client)
    moved = own.hand_over(task_id, epoch=epoch, queue="gpu", parameters={"Args/lr": Parameter("1")})
    assert moved.task.state is State.PENDING
    assert moved.task.parameters["Args/lr"].value == "1"
    assert not moved.queue_served
    assert moved.warning


def test_a_task_is_marked_by_hand(client: Client) -> None:
    task_id, _, own = start(client)
    task = own.mark(task_id, "failed", reason="looks wrong")
    assert task.cause is not None
    assert task.cause.message == "looks wrong"


def test_blobs_and_artifacts_travel_whole(client: Client, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4000
    sha256 = hashlib.sha256(data).hexdigest()
    source, target = tmp_path / "model.bin", tmp_path / "back.bin"
    source.write_bytes(data)
    assert client.missing_blobs([sha256, sha256]) == [sha256]
    assert client.put_blob(source) == sha256
    assert client.put_blob(b"small") == hashlib.sha256(b"small").hexdigest()
    assert client.missing_blobs([sha256]) == []
    assert client.get_blob(sha256, target).read_bytes() == data
    assert client.read_blob(sha256) == data
    task_id, epoch, own = start(client)
    line = encode_record("artifact", 1.0, name="a/model", type="file", sha256=sha256)
    own.send_frame(task_id, epoch, Frame([Chunk(RECORDS, 0, line)]))
    assert [artifact.name for artifact in client.artifacts(task_id)] == ["a/model"]
    assert client.artifact(task_id, "a/model").sha256 == sha256
    assert client.artifact_content(task_id, "a/model") == data
    client.download_artifact(task_id, "a/model", target)
    assert target.read_bytes() == data
    assert sorted(p.name for p in tmp_path.iterdir()) == ["back.bin", "model.bin"]


def test_a_blob_that_is_not_there_leaves_no_file(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        client.get_blob("0" * 64, tmp_path / "never")
    assert list(tmp_path.iterdir()) == []


def test_projects_are_kept(client: Client) -> None:
    project = client.create_project("kept", description="first")
    assert client.get_project("kept") == client.get_project(project.id)
    assert client.edit_project("kept", description="second").description == "second"
    assert "kept" in [p.name for p in client.list_projects()]
    client.delete_project("kept")
    with pytest.raises(NotFound):
        client.get_project("kept")


def test_the_server_tells_of_itself(client: Client) -> None:
    assert client.healthz()
    assert client.server_info().version
    assert client.list_agents() == []
    with pytest.raises(NotFound):
        client.get_agent("nobody")


def test_refusals_are_raised_as_the_servers_own_classes(client: Client) -> None:
    task_id, _, own = start(client)
    with pytest.raises(IllegalTransition, match="running") as refusal:
        client.publish(task_id)
    assert refusal.value.details["state"] == "running"
    with pytest.raises(Conflict):
        client.create_task("demo", "twin", id=task_id)
    with pytest.raises(InvalidInput):
        client.create_task("demo", "")
    with pytest.raises(InvalidInput):
        client.get_task("zz")
    with pytest.raises(Forbidden):
        own.delete_task(client.create_task("demo", "somebody's").id)
    with pytest.raises(Unauthorized):
        Client(client.url, "not-the-token").list_tasks()
    same = "abcd"
    for end in "12":
        client.create_task("demo", "prefix", id=same + end * 28)
    with pytest.raises(AmbiguousId):
        client.get_task(same)


async def test_a_spool_is_shipped_to_the_real_server(client: Client, tmp_path: Path) -> None:
    spool = SpoolPaths(tmp_path)
    task_id, epoch, own = await asyncio.to_thread(start, client)
    spool.stream(STDOUT).write_bytes(b"a line\n")
    data = b"weights"
    spool.blobs.mkdir()
    sha256 = hashlib.sha256(data).hexdigest()
    (spool.blobs / sha256).write_bytes(data)
    line = encode_record("artifact", 1.0, name="model", type="file", sha256=sha256)
    spool.stream(RECORDS).write_bytes(line)
    async with Shipper(spool, task_id, epoch, own) as shipper:
        reply = await shipper.finish(causes.exited(0), 30)
    assert reply.state is State.COMPLETED
    task = await asyncio.to_thread(client.get_task, task_id)
    assert task.attempt is not None
    assert {name: end.exact for name, end in task.attempt.receipt.items()} == {
        STDOUT: True,
        RECORDS: True,
    }
    assert await asyncio.to_thread(client.artifact_content, task_id, "model") == data


# Which server.


def test_without_a_server_the_way_out_is_told(tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachable, match="run `dray up` or set DRAY_URL and DRAY_TOKEN"):
        Client.from_settings(Settings(home=tmp_path))


def test_the_server_started_here_is_found_with_its_token(live: Live, tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text(json.dumps({"url": live.url}))
    (tmp_path / "token").write_text(TOKEN + "\n")
    assert Client.from_settings(Settings(home=tmp_path)).server_info().version


def test_a_token_goes_only_to_the_server_it_belongs_to(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text(json.dumps({"url": "http://127.0.0.1:8262"}))
    (tmp_path / "token").write_text(TOKEN)
    other = Settings(home=tmp_path, url="https://elsewhere.example")
    assert find_server(other) == ("https://elsewhere.example", "")
    same = Settings(home=tmp_path, url="http://127.0.0.1:8262/")
    assert find_server(same)[1] == TOKEN
    given = Settings(home=tmp_path, url="https://elsewhere.example", token="theirs")
    assert find_server(given) == ("https://elsewhere.example", "theirs")


def test_a_damaged_note_of_the_server_is_told(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text("{")
    with pytest.raises(DrayError, match="cannot be read"):
        find_server(Settings(home=tmp_path))
