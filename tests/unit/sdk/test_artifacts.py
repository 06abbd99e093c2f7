"""Artifacts: what is kept of an object, and that the same object comes back."""

from __future__ import annotations

import hashlib
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.codec import from_json
from dray.runtime.errors import InvalidInput, NotFound
from dray.runtime.models import Artifact
from dray.sdk import archives, artifact_formats
from dray.sdk.handle import RunningHandle
from dray.sdk.session import Session
from dray.sdk.task import Task
from tests.unit.sdk.conftest import Begin
from tests.unit.sdk.scripts import read_records


@pytest.fixture
def attempt(begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("DRAY_CACHE", str(tmp_path / "cache"))
    return begin()


@pytest.fixture
def task(attempt: Session) -> Task:
    return Task(RunningHandle(attempt))


def record_of(attempt: Session) -> dict[str, Any]:
    """The last artifact record, checked to be what the store reads."""
    record = read_records(Path(attempt.spool), "artifact")[-1]
    from_json(Artifact, record)
    return record


class Custom:
    """At module level, as pickle wants it."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Custom) and other.n == self.n

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("value", "kind", "ending"),
    [
        ({"a": [1, 2.5, None]}, "json", ".json"),
        ([1, 2], "json", ".json"),
        (0.5, "json", ".json"),
        (None, "json", ".json"),
        ("some text é", "text", ".txt"),
        ({"a": (1, 2)}, "pickle", ".pkl"),
        ({1: "a"}, "pickle", ".pkl"),
        (b"bytes", "pickle", ".pkl"),
        (Custom(3), "pickle", ".pkl"),
    ],
)
def test_an_object_comes_back_as_it_was(
    task: Task, attempt: Session, value: Any, kind: str, ending: str
) -> None:
    assert task.upload_artifact("thing", value)
    record = record_of(attempt)
    blob = Path(attempt.spool, "blobs", record["sha256"])
    assert (record["type"], record["filename"]) == (kind, f"thing{ending}")
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == record["sha256"]
    assert record["n_bytes"] == blob.stat().st_size
    assert task.artifacts["thing"].get() == value


def test_a_function_of_the_script_can_be_kept(task: Task) -> None:
    factor = 3
    task.upload_artifact("function", lambda x: x * factor)
    assert task.artifacts["function"].get()(2) == 6


@pytest.mark.parametrize("given", [str, Path])
def test_a_file_is_kept_as_it_is(task: Task, attempt: Session, tmp_path: Path, given: Any) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"\x00weights")
    task.upload_artifact("model", given(path), metadata={"epoch": 3, "tags": ["a"]})
    record = record_of(attempt)
    assert (record["type"], record["filename"]) == ("file", "model.bin")
    assert record["metadata"] == {"epoch": "3", "tags": '["a"]'}
    copy = Path(task.artifacts["model"].get_local_copy())
    assert (copy.name, copy.read_bytes()) == ("model.bin", b"\x00weights")


def test_writing_the_next_checkpoint_leaves_the_kept_one_alone(
    task: Task, attempt: Session, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"first")
    task.upload_artifact("checkpoint", path)
    first = record_of(attempt)
    path.write_bytes(b"second")
    task.upload_artifact("checkpoint", path)
    assert Path(attempt.spool, "blobs", first["sha256"]).read_bytes() == b"first"
    assert len(task.artifacts) == 1  # the same name is the same artifact
    assert Path(task.artifacts["checkpoint"].get()).read_bytes() == b"second"


def test_a_file_that_is_not_needed_any_more_is_moved(task: Task, tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(b"x")
    task.upload_artifact("big", path, delete_after_upload=True)
    assert not path.exists()


def test_a_folder_is_an_archive_and_the_same_folder_the_same_blob(
    task: Task, attempt: Session, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/script.sh").write_text("#!/bin/sh\n")
    (folder / "deep/script.sh").chmod(0o755)
    (folder / "link").symlink_to("deep/script.sh")
    task.upload_artifact("run", folder)
    first = record_of(attempt)
    assert (first["type"], first["filename"]) == ("archive", "run.zip")
    assert "deep/script.sh" in first["preview"]
    unpacked = Path(task.artifacts["run"].get_local_copy())
    assert (unpacked / "deep/script.sh").read_text() == "#!/bin/sh\n"
    assert (unpacked / "deep/script.sh").stat().st_mode & stat.S_IXUSR
    assert not (unpacked / "link").is_symlink()
    assert Path(task.artifacts["run"].get_local_copy(extract_archive=False)).name == "run.zip"
    (folder / "deep/script.sh").touch()
    task.upload_artifact("again", folder)
    assert record_of(attempt)["sha256"] == first["sha256"]


def test_an_address_is_registered_not_fetched(task: Task, attempt: Session) -> None:
    task.upload_artifact("data", "s3://bucket/data.parquet")
    record = record_of(attempt)
    assert (record["type"], record["uri"]) == ("uri", "s3://bucket/data.parquet")
    assert "sha256" not in record
    assert task.artifacts["data"].get() == task.artifacts["data"].url == "s3://bucket/data.parquet"
    with pytest.raises(InvalidInput, match="fetch it from there"):
        task.artifacts["data"].get_local_copy()


def test_previews_are_cut_to_what_a_page_can_show(task: Task, attempt: Session) -> None:
    task.upload_artifact("long", "é" * 100_000)
    preview = record_of(attempt)["preview"]
    assert preview.endswith("…")
    assert len(preview.encode()) <= artifact_formats.PREVIEW_LIMIT_BYTES
    task.upload_artifact("own", {"a": 1}, preview="look here")
    assert task.artifacts["own"].preview == "look here"


@pytest.mark.parametrize("name", ["", " padded", "a/b", "nul\0"])
def test_names_that_cannot_be_kept_are_refused(task: Task, name: str) -> None:
    with pytest.raises(InvalidInput, match="artifact's name"):
        task.upload_artifact(name, 1)


def test_what_cannot_be_kept_is_refused(task: Task, attempt: Session, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="neither a file nor a folder"):
        task.upload_artifact("missing", tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="cannot be pickled"):
        task.upload_artifact("frame", sys._getframe())
    assert read_records(Path(attempt.spool), "artifact") == []


def test_an_unknown_artifact_is_named_with_those_there_are(task: Task) -> None:
    task.upload_artifact("model", 1)
    with pytest.raises(NotFound, match="no artifact is called 'mode'; there are: model"):
        _ = task.artifacts["mode"]
    assert "mode" not in task.artifacts
    assert task.artifacts.get("mode") is None


def test_arrays_and_frames_of_libraries_that_are_loaded(task: Task, attempt: Session) -> None:
    numpy = pytest.importorskip("numpy")
    task.upload_artifact("array", numpy.arange(6).reshape(2, 3))
    assert record_of(attempt)["type"] == "numpy"
    assert task.artifacts["array"].get().tolist() == [[0, 1, 2], [3, 4, 5]]


class TestArchives:
    def made(self, path: Path, name: str, mode: int = 0) -> Path:
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "x")
        return path

    @pytest.mark.parametrize(
        ("name", "mode"),
        [
            ("../out", 0),
            ("/etc/out", 0),
            ("a/../../out", 0),
            ("a\\..\\out", 0),
            ("C:out", 0),
            ("link", stat.S_IFLNK | 0o777),
            ("pipe", stat.S_IFIFO | 0o600),
        ],
    )
    def test_entries_that_lead_out_are_refused_and_nothing_is_left(
        self, tmp_path: Path, name: str, mode: int
    ) -> None:
        archive = self.made(tmp_path / "a.zip", name, mode)
        with pytest.raises(InvalidInput):
            archives.unpack(archive, tmp_path / "to")
        assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]

    def test_something_else_is_no_archive(self, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_text("text")
        with pytest.raises(InvalidInput, match="is not a zip file"):
            archives.unpack(tmp_path / "a.zip", tmp_path / "to")
