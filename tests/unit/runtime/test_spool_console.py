"""A flood in a spool: what is kept is what was written, and every gap is stated exactly."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dray.runtime.paths import SpoolPaths
from dray.runtime.records import RECORDS, STDERR, STDOUT, Chunk
from dray.runtime.spool_console import ConsoleBounds, ConsoleWriter, FloodGate, Kept
from dray.runtime.spool_reader import SpoolReader

SMALL = ConsoleBounds(burst_bytes=100, rate_bytes_s=10, resume_bytes=20, tail_bytes=8)


class Time:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def written_by(n_bytes: int, start: int) -> bytes:
    """Bytes of which each tells where it stands."""
    return bytes((start + i) * 7 % 251 for i in range(n_bytes))


WRITES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 1.0, 5.0]), st.integers(0, 90)), min_size=1, max_size=40
)


def test_what_is_within_bounds_is_kept_whole() -> None:
    gate = FloodGate(SMALL, 0.0)
    assert gate.take(b"x" * 60, 0.0) == [Kept(0, b"x" * 60)]
    assert gate.take(b"y" * 50, 1.0) == [Kept(60, b"y" * 50)], "10 bytes of room came back"
    assert gate.close() == []


def test_the_end_of_a_flood_follows_the_gap() -> None:
    gate = FloodGate(SMALL, 0.0)
    data = written_by(1000, 0)
    assert gate.take(data, 0.0) == [Kept(0, data[:100])]
    assert gate.close() == [Kept(992, data[992:], missing=892)]
    assert (gate.n_written, gate.sha256) == (1000, sha256(data))


def test_a_gap_ends_when_there_is_room_for_a_good_piece() -> None:
    gate = FloodGate(SMALL, 0.0)
    gate.take(b"x" * 150, 0.0)
    assert gate.take(b"y", 1.9) == [], "19 bytes of room are too few"
    assert gate.take(b"z", 2.0) == [Kept(143, b"x" * 7 + b"y", missing=43), Kept(151, b"z")]


def test_a_gap_ends_though_the_process_has_fallen_silent() -> None:
    gate = FloodGate(SMALL, 0.0)
    gate.take(b"x" * 150, 0.0)
    assert gate.resumes_in_s() == pytest.approx(2.0)
    assert gate.resume(2.0) == [Kept(142, b"x" * 8, missing=42)]
    assert gate.resumes_in_s() is None


def test_bytes_that_fit_the_held_end_leave_no_gap() -> None:
    gate = FloodGate(SMALL, 0.0)
    data = written_by(105, 0)
    assert gate.take(data, 0.0) == [Kept(0, data[:100])]
    assert gate.close() == [Kept(100, data[100:])]


@settings(max_examples=150, deadline=None)
@given(writes=WRITES)
def test_kept_bytes_and_gaps_are_together_what_was_written(writes: list[tuple[float, int]]) -> None:
    gate, now, data, kept = FloodGate(SMALL, 0.0), 0.0, b"", list[Kept]()
    for pause, n_bytes in writes:
        now += pause
        piece = written_by(n_bytes, len(data))
        data += piece
        kept += gate.take(piece, now)
    kept += gate.close()
    reached = 0
    for piece in kept:
        assert piece.offset - piece.missing == reached
        assert piece.data == data[piece.offset : piece.offset + len(piece.data)]
        reached = piece.offset + len(piece.data)
    assert reached == gate.n_written == len(data)
    assert gate.sha256 == sha256(data)
    n_gaps = sum(1 for piece in kept if piece.missing)
    assert sum(len(piece.data) for piece in kept) <= 100 + 10 * now + 8 * (n_gaps + 1)
    if kept and data:
        assert data.endswith(kept[-1].data)


@settings(max_examples=50, deadline=None)
@given(
    writes=WRITES,
    budget=st.integers(1, 64),
    back=st.lists(st.integers(0, 200), max_size=6),
)
def test_a_reader_sends_the_same_bytes_and_gaps_wherever_it_begins(
    tmp_path_factory: pytest.TempPathFactory,
    writes: list[tuple[float, int]],
    budget: int,
    back: list[int],
) -> None:
    """The server may be anywhere, also inside a gap: what it is sent fits what was written."""
    spool, time, data = SpoolPaths(tmp_path_factory.mktemp("spool")), Time(), b""
    writer, reader = ConsoleWriter(spool, STDOUT, SMALL, time), SpoolReader(spool)
    held: dict[int, int] = {}
    reached = 0

    def send() -> bool:
        nonlocal reached
        chunks = reader.chunks({STDOUT: reached}, reader.totals(), budget)
        for chunk in chunks:
            assert chunk.begin == reached
            assert chunk.data == data[chunk.offset : chunk.end]
            held.update(enumerate(chunk.data, chunk.offset))
            reached = chunk.end
        return bool(chunks)

    for pause, n_bytes in writes:
        time.now += pause
        piece = written_by(n_bytes, len(data))
        data += piece
        writer.write(piece)
        send()
        reached = max(0, reached - back.pop()) if back else reached
    writer.close()
    while send():
        pass
    assert reached == len(data)
    receipt = reader.receipt(reader.totals()).get(STDOUT, {"n_bytes": 0, "sha256": sha256(b"")})
    missing = len(data) - len(held)
    assert (receipt["n_bytes"], receipt["sha256"]) == (len(data), sha256(data))
    assert receipt.get("missing_bytes", 0) == missing
    kept = bytes(held[at] for at in sorted(held))
    assert receipt.get("kept_sha256", receipt["sha256"]) == sha256(kept)
    assert spool.stream(STDOUT).read_bytes() == kept


def test_a_spool_that_was_cut_off_in_a_gap_knows_no_sum(tmp_path: Path) -> None:
    spool, time = SpoolPaths(tmp_path), Time()
    writer = ConsoleWriter(spool, STDOUT, SMALL, time)
    writer.write(b"x" * 200)
    time.now = 10.0
    writer.write(b"end")  # and its agent is killed
    reader = SpoolReader(spool)
    receipt = reader.receipt(reader.totals())[STDOUT]
    assert (receipt["n_bytes"], receipt["missing_bytes"], receipt["sha256"]) == (203, 92, "")


def test_a_gap_that_is_noted_is_not_told_before_the_bytes_after_it(tmp_path: Path) -> None:
    spool = SpoolPaths(tmp_path)
    spool.stream(STDOUT).write_bytes(b"abc")
    spool.gaps(STDOUT).write_bytes(b'{"position": 3, "offset": 3, "n_bytes": 9}\n{"position": 4,')
    reader = SpoolReader(spool)
    assert reader.totals() == {STDOUT: 3}
    with spool.stream(STDOUT).open("ab") as file:
        file.write(b"d")
    assert reader.totals() == {STDOUT: 13}
    assert reader.chunks({STDOUT: 3}, {STDOUT: 13}, 10) == [Chunk(STDOUT, 12, b"d", 9)]


def test_after_a_failed_write_a_stream_takes_nothing_more(tmp_path: Path) -> None:
    spool = SpoolPaths(tmp_path)
    writer = ConsoleWriter(spool, STDOUT, SMALL, Time())
    writer.write(b"abc")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, writer._fd)  # pyright: ignore[reportPrivateUsage]  (a disk that fills up)
    os.close(full)
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            writer.write(b"def")
    with pytest.raises(OSError, match="No space"):
        writer.close()
    assert spool.stream(STDOUT).read_bytes() == b"abc"


def test_a_flood_on_one_stream_holds_up_neither_the_other_nor_records(tmp_path: Path) -> None:
    spool = SpoolPaths(tmp_path)
    spool.stream(STDOUT).write_bytes(b"x" * 1000)
    spool.stream(STDERR).write_bytes(b"warning\n")
    spool.stream(RECORDS).write_bytes(b'{"k":"comment"}\n' * 100)
    reader = SpoolReader(spool)
    chunks = reader.chunks({}, reader.totals(), 100)
    assert [(chunk.stream, len(chunk.data)) for chunk in chunks] == [
        (STDERR, 8),
        (STDOUT, 67),
        (RECORDS, 16),
    ]
