"""Gaps of a console: stated to the byte, accepted once, never taken for what was written."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dray.runtime import causes, codec
from dray.runtime.errors import OffsetMismatch
from dray.runtime.models import Gap, StreamReceipt
from dray.runtime.paths import HomePaths
from dray.runtime.records import Chunk
from dray.runtime.store import Store
from dray.runtime.store.reserve import Level
from tests.contract.conftest import BY, HandClock, World

DONE = causes.exited(0)


async def stored(store: Store, task_id: str, stream: str = "stdout") -> bytes:
    raw = await store.console.raw(task_id, 1, stream)
    with open(raw.path, "rb") as file:  # noqa: ASYNC230  (a few bytes)
        return file.read(raw.n_bytes)


async def receipt(world: World, task_id: str) -> StreamReceipt:
    (attempt,) = await world.store.attempts.list(task_id)
    return attempt.receipt["stdout"]


def finish(written: bytes, kept: bytes) -> dict[str, Any]:
    sums = {
        "n_bytes": len(written),
        "sha256": hashlib.sha256(written).hexdigest(),
        "missing_bytes": len(written) - len(kept),
        "kept_sha256": hashlib.sha256(kept).hexdigest(),
    }
    return {"cause": codec.to_json(DONE), "receipt": {"stdout": sums}}


async def test_a_stated_gap_moves_the_offset_and_takes_no_room(world: World) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"abc"))
    reply = await world.ship(task_id, epoch, Chunk("stdout", 1000, b"end", skipped=997))
    assert reply.offsets["stdout"] == 1003
    assert reply.n_console_bytes == 1000
    assert await stored(world.store, task_id) == b"abcend"
    pieces = (await world.store.console.pieces(task_id)).pieces
    assert [(p.offset, p.missing, p.text) for p in pieces] == [(0, 0, "abc"), (1000, 997, "end")]


async def test_a_frame_with_a_gap_that_comes_again_is_skipped(world: World) -> None:
    task_id, epoch = await world.running()
    chunk = Chunk("stdout", 90, b"0123456789", skipped=90)
    for _ in range(2):
        reply = await world.ship(task_id, epoch, chunk)
        assert reply.offsets["stdout"] == 100
    assert await stored(world.store, task_id) == b"0123456789"
    assert await world.store.console.gaps(task_id, epoch, "stdout") == [Gap(0, 90)]


async def test_a_hole_nobody_stated_is_refused(world: World) -> None:
    task_id, epoch = await world.running()
    with pytest.raises(OffsetMismatch, match="goes on at byte 0, the frame at 5"):
        await world.ship(task_id, epoch, Chunk("stdout", 10, b"x", skipped=5))
    assert await world.store.results.offsets(task_id, epoch) == {}


async def test_a_receipt_states_the_gaps_and_is_exact_outside_them(world: World) -> None:
    task_id, epoch = await world.running()
    written = b"abc" + b"x" * 997 + b"end" + b"y" * 50 + b"!"
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"abc"))
    await world.ship(
        task_id,
        epoch,
        Chunk("stdout", 1000, b"end", skipped=997),
        Chunk("stdout", 1053, b"!", skipped=50),
        finish=finish(written, b"abcend!"),
    )
    sha256 = hashlib.sha256(written).hexdigest()
    gaps = [Gap(3, 997), Gap(1003, 50)]
    assert await receipt(world, task_id) == StreamReceipt(1054, sha256, 7, True, 1047, gaps)


@pytest.mark.parametrize("said", [b"abCend", b"abcendX", b"abcen"])
async def test_what_is_stored_beside_a_gap_must_be_what_was_kept(world: World, said: bytes) -> None:
    task_id, epoch = await world.running()
    written = b"abc" + b"x" * 997 + b"end"
    chunks = Chunk("stdout", 0, b"abc"), Chunk("stdout", 1000, b"end", skipped=997)
    await world.ship(task_id, epoch, *chunks, finish=finish(written, said))
    assert not (await receipt(world, task_id)).exact


async def test_half_a_character_before_a_gap_is_not_joined_with_what_follows(world: World) -> None:
    task_id, epoch = await world.running()
    euro = "€".encode()
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"1" + euro[:2]))
    await world.ship(task_id, epoch, Chunk("stdout", 13, euro[2:] + b"2", skipped=10))
    pieces = (await world.store.console.pieces(task_id)).pieces
    assert [piece.text for piece in pieces] == ["1", "\ufffd2"]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    runs=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=5),
    cuts=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=8),
)
async def test_whatever_is_repeated_or_cut_gaps_and_bytes_are_stored_once(
    world: World, runs: list[tuple[int, int]], cuts: list[tuple[int, int]]
) -> None:
    """A shipper that goes back into gaps, overlaps and repeats; (missing, kept) are the runs."""
    task_id, epoch = await world.running()
    spans, kept, end = list[tuple[int, int, int]](), b"", 0
    for missing, n_bytes in runs:
        spans.append((end, end + missing, end + missing + n_bytes))
        end += missing + n_bytes
    written = bytes(i * 7 % 251 for i in range(end))
    kept = b"".join(written[offset:stop] for _, offset, stop in spans)
    reached = 0
    for wanted, length in (*cuts, (0, end)):
        start = min(wanted, reached)
        chunks = list(_chunks(written, spans, start, start + length))
        reply = await world.ship(task_id, epoch, *chunks)
        reached = max([reached, *(chunk.end for chunk in chunks)])
        assert reply.offsets["stdout"] == reached
    assert await stored(world.store, task_id) == kept
    told = await world.store.console.gaps(task_id, epoch, "stdout")
    assert [(g.offset, g.n_bytes) for g in told] == [(a, b - a) for a, b, _ in spans if b > a]
    await world.ship(task_id, epoch, finish=finish(written, kept))
    assert (await receipt(world, task_id)).exact


def _chunks(written: bytes, spans: list[tuple[int, int, int]], start: int, stop: int) -> Any:
    """What a shipper that begins at ``start`` sends; a gap is stated as a whole."""
    for begin, offset, end in spans:
        if start < end and offset < stop:
            at = max(start, offset)
            yield Chunk("stdout", at, written[at : min(end, stop)], max(0, at - max(start, begin)))


class NoRoom:
    """A disk that has room for state alone."""

    def __init__(self) -> None:
        self.now = Level.NO_CONSOLE

    def level(self) -> Level:
        return self.now


async def test_output_on_a_disk_without_room_becomes_a_gap(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Disk reserve: console is given up, and said to be, while state still moves."""
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"before\n"))
    reserve = NoRoom()
    monkeypatch.setattr(world.store.reserve, "level", reserve.level)
    await world.ship(task_id, epoch, Chunk("stdout", 7, b"lost "))
    await world.ship(task_id, epoch, Chunk("stdout", 12, b"lost\n"), executing=True)
    reserve.now = Level.PLENTY
    await world.ship(task_id, epoch, Chunk("stdout", 17, b"after\n"))
    assert await stored(world.store, task_id) == b"before\nafter\n"
    written = b"before\nlost lost\nafter\n"
    await world.ship(task_id, epoch, finish=finish(written, written))
    closed = await receipt(world, task_id)
    assert (closed.missing_bytes, closed.gaps) == (10, [Gap(7, 10)]), "two frames, one gap"
    assert not closed.exact, "what its writer kept and what is stored differ"


async def test_a_disk_that_is_full_all_the_same_makes_a_gap_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id, epoch = await world.running()

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", refuse)
        reply = await world.ship(task_id, epoch, Chunk("stdout", 0, b"lost"))
    assert reply.offsets["stdout"] == 4
    await world.ship(task_id, epoch, Chunk("stdout", 4, b"kept"))
    assert await stored(world.store, task_id) == b"kept"
    assert await world.store.console.gaps(task_id, epoch, "stdout") == [Gap(0, 4)]


async def test_gaps_survive_a_restart_and_go_with_a_reset(
    world: World, home: HomePaths, clock: HandClock
) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("stdout", 50, b"abc", skipped=50))
    await world.store.close()
    async with await Store.open(home, clock) as world.store:
        await world.ship(task_id, epoch, Chunk("stdout", 53, b"def"))
        assert await stored(world.store, task_id) == b"abcdef"
        await world.store.tasks.delete(task_id, BY, force=True)
        assert await world.store.console.gaps(task_id, epoch, "stdout") == []
