"""Frames of an attempt: each byte once, every record where it belongs, an honest receipt."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dray.runtime import causes
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.errors import InvalidInput, NotFound, OffsetMismatch, StaleEpoch
from dray.runtime.ids import new_id
from dray.runtime.machine import Enqueue, LoseContact, RequestStop
from dray.runtime.models import ConfigObject, Parameter
from dray.runtime.records import Chunk, encode_record
from dray.runtime.states import Phase, State
from dray.runtime.store import Store, incoming
from tests.contract.conftest import BY, TTL_S, World, finish_of


def scalar(i: int, v: Any = 0.5) -> bytes:
    return encode_record("scalar", 1.0, title="loss", series="train", i=i, v=v)


async def stored(world: World, task_id: str, stream: str = "stdout") -> bytes:
    raw = await world.store.console.raw(task_id, 1, stream)
    with open(raw.path, "rb") as file:  # noqa: ASYNC230  (a few bytes)
        return file.read(raw.n_bytes)


async def iterations(world: World, task_id: str) -> list[int]:
    return (await world.store.results.scalars(task_id))["loss"]["train"].iterations


async def test_console_bytes_land_in_their_file_and_in_the_index(world: World) -> None:
    task_id, epoch = await world.running()
    reply = await world.ship(
        task_id, epoch, Chunk("prepare", 0, b"building\n"), Chunk("stdout", 0, b"hello\n")
    )
    assert reply.offsets == {"records": 0, "stdout": 6, "stderr": 0, "prepare": 9}
    assert reply.n_console_bytes == 15
    assert await stored(world, task_id) == b"hello\n"
    page = await world.store.console.pieces(task_id)
    assert sorted((p.stream, p.text) for p in page.pieces) == [
        ("prepare", "building\n"),
        ("stdout", "hello\n"),
    ]


async def test_bytes_that_come_again_are_skipped(world: World) -> None:
    task_id, epoch = await world.running()
    for _ in range(2):
        await world.ship(task_id, epoch, Chunk("stdout", 0, b"abc"), Chunk("records", 0, scalar(1)))
    reply = await world.ship(task_id, epoch, Chunk("stdout", 1, b"bcdef"))
    assert reply.offsets["stdout"] == 6
    assert await stored(world, task_id) == b"abcdef"
    assert await iterations(world, task_id) == [1]
    metric = (await world.store.tasks.get(task_id)).metrics["loss"]["train"]
    assert metric.n_points == 1


async def test_bytes_that_come_again_in_pieces_are_skipped(world: World) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"abcdef"))
    again = (Chunk("stdout", 0, b"ab"), Chunk("stdout", 2, b"cdefgh"))
    assert (await world.ship(task_id, epoch, *again)).offsets["stdout"] == 8
    assert await stored(world, task_id) == b"abcdefgh"


async def test_a_gap_is_refused_as_a_whole_with_the_offsets_to_go_on_from(world: World) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"abc"))
    with pytest.raises(OffsetMismatch) as caught:
        await world.ship(task_id, epoch, Chunk("stderr", 0, b"x"), Chunk("stdout", 4, b"e"))
    assert caught.value.details["expected"] == {
        "records": 0,
        "stdout": 3,
        "stderr": 0,
        "prepare": 0,
    }
    assert await world.store.results.offsets(task_id, epoch) == {"stdout": 3}


async def test_chunks_of_one_stream_in_one_frame_follow_each_other(world: World) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"ab"), Chunk("stdout", 2, b"cd"))
    assert await stored(world, task_id) == b"abcd"


async def test_a_record_cut_between_frames_is_whole_in_the_end(world: World) -> None:
    task_id, epoch = await world.running()
    data, at = scalar(1) + scalar(2), 0
    for end in (10, len(scalar(1)) + 5, len(data) - 1, len(data)):
        reply = await world.ship(task_id, epoch, Chunk("records", at, data[at:end]))
        assert reply.offsets["records"] == end, "accepted, whether or not the line is whole"
        at = end
    assert await iterations(world, task_id) == [1, 2]


async def test_the_beginning_of_a_record_survives_a_restart(world: World) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("records", 0, scalar(1)[:20]))
    await world.store.close()
    async with await Store.open(world.home, world.clock) as store:
        world.store = store
        await world.ship(task_id, epoch, Chunk("records", 20, scalar(1)[20:]))
        assert await iterations(world, task_id) == [1]


@pytest.mark.invariant(5)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 120)), max_size=8))
async def test_whatever_is_repeated_or_cut_the_stream_is_stored_once(
    world: World, cuts: list[tuple[int, int]]
) -> None:
    """A shipper that goes back, overlaps and repeats; the server ends up with the stream."""
    task_id, epoch = await world.running()
    lines = [scalar(i) for i in range(4)]
    data, reached = b"".join(lines), 0
    for wanted, length in (*cuts, (0, len(data))):
        start = min(wanted, reached)
        piece = data[start : start + length]
        reply = await world.ship(
            task_id, epoch, Chunk("records", start, piece), Chunk("stdout", start, piece)
        )
        reached = max(reached, start + len(piece))
        assert reply.offsets["records"] == reply.offsets["stdout"] == reached
    assert await iterations(world, task_id) == [0, 1, 2, 3]
    assert await stored(world, task_id) == data


async def test_two_frames_at_once_are_taken_in_one_after_the_other(world: World) -> None:
    task_id, epoch = await world.running()
    same = Chunk("stdout", 0, b"x" * 100_000)
    replies = await asyncio.gather(*(world.ship(task_id, epoch, same) for _ in range(4)))
    assert {r.offsets["stdout"] for r in replies} == {100_000}
    assert sorted(r.n_console_bytes for r in replies) == [0, 0, 0, 100_000]
    pieces = (await world.store.console.pieces(task_id)).pieces
    assert sum(len(p.text) for p in pieces) == 100_000


async def test_every_kind_of_record_finds_its_place(world: World) -> None:
    task_id, epoch = await world.running(tags=["old"], parameters={"A/x": Parameter("1")})

    async def record(kind: str, **members: Any) -> None:
        await world.record(task_id, epoch, kind, **members)

    await record("single", name="accuracy", v=0.9)
    await record("text", level="warning", message="careful")
    await record("plot", title="cm", series="s", i=3, type="table", data={"rows": [[1, 2]]})
    await record("artifact", name="model", type="file", sha256="a" * 64, n_bytes=3)
    await record("parameters", values={"A/y": {"value": "2", "type": "int", "description": "d"}})
    await record("configuration", values={"net": {"text": "layers: 3"}})
    await record("properties", values={"grade": "A"})
    await record("runtime", values={"host": "h"})
    await record("execution", values={"packages": ["numpy==2.1"], "commit": "c" * 40})
    await record("tags", add=["new"], remove=["old"])
    await record("comment", text="done soon")
    await record("progress", v=140)
    await record("final", exit_code=0)

    task = await world.store.tasks.get(task_id)
    assert task.single_values == {"accuracy": 0.9}
    assert [a.name for a in task.artifacts] == ["model"]
    assert task.artifacts[0].created_at == world.clock.now()
    assert task.parameters == {"A/x": Parameter("1"), "A/y": Parameter("2", "int", "d")}
    assert task.configuration == {"net": ConfigObject("layers: 3")}
    assert (task.properties, task.runtime) == ({"grade": "A"}, {"host": "h"})
    assert (task.execution.packages, task.execution.commit) == (["numpy==2.1"], "c" * 40)
    assert (task.tags, task.comment, task.progress) == (["new"], "done soon", 100.0)
    (plot,) = await world.store.results.plots(task_id)
    assert (plot.title, plot.iteration, plot.data) == ("cm", 3, {"rows": [[1, 2]]})
    (text,) = await world.store.results.texts(task_id)
    assert (text.level, text.message) == ("warning", "careful")
    assert "records_malformed" not in await world.events(task_id)


async def test_records_take_away_what_records_have_put(world: World) -> None:
    task_id, epoch = await world.running()
    put = [
        {"k": "parameters", "values": {"A/x": {"value": "1"}, "A/y": {"value": "2"}}},
        {"k": "configuration", "values": {"net": {"text": "layers: 3"}}},
        {"k": "properties", "values": {"grade": "A", "team": "B"}},
    ]
    taken = [
        {"k": "parameters", "values": {"A/x": None, "A/nowhere": None}},
        {"k": "configuration", "values": {"net": None}},
        {"k": "properties", "values": {"grade": None}},
    ]
    lines = b"".join(json.dumps({"t": 1.0, **one}).encode() + b"\n" for one in [*put, *taken])
    await world.ship(task_id, epoch, Chunk("records", 0, lines))
    task = await world.store.tasks.get(task_id)
    assert "A/x" not in task.parameters
    assert task.parameters["A/y"] == Parameter("2")
    assert (task.configuration, task.properties) == ({}, {"team": "B"})


MALFORMED = [
    b"not json\n",
    b"[1]\n",
    b'{"t": 1}\n',
    b'{"k": "surprise", "t": 1}\n',
    b'{"k": "scalar", "t": 1, "title": "a", "series": "b", "i": 1}\n',
    b'{"k": "scalar", "t": 1, "title": "a", "series": "b", "i": 1e400, "v": 1}\n',
    b'{"k": "scalar", "t": 1, "title": "a", "series": "b", "i": 99999999999999999999, "v": 1}\n',
    b'{"k": "scalar", "t": 1, "title": 7, "series": "b", "i": 1, "v": 1}\n',
    b'{"k": "scalar", "t": NaN, "title": "a", "series": "b", "i": 1, "v": 1}\n',
    b'{"k": "artifact", "t": 1, "name": "m"}\n',
    b'{"k": "execution", "t": 1, "values": {"packages": 3}}\n',
    b'{"k": "execution", "t": 1, "values": {"nonsense": 3}}\n',
    b'{"k": "execution", "t": 1, "values": {"resources": {"cpus": -1}}}\n',
    b'{"k": "parameters", "t": 1, "values": {"a": 1}}\n',
    b'{"k": "runtime", "t": 1, "values": {"a": 1}}\n',
    b'{"k": "progress", "t": 1, "v": "NaN"}\n',
    b'{"k": "tags", "t": 1, "add": [1]}\n',
    b"\xff\xfe\n",
    b"[" * 100_000 + b"\n",
]


async def test_lines_that_cannot_be_used_are_counted_and_stop_nothing(world: World) -> None:
    task_id, epoch = await world.running()
    data = b"".join(MALFORMED) + b"\n" + scalar(1)
    reply = await world.ship(task_id, epoch, Chunk("records", 0, data))
    assert reply.offsets["records"] == len(data)
    assert await iterations(world, task_id) == [1]
    entry = (await world.store.audit.list(task_id)).items[-1]
    assert entry.event == "records_malformed"
    assert entry.details["n_lines"] == len(MALFORMED)
    assert "not json" in entry.details["first"]


async def test_numbers_and_texts_no_database_takes_are_taken_all_the_same(world: World) -> None:
    task_id, epoch = await world.running()
    data = b"".join(
        [
            scalar(1, "NaN"),
            scalar(2, 1.0),
            scalar(3, float("inf")),
            b'{"k":"comment","t":1,"text":"half \\ud83d\\u0000"}\n',
            b'{"k":"plot","t":1,"title":"p","series":"s","type":"table","data":[NaN, 1e999]}\n',
        ]
    )
    await world.ship(task_id, epoch, Chunk("records", 0, data))
    points = (await world.store.results.scalars(task_id))["loss"]["train"]
    assert points.values == [None, 1.0, None]
    task = await world.store.tasks.get(task_id)
    metric = task.metrics["loss"]["train"]
    assert (metric.last, metric.last_iteration, metric.n_points) == (1.0, 2, 3)
    assert task.comment.startswith("half ")
    (plot,) = await world.store.results.plots(task_id)
    assert json.dumps(plot.data, allow_nan=False) == '["NaN", "Infinity"]'


async def test_a_line_without_end_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "LINE_LIMIT_BYTES", 100)
    task_id, epoch = await world.running()
    endless = b"x" * 150
    await world.ship(task_id, epoch, Chunk("records", 0, endless))
    await world.ship(task_id, epoch, Chunk("records", 150, b"x\n" + scalar(1)))
    assert await iterations(world, task_id) == [1]
    assert (await world.events(task_id)).count("records_malformed") == 2


async def test_every_frame_renews_the_lease(world: World) -> None:
    task_id, epoch = await world.running()
    world.clock.pass_s(20)
    reply = await world.ship(task_id, epoch)
    assert reply.lease_ttl_s == TTL_S
    assert (await world.head(task_id)).lease_expires_at == world.clock.now() + TTL_S


async def test_a_frame_brings_an_unreachable_attempt_back(world: World) -> None:
    task_id, epoch = await world.running()
    world.clock.pass_s(TTL_S)
    await world.store.tasks.apply(task_id, LoseContact(epoch), BY)
    reply = await world.ship(task_id, epoch, executing=True)
    assert reply.phase is Phase.EXECUTING


async def test_a_frame_that_says_executing_begins_it_once(world: World) -> None:
    task_id, epoch = await world.running()
    world.clock.pass_s(3)
    first = await world.ship(task_id, epoch, executing=True)
    assert first.phase is Phase.EXECUTING
    assert first.change is not None
    assert first.change.before.phase is Phase.PREPARING
    world.clock.pass_s(3)
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"x"), executing=True)
    (attempt,) = await world.store.attempts.list(task_id)
    assert attempt.executing_at == world.clock.now() - 3
    assert attempt.first_output_at == world.clock.now()


async def test_preparing_is_no_first_output(world: World) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("prepare", 0, b"x"))
    (attempt,) = await world.store.attempts.list(task_id)
    assert attempt.first_output_at is None


async def test_the_environment_is_kept_with_the_attempt(world: World) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, environment={"key": "k", "reused": False, "seconds": 2})
    (attempt,) = await world.store.attempts.list(task_id)
    assert attempt.environment is not None
    assert attempt.environment.seconds == 2.0


async def test_a_stop_asked_for_comes_back_with_every_reply(world: World) -> None:
    task_id, epoch = await world.running()
    asked = causes.aborted("user", "enough")
    await world.store.tasks.apply(task_id, RequestStop(asked), BY)
    for _ in range(2):
        assert (await world.ship(task_id, epoch)).stop == asked


async def test_a_finish_closes_with_an_exact_receipt(world: World) -> None:
    task_id, epoch = await world.running()
    records = scalar(1)
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"one "))
    reply = await world.ship(
        task_id,
        epoch,
        Chunk("stdout", 4, b"two"),
        Chunk("records", 0, records),
        finish=finish_of(causes.exited(0), stdout=b"one two", stderr=b"", records=records),
    )
    assert (reply.state, reply.phase) == (State.COMPLETED, None)
    (attempt,) = await world.store.attempts.list(task_id)
    assert {s: (r.stored_bytes, r.exact) for s, r in attempt.receipt.items()} == {
        "stdout": (7, True),
        "stderr": (0, True),
        "records": (len(records), True),
    }
    assert (await world.store.audit.list(task_id)).items[-1].details == {}


@pytest.mark.parametrize("written", [b"one two three", b"one TWO", b"one"])
async def test_a_receipt_that_does_not_fit_is_kept_and_audited(
    world: World, written: bytes
) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"one two"))
    await world.ship(task_id, epoch, finish=finish_of(causes.exited(0), stdout=written))
    (attempt,) = await world.store.attempts.list(task_id)
    receipt = attempt.receipt["stdout"]
    assert (receipt.n_bytes, receipt.stored_bytes, receipt.exact) == (len(written), 7, False)
    end = (await world.store.audit.list(task_id)).items[-1]
    assert end.event == "complete"
    assert end.details["inexact"]["stdout"]["stored_bytes"] == 7


async def test_records_that_are_fewer_than_were_written_are_not_called_exact(world: World) -> None:
    task_id, epoch = await world.running()
    written = scalar(1) + scalar(2)
    await world.ship(task_id, epoch, Chunk("records", 0, scalar(1)))
    await world.ship(task_id, epoch, finish=finish_of(causes.exited(0), records=written))
    (attempt,) = await world.store.attempts.list(task_id)
    receipt = attempt.receipt["records"]
    assert (receipt.stored_bytes, receipt.exact) == (len(scalar(1)), False)


async def test_a_record_cut_off_by_the_end_is_said_in_the_audit(world: World) -> None:
    task_id, epoch = await world.running()
    await world.ship(
        task_id,
        epoch,
        Chunk("records", 0, scalar(1) + scalar(2)[:12]),
        finish=finish_of(causes.killed(9)),
    )
    end = (await world.store.audit.list(task_id)).items[-1]
    assert (end.event, end.details) == ("fail", {"record_cut_off_bytes": 12})


PREEMPTED = Cause(CauseKind.PREEMPTED, "its node was needed")


@pytest.mark.parametrize("cause", [causes.exited(0), causes.exited(3), PREEMPTED], ids=str)
async def test_a_finish_whose_reply_was_lost_is_answered_again(world: World, cause: Cause) -> None:
    task_id, epoch = await world.running()
    chunk, finish = Chunk("stdout", 0, b"bye"), finish_of(cause, stdout=b"bye")
    first = await world.ship(task_id, epoch, chunk, finish=finish)
    events = await world.events(task_id)
    again = await world.ship(task_id, epoch, chunk, finish=finish)
    assert (again.state, again.offsets) == (first.state, first.offsets)
    assert await world.events(task_id) == events


async def test_another_finish_of_a_closed_attempt_is_refused(world: World) -> None:
    task_id = await world.ended(causes.exited(0))
    with pytest.raises(StaleEpoch):
        await world.ship(task_id, 1, finish=finish_of(causes.exited(1)))


async def test_an_old_attempt_can_write_nothing(world: World) -> None:
    task_id = await world.ended(causes.exited(1))
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    assert (await world.claim(task_id)).epoch == 2
    for epoch in (0, 1, 3):
        with pytest.raises(StaleEpoch):
            await world.ship(
                task_id,
                epoch,
                Chunk("stdout", 0, b"late"),
                Chunk("records", 0, encode_record("comment", 1.0, text="late")),
            )
    assert (await world.store.console.pieces(task_id)).pieces == []
    assert (await world.store.tasks.get(task_id)).comment == ""
    assert not world.home.console_stream(task_id, 1, "stdout").exists()


async def test_an_attempt_that_is_over_hears_so_whatever_its_frame_lacks(world: World) -> None:
    """Told of the gap it would send from there, and for ever."""
    task_id = await world.ended(causes.exited(1))
    with pytest.raises(StaleEpoch):
        await world.ship(task_id, 1, Chunk("stdout", 99, b"late"))


async def test_a_frame_for_a_task_that_is_gone_says_so(world: World) -> None:
    with pytest.raises(NotFound):
        await world.ship(new_id(), 1, Chunk("stdout", 0, b"x"))


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"finish": {}}, "finish"),
        ({"finish": {"cause": {"kind": "boredom", "message": ""}}}, "finish"),
        ({"finish": {"cause": {"kind": "signal", "message": ""}, "receipt": [1]}}, "finish"),
        ({"environment": {"key": 3}}, "environment"),
    ],
)
async def test_a_frame_that_cannot_be_read_is_refused_by_field(
    world: World, members: dict[str, Any], field: str
) -> None:
    task_id, epoch = await world.running()
    with pytest.raises(InvalidInput) as caught:
        await world.ship(task_id, epoch, Chunk("stdout", 0, b"x"), **members)
    assert caught.value.details["field"] == field
    assert await world.store.results.offsets(task_id, epoch) == {}


async def test_a_crash_before_the_offsets_were_kept_doubles_nothing(world: World) -> None:
    """Facts and console bytes are written first; the shipper sends them again."""
    task_id, epoch = await world.running()
    world.store.console.append(task_id, epoch, "stdout", 0, b"hello wor")
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"hello world"))
    assert await stored(world, task_id) == b"hello world"
    await world.ship(task_id, epoch, finish=finish_of(causes.exited(0), stdout=b"hello world"))
    (attempt,) = await world.store.attempts.list(task_id)
    assert attempt.receipt["stdout"].exact


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which file is synced")
async def test_what_a_closed_attempt_put_out_is_on_the_disk_before_its_end_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"hello"))
    synced: list[tuple[str, State]] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        with closing(sqlite3.connect(world.home.state_db)) as beside:
            (state,) = beside.execute("SELECT state FROM tasks").fetchone()
        synced.append((name, State(state)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    await world.ship(task_id, epoch, finish=finish_of(causes.exited(0), stdout=b"hello"))
    assert ("results.db-wal", State.RUNNING) in synced
