"""The spool: what a training process appends, and what a shipper reads of it."""

import hashlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.runtime.errors import InvalidInput, TooLarge
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import RECORDS, STDERR, STDOUT, encode_record
from dray.runtime.spool import RECORD_LIMIT_BYTES, SpoolWriter
from dray.runtime.spool_reader import SpoolReader, final_record


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


@pytest.fixture
def spool(tmp_path: Path) -> SpoolPaths:
    return SpoolPaths(tmp_path)


class Number:
    """As numpy's and torch's scalars: it prints as something else than a number."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value

    def __int__(self) -> int:
        return int(self.value)

    def __repr__(self) -> str:
        return f"tensor({self.value})"


def test_a_scalar_is_one_line_with_its_members(path: Path) -> None:
    before = time.time()
    with SpoolWriter(path) as writer:
        writer.scalar("loss", "train", 7, 0.1)
    (record,) = records(path)
    assert before - 1e-3 <= float(str(record.pop("t"))) <= time.time()
    assert record == {"k": "scalar", "title": "loss", "series": "train", "i": 7, "v": 0.1}


@given(title=st.text(), series=st.text(), i=st.integers(), v=st.floats())
def test_any_name_and_any_float_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, title: str, series: str, i: int, v: float
) -> None:
    path = tmp_path_factory.mktemp("spool") / "records.jsonl"
    with SpoolWriter(path) as writer:
        writer.scalar(title, series, i, v)
    (record,) = records(path)
    assert (record["title"], record["series"], record["i"]) == (title, series, i)
    assert record["v"] == v or (math.isnan(v) and math.isnan(float(str(record["v"]))))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_encoded_alike_by_both_encoders(path: Path, value: float) -> None:
    with SpoolWriter(path) as writer:
        writer.scalar("loss", "train", 0, value)
        writer.append("single", name="best", v=value)
    scalar, single = path.read_bytes().splitlines()
    word = json.dumps(value).encode()
    assert b'"v":' + word in scalar
    assert b'"v":' + word in single
    assert b'"v":' + word in encode_record("single", 0.0, name="best", v=value)


def test_scalars_of_other_libraries_are_taken_as_numbers(path: Path) -> None:
    with SpoolWriter(path) as writer:
        writer.scalar("loss", "train", Number(3.0), Number(0.25))  # type: ignore[arg-type]
        writer.scalar("ok", "flag", 1, True)
    assert [(r["i"], r["v"]) for r in records(path)] == [(3, 0.25), (1, 1.0)]


@pytest.mark.parametrize(
    ("title", "iteration", "value"),
    [
        ("loss", 1, "high"),
        ("loss", "first", 1.0),
        ("loss", 1, None),
        (3, 1, 1.0),
        ([], 1, 1.0),
        ("loss", 1.5, 1.0),
    ],
)
def test_what_is_no_point_is_refused_by_name_and_leaves_no_line(
    path: Path, title: object, iteration: object, value: object
) -> None:
    with SpoolWriter(path) as writer:
        with pytest.raises(InvalidInput, match="scalar"):
            writer.scalar(title, "train", iteration, value)  # type: ignore[arg-type]
        writer.scalar("loss", "train", 1, 1.0)
    assert len(records(path)) == 1


def test_a_record_json_cannot_hold_is_refused(path: Path) -> None:
    with SpoolWriter(path) as writer, pytest.raises(InvalidInput, match="plot"):
        writer.append("plot", data=object())
    assert path.read_bytes() == b""


def test_a_record_too_large_for_a_frame_is_refused(path: Path) -> None:
    with SpoolWriter(path) as writer, pytest.raises(TooLarge, match="artifact"):
        writer.append("plot", data="x" * RECORD_LIMIT_BYTES)
    assert path.read_bytes() == b""


def test_an_existing_file_is_appended_to(path: Path) -> None:
    for i in range(2):
        with SpoolWriter(path) as writer:
            writer.scalar("loss", "train", i, 1.0)
    assert [r["i"] for r in records(path)] == [0, 1]


def test_threads_write_whole_lines(path: Path) -> None:
    with SpoolWriter(path) as writer:

        def work(name: str) -> None:
            for i in range(500):
                writer.scalar(name, "x" * 200, i, 1.0)

        threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(records(path)) == 2000


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_forked_and_spawned_children_append_to_the_same_file(path: Path) -> None:
    code = """
import os, subprocess, sys
from dray.runtime.spool import SpoolWriter
writer = SpoolWriter(sys.argv[1])
def work(name):
    for i in range(300):
        writer.scalar(name, "x" * 300, i, 0.5)
children = []
for n in range(2):
    pid = os.fork()
    if pid == 0:
        work(f"child {n}")
        os._exit(0)
    children.append(pid)
work("parent")
for pid in children:
    os.waitpid(pid, 0)
spawned = "import sys; from dray.runtime.spool import SpoolWriter; "
spawned += "SpoolWriter(sys.argv[1]).scalar('spawned', 's', 1, 1.0)"
subprocess.run([sys.executable, "-c", spawned, sys.argv[1]], check=True)
"""
    run_python(code, str(path))
    titles = [str(r["title"]) for r in records(path)]
    assert titles[-1] == "spawned"
    assert titles.count("parent") == titles.count("child 0") == titles.count("child 1") == 300


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_costs_records_and_never_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    with SpoolWriter("/dev/full") as writer:
        for i in range(3):
            writer.scalar("loss", "train", i, 1.0)
    assert writer.n_lost == 3
    assert capsys.readouterr().err.count("records cannot be written") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
def test_when_there_is_room_again_the_losses_are_told_on_a_line_of_their_own(path: Path) -> None:
    code = """
import resource, signal, sys
from dray.runtime.spool import SpoolWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
writer = SpoolWriter(sys.argv[1])
writer.scalar("loss", "train", 0, 1.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
for i in range(1, 4):
    writer.scalar("loss", "train", i, 1.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.scalar("loss", "train", 4, 1.0)
writer.scalar("loss", "train", 5, 1.0)
"""
    run_python(code, str(path))
    lines = path.read_bytes().splitlines()
    whole = [json.loads(line) for line in (lines[0], *lines[2:])]
    assert lines[1].startswith(b'{"k":"scalar"'), "torn in the middle"
    assert [r.get("i") for r in whole] == [0, None, 4, 5]
    assert whole[1]["message"].startswith("3 records were lost")


def test_a_scalar_costs_less_than_twice_what_a_hand_written_line_does(path: Path) -> None:
    n_points = 2000
    fd = os.open(path.with_suffix(".hand"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def by_hand() -> None:
        for i in range(n_points):
            line = {"k": "scalar", "title": "a", "series": "b", "i": i, "v": 0.5, "t": time.time()}
            os.write(fd, json.dumps(line).encode() + b"\n")

    def by_writer() -> None:
        for i in range(n_points):
            writer.scalar("a", "b", i, 0.5)

    def seconds(work: object) -> float:
        started = time.perf_counter()
        work()  # type: ignore[operator]
        return time.perf_counter() - started

    with SpoolWriter(path) as writer:
        best = {work: min(seconds(work) for _ in range(5)) for work in (by_hand, by_writer)}
    os.close(fd)
    assert best[by_writer] <= 2 * best[by_hand]


def test_importing_the_writer_is_cheap() -> None:
    code = "import sys; import dray.runtime.spool; print('\\n'.join(sys.modules))"
    loaded = set(run_python(code).stdout.splitlines())
    assert not loaded & {"asyncio", "dataclasses", "http", "hashlib", "socket", "subprocess"}


# What a shipper reads.


def write(spool: SpoolPaths, stream: str, data: bytes) -> None:
    with spool.stream(stream).open("ab") as file:
        file.write(data)


def read_all(reader: SpoolReader, sent: dict[str, int], budget: int) -> dict[str, bytes]:
    """Read to the end as a shipper does, checking that each step moves on."""
    got: dict[str, bytes] = {}
    totals = reader.totals()
    while chunks := reader.chunks(sent, totals, budget):
        for chunk in chunks:
            assert chunk.offset == sent.get(chunk.stream, 0)
            got[chunk.stream] = got.get(chunk.stream, b"") + chunk.data
            sent[chunk.stream] = chunk.offset + len(chunk.data)
    return got


def test_of_records_only_whole_lines_are_read(spool: SpoolPaths) -> None:
    reader = SpoolReader(spool)
    write(spool, RECORDS, b'{"k":"a"}\n{"k":"b')
    assert reader.totals() == {RECORDS: 10}
    assert [c.data for c in reader.chunks({}, reader.totals(), 1000)] == [b'{"k":"a"}\n']
    assert not reader.has_more({RECORDS: 10})
    write(spool, RECORDS, b'"}\n')
    assert reader.has_more({RECORDS: 10})
    (chunk,) = reader.chunks({RECORDS: 10}, reader.totals(), 1000)
    assert (chunk.offset, chunk.data) == (10, b'{"k":"b"}\n')


def test_a_budget_is_kept_but_for_a_single_large_record(spool: SpoolPaths) -> None:
    write(spool, STDOUT, b"o" * 150)
    write(spool, RECORDS, b"r" * 299 + b"\n" + b"s" * 9 + b"\n")
    reader = SpoolReader(spool)
    totals = reader.totals()
    first = reader.chunks({}, totals, 100)
    assert [(c.stream, len(c.data)) for c in first] == [(STDOUT, 75)], "a quarter is for records"
    second = reader.chunks({STDOUT: 75}, totals, 100)
    assert [(c.stream, len(c.data)) for c in second] == [(STDOUT, 75)]
    third = reader.chunks({STDOUT: 150}, totals, 100)
    assert [(c.stream, len(c.data)) for c in third] == [(RECORDS, 300)]


@given(
    out=st.binary(max_size=300),
    err=st.binary(max_size=300),
    lines=st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"") + b"\n")),
    budget=st.integers(1, 200),
    rewind=st.integers(0, 300),
)
def test_whatever_the_budget_all_bytes_come_in_order_and_the_receipt_is_theirs(
    tmp_path_factory: pytest.TempPathFactory,
    out: bytes,
    err: bytes,
    lines: list[bytes],
    budget: int,
    rewind: int,
) -> None:
    spool = SpoolPaths(tmp_path_factory.mktemp("spool"))
    written = {STDOUT: out, STDERR: err, RECORDS: b"".join(lines)}
    for stream, data in written.items():
        write(spool, stream, data)
    reader = SpoolReader(spool)
    assert read_all(reader, {}, budget) == {k: v for k, v in written.items() if v}
    # A server that lost some bytes is served again, and nothing is hashed twice.
    back = min(rewind, len(out))
    again = read_all(reader, {**reader.totals(), STDOUT: back}, budget)
    assert again.get(STDOUT, b"") == out[back:]
    assert reader.receipt(reader.totals()) == {
        stream: {"n_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for stream, data in written.items()
    }


def test_the_receipt_covers_bytes_that_were_never_read_here(spool: SpoolPaths) -> None:
    write(spool, STDOUT, b"shipped by a process that died")
    reader = SpoolReader(spool)
    assert reader.receipt({STDOUT: 7})[STDOUT]["sha256"] == hashlib.sha256(b"shipped").hexdigest()


def test_a_file_cut_short_from_outside_ends_where_it_ends(spool: SpoolPaths) -> None:
    write(spool, STDOUT, b"x" * 100)
    reader = SpoolReader(spool)
    assert reader.totals() == {STDOUT: 100}
    os.truncate(spool.stream(STDOUT), 40)
    assert reader.totals() == {STDOUT: 40}
    assert reader.chunks({STDOUT: 60}, reader.totals(), 100) == []


def test_the_last_final_record_counts(spool: SpoolPaths) -> None:
    assert final_record(spool) is None
    write(spool, RECORDS, encode_record("text", 1.0, message='the "final" word'))
    assert final_record(spool) is None
    write(spool, RECORDS, encode_record("final", 2.0, exit_code=1))
    write(spool, RECORDS, encode_record("final", 3.0, marked="complete"))
    write(spool, RECORDS, encode_record("scalar", 4.0, title="late", series="child", i=0, v=1.0))
    write(spool, RECORDS, b'{"k":"final","exit_')
    found = final_record(spool)
    assert found is not None
    assert found["marked"] == "complete"
