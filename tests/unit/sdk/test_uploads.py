"""Outputs go where ``output_uri`` says, or, when that fails for long, to the server: never away."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dray.runtime.errors import ServerUnreachable
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import RECORDS, encode_record
from dray.sdk.ship.parcels import News, ParcelService
from dray.sdk.ship.uploads import GIVE_UP_S, Blob, Uploads
from tests.unit.sdk.sink import Sink, append

DATA = b"weights"
SHA256 = hashlib.sha256(DATA).hexdigest()


@dataclass
class Run:
    """Uploads of one blob, with a clock in hand."""

    blobs: Path
    sink: Sink = field(default_factory=Sink)
    told: list[str] = field(default_factory=list)
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.blobs.mkdir()
        (self.blobs / SHA256).write_bytes(DATA)
        self.uploads = Uploads(self.blobs, "t1", self.sink, self.told.append, lambda: self.now)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "blobs")


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_folder_is_a_destination(run: Run, tmp_path: Path, scheme: str) -> None:
    seen: list[int] = []
    run.uploads.send([Blob(SHA256, f"{scheme}{tmp_path}/out/a b/model.bin")], seen.append)
    assert (tmp_path / "out/a b/model.bin").read_bytes() == DATA
    assert seen == [len(DATA)]
    assert run.sink.blobs == {}, "the server's store is not asked"


def test_fsspec_takes_what_it_knows(run: Run) -> None:
    fsspec = pytest.importorskip("fsspec")
    run.uploads.send([Blob(SHA256, "memory://bucket/deep/model.bin")])
    assert fsspec.filesystem("memory").cat("/bucket/deep/model.bin") == DATA


def test_a_destination_that_fails_is_tried_again(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file is in the way")
    blob = Blob(SHA256, f"{tmp_path}/out/model.bin")
    with pytest.raises(ServerUnreachable, match="cannot be written"):
        run.uploads.send([blob])
    (tmp_path / "out").unlink()
    run.uploads.send([blob])
    assert (tmp_path / "out/model.bin").read_bytes() == DATA
    assert run.told == []


def test_one_that_goes_on_failing_is_given_up_and_the_server_keeps_the_file(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file is in the way")
    blob = Blob(SHA256, f"{tmp_path}/out/model.bin")
    with pytest.raises(ServerUnreachable):
        run.uploads.send([blob])
    run.now += GIVE_UP_S
    run.uploads.send([blob])
    assert run.sink.blobs == {SHA256: DATA}
    assert len(run.told) == 1
    assert "model.bin cannot be written" in run.told[0]
    assert "kept in the server's store" in run.told[0]


def test_one_whose_package_lacks_is_given_up_at_once(run: Run) -> None:
    run.uploads.send([Blob(SHA256, "nosuch://bucket/model.bin")])
    assert run.sink.blobs == {SHA256: DATA}
    assert "nosuch://" in run.told[0]


def test_bytes_that_are_not_of_this_run_are_nobodys_to_upload(run: Run, tmp_path: Path) -> None:
    run.uploads.send([Blob("0" * 64, f"{tmp_path}/out/model.bin")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["artifact", "media", "model"])
def test_a_record_goes_when_its_file_has_arrived(tmp_path: Path, kind: str) -> None:
    spool, sink = SpoolPaths(tmp_path), Sink()
    spool.blobs.mkdir()
    (spool.blobs / SHA256).write_bytes(DATA)
    target = tmp_path / "out" / "model.bin"
    line = encode_record(kind, 1.0, name="m", sha256=SHA256, uri=str(target))
    append(spool.stream(RECORDS), line)
    parcels = ParcelService(spool, "t1", 1, sink)
    _, parcel = parcels.send_next(News())
    assert (parcel.blobs, sink.data) == ([Blob(SHA256, str(target))], {})
    parcels.upload(parcel.blobs)
    parcels.send_next(News())
    assert target.read_bytes() == DATA
    assert sink.data[RECORDS] == line


def test_giving_up_is_told_in_the_run(tmp_path: Path) -> None:
    spool, sink = SpoolPaths(tmp_path), Sink()
    spool.blobs.mkdir()
    (spool.blobs / SHA256).write_bytes(DATA)
    line = encode_record("artifact", 1.0, name="m", sha256=SHA256, uri="nosuch://b/m")
    append(spool.stream(RECORDS), line)
    parcels = ParcelService(spool, "t1", 1, sink)
    _, parcel = parcels.send_next(News())
    parcels.upload(parcel.blobs)
    parcels.send_next(News())
    assert b"kept in the server's store" in sink.data[RECORDS]
