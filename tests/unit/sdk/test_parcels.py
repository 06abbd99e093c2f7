"""Parcels: whatever fails, what the server holds is a prefix of the spool, and equal at the end."""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dray.runtime import causes
from dray.runtime.codec import from_json
from dray.runtime.errors import OffsetMismatch, ServerUnreachable, StaleEpoch
from dray.runtime.execution import EnvironmentReport
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import RECORDS, STDERR, STDOUT, encode_record
from dray.sdk.ship.parcels import News, ParcelService
from dray.sdk.ship.shipped import Shipped, load_shipped, save_shipped
from dray.sdk.ship.uploads import Blob
from tests.unit.sdk.sink import Sink, append, lost

DONE = causes.exited(0)


@pytest.fixture
def spool(tmp_path: Path) -> SpoolPaths:
    return SpoolPaths(tmp_path)


@pytest.fixture
def sink() -> Sink:
    return Sink()


def service(spool: SpoolPaths, sink: Sink, **options: Any) -> ParcelService:
    return ParcelService(spool, "f" * 32, 1, sink, **options)


def test_a_spool_and_its_end_go_in_one_frame(spool: SpoolPaths, sink: Sink) -> None:
    append(spool.stream(STDOUT), b"hello\n")
    append(spool.stream(RECORDS), b'{"k":"comment"}\n')
    parcels = service(spool, sink)
    reply, parcel = parcels.send_next(News(executing=True, cause=DONE))
    (frame,) = sink.frames
    assert reply is not None
    assert parcel.is_rest
    assert frame.executing
    assert frame.finish is not None
    assert frame.finish["receipt"][STDOUT] == {
        "n_bytes": 6,
        "sha256": hashlib.sha256(b"hello\n").hexdigest(),
    }
    assert load_shipped(spool, sink.url) == Shipped(sink.url, 1, dict(parcels.offsets), True)


def test_with_nothing_to_say_nothing_is_sent(spool: SpoolPaths, sink: Sink) -> None:
    reply, parcel = service(spool, sink).send_next(News())
    assert reply is None
    assert parcel.is_rest
    assert sink.frames == []


def test_what_was_prepared_goes_along(spool: SpoolPaths, sink: Sink) -> None:
    report = EnvironmentReport("key", True, 0.5, "3.11.7", ["numpy==2.0"])
    service(spool, sink).send_next(News(environment=report))
    assert from_json(EnvironmentReport, sink.frames[0].environment) == report


def test_the_end_waits_for_the_last_byte(spool: SpoolPaths, sink: Sink) -> None:
    append(spool.stream(STDOUT), b"x" * 25)
    parcels = service(spool, sink, frame_bytes=10)
    while not parcels.is_closed:
        parcels.send_next(News(cause=DONE))
    assert [frame.finish is not None for frame in sink.frames] == [False, False, True]
    assert sink.data[STDOUT] == b"x" * 25


def test_a_new_shipper_goes_on_where_the_last_one_was(spool: SpoolPaths, sink: Sink) -> None:
    append(spool.stream(STDOUT), b"first ")
    service(spool, sink).send_next(News())
    append(spool.stream(STDOUT), b"second")
    service(spool, sink).send_next(News())
    assert sink.frames[1].chunks[0].offset == 6
    assert sink.data[STDOUT] == b"first second"


def test_what_another_server_has_counts_for_nothing(spool: SpoolPaths) -> None:
    append(spool.stream(STDOUT), b"bytes")
    service(spool, Sink()).send_next(News())
    other = Sink(url="http://other")
    service(spool, other).send_next(News())
    assert other.data[STDOUT] == b"bytes"


@pytest.mark.parametrize("held", [b"", b"by", b"bytes and more"])
def test_it_jumps_to_where_the_server_is(spool: SpoolPaths, sink: Sink, held: bytes) -> None:
    append(spool.stream(STDOUT), b"bytes and more than that")
    save_shipped(spool, Shipped(sink.url, 1, {STDOUT: 20}))
    sink.data[STDOUT] = held
    parcels = service(spool, sink)
    parcels.send_next(News(cause=DONE))
    assert sink.data[STDOUT] == b"bytes and more than that"


def test_a_server_that_never_agrees_is_given_up(spool: SpoolPaths, sink: Sink) -> None:
    append(spool.stream(STDOUT), b"bytes")
    for expected in range(10):
        sink.before.append(OffsetMismatch("no", expected={STDOUT: expected % 2}))
    with pytest.raises(OffsetMismatch, match="other bytes"):
        service(spool, sink).send_next(News())


def artifact(spool: SpoolPaths, name: str, data: bytes | None) -> str:
    sha256 = hashlib.sha256(data or name.encode()).hexdigest()
    if data is not None:
        spool.blobs.mkdir(exist_ok=True)
        (spool.blobs / sha256).write_bytes(data)
    line = encode_record("artifact", 1.0, name=name, type="file", sha256=sha256)
    append(spool.stream(RECORDS), line)
    return sha256


def test_a_record_waits_for_the_blob_it_names(spool: SpoolPaths, sink: Sink) -> None:
    append(spool.stream(RECORDS), b'{"k":"comment","text":"before"}\n')
    sha256 = artifact(spool, "model", b"weights")
    append(spool.stream(STDOUT), b"console\n")
    parcels = service(spool, sink)
    _, parcel = parcels.send_next(News(cause=DONE))
    assert parcel.blobs == [Blob(sha256)]
    assert sink.data == {STDOUT: b"console\n", RECORDS: b'{"k":"comment","text":"before"}\n'}
    parcels.upload(parcel.blobs)
    parcels.send_next(News(cause=DONE))
    assert sink.blobs == {sha256: b"weights"}
    assert sink.log.index("blob") < len(sink.log) - 1
    assert parcels.is_closed
    assert sink.data[RECORDS] == spool.stream(RECORDS).read_bytes()


def test_a_blob_the_server_has_is_not_sent(spool: SpoolPaths, sink: Sink) -> None:
    sink.blobs[artifact(spool, "model", b"weights")] = b"weights"
    parcels = service(spool, sink)
    _, parcel = parcels.send_next(News())
    parcels.upload(parcel.blobs)
    assert sink.log == []


def test_a_blob_that_is_gone_does_not_hold_up_the_records(
    spool: SpoolPaths, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    sha256 = artifact(spool, "model", None)
    parcels = service(spool, sink)
    _, parcel = parcels.send_next(News())
    with caplog.at_level(logging.WARNING):
        parcels.upload(parcel.blobs)
    assert sha256[:12] in caplog.text
    parcels.send_next(News())
    assert sink.data[RECORDS] == spool.stream(RECORDS).read_bytes()


def test_what_grows_after_the_end_was_sent_is_not_part_of_it(spool: SpoolPaths, sink: Sink) -> None:
    append(spool.stream(STDOUT), b"the run")
    sink.after.append(lost())
    parcels = service(spool, sink)
    with pytest.raises(ServerUnreachable):
        parcels.send_next(News(cause=DONE))
    append(spool.stream(STDOUT), b" and an orphan")
    parcels.send_next(News(cause=DONE))
    assert parcels.is_closed
    assert sink.data[STDOUT] == b"the run"


def test_an_old_epoch_is_refused(spool: SpoolPaths, sink: Sink) -> None:
    sink.epoch = 2
    with pytest.raises(StaleEpoch):
        service(spool, sink).send_next(News(executing=True))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"epoch": "one"}'])
def test_a_damaged_note_of_what_was_shipped_counts_as_none(spool: SpoolPaths, text: str) -> None:
    spool.shipped.write_text(text)
    assert load_shipped(spool, "http://sink") == Shipped("http://sink")


# The invariant, over every sequence of what can happen.


@dataclass(frozen=True)
class Append:
    stream: str
    data: bytes


@dataclass(frozen=True)
class Send:
    """``fails`` before or after the server has taken it, or not at all."""

    fails: str


@dataclass(frozen=True)
class Restart:
    """A new shipper; ``forgets`` what was shipped, as after a power cut."""

    forgets: bool


LINE = st.binary(max_size=30).map(lambda b: b.replace(b"\n", b".").replace(b"\r", b".") + b"\n")
STEPS = st.lists(
    st.one_of(
        st.builds(Append, st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=60)),
        st.builds(Append, st.just(RECORDS), LINE),
        st.builds(Append, st.just(RECORDS), st.just(json.dumps({"k": "t"}).encode() + b"\n")),
        st.builds(Send, st.sampled_from(["", "", "before", "after", "gap"])),
        st.builds(Restart, st.booleans()),
    ),
    max_size=40,
)


@settings(max_examples=80)
@given(steps=STEPS, frame_bytes=st.integers(1, 100))
def test_what_the_server_holds_is_a_prefix_and_equal_at_the_end(
    tmp_path_factory: pytest.TempPathFactory, steps: list[object], frame_bytes: int
) -> None:
    spool, sink = SpoolPaths(tmp_path_factory.mktemp("spool")), Sink()
    parcels = service(spool, sink, frame_bytes=frame_bytes)

    def check() -> None:
        for stream, held in sink.data.items():
            assert spool.stream(stream).read_bytes().startswith(held)

    for step in steps:
        match step:
            case Append(stream, data):
                append(spool.stream(stream), data)
            case Send(fails):
                send(parcels, sink, fails)
            case Restart(forgets):
                if forgets:
                    spool.shipped.unlink(missing_ok=True)
                parcels = service(spool, sink, frame_bytes=frame_bytes)
            case _:
                raise AssertionError(step)
        check()
    while not parcels.is_closed:
        parcels.send_next(News(cause=DONE))
    written = {
        s: p.read_bytes() for s in (STDOUT, STDERR, RECORDS) if (p := spool.stream(s)).exists()
    }
    assert sink.data == written
    assert sink.finish is not None
    assert sink.finish["receipt"] == {
        stream: {"n_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for stream, data in written.items()
    }


def send(parcels: ParcelService, sink: Sink, fails: str) -> None:
    if fails == "before":
        sink.before.append(lost())
    elif fails == "after":
        sink.after.append(lost())
    elif fails == "gap":
        sink.before.append(
            OffsetMismatch("gap", expected={s: len(d) for s, d in sink.data.items()})
        )
    try:
        parcels.send_next(News())
    except ServerUnreachable:
        pass
    finally:
        sink.before.clear()
        sink.after.clear()
