"""Artifacts: what is kept of an object, and that the same object comes back."""

from __future__ import annotations

import hashlib
import re
import stat
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.codec import from_json
from dray.runtime.errors import InvalidInput, NotFound
from dray.runtime.models import Artifact
from dray.sdk.artifacts import archives, registered
from dray.sdk.artifacts import formats as artifact_formats
from dray.sdk.session import Session
from dray.sdk.task import Task
from dray.sdk.tasks.handle import RunningHandle
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
        ({"b": [1, 2.5, None], "a": "x"}, "dict", ".json"),
        ({}, "dict", ".json"),
        ([1, 2], "JSON", ".json"),
        (0.5, "JSON", ".json"),
        (True, "JSON", ".json"),
        (None, "JSON", ".json"),
        ("some text é", "string", ".txt"),
        ("", "string", ".txt"),
    ],
)
def test_a_plain_object_comes_back_as_it_was(
    task: Task, attempt: Session, value: Any, kind: str, ending: str
) -> None:
    assert task.upload_artifact("thing", value)
    record = record_of(attempt)
    blob = Path(attempt.spool, "blobs", record["sha256"])
    assert (record["type"], record["filename"]) == (kind, f"thing{ending}")
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == record["sha256"]
    assert record["n_bytes"] == blob.stat().st_size
    kept = task.artifacts["thing"]
    assert kept.get() == value
    assert (kept.type, kept.mode, kept.size) == (kind, "output", record["n_bytes"])
    assert abs(kept.timestamp.timestamp() - time.time()) < 60


def test_a_dict_can_be_yaml_and_keep_its_order(task: Task, attempt: Session) -> None:
    pytest.importorskip("yaml")
    value = {"b": 1, "a": [{"c": None}]}
    task.upload_artifact("conf", value, extension_name=".yaml", sort_keys=False)
    assert record_of(attempt)["preview"].startswith("b: 1")
    assert record_of(attempt)["filename"] == "conf.yaml"
    assert task.artifacts["conf"].get() == value


def test_what_json_changes_is_told(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    task.upload_artifact("same", {"a": [1, "x"]})
    assert capsys.readouterr().err == ""
    task.upload_artifact("changed", {1: (2, 3)})
    assert "comes back as JSON has it" in capsys.readouterr().err
    assert task.artifacts["changed"].get() == {"1": [2, 3]}


@pytest.mark.parametrize("value", [Custom(3), b"bytes", {1, 2}, {"a": Custom(3)}])
def test_a_pickle_is_made_only_when_asked_for(
    task: Task, attempt: Session, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    with pytest.raises(ValueError, match="auto_pickle=True"):
        task.upload_artifact("thing", value)
    assert read_records(Path(attempt.spool), "artifact") == []
    task.upload_artifact("thing", value, auto_pickle=True)
    assert (record_of(attempt)["type"], record_of(attempt)["filename"]) == ("pickle", "thing.pkl")
    task.upload_artifact("other", value, extension_name=".pkl")
    assert record_of(attempt)["type"] == "pickle"
    monkeypatch.setenv("DRAY_AUTO_PICKLE", "1")
    task.upload_artifact("third", value)
    assert record_of(attempt)["type"] == "pickle"


def test_an_object_without_a_form_is_a_type_error(task: Task) -> None:
    with pytest.raises(TypeError, match="Custom has no form of its own"):
        task.upload_artifact("thing", Custom(3))


def test_a_pickle_is_loaded_only_with_consent(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    task.upload_artifact("thing", Custom(3), auto_pickle=True)
    kept = task.artifacts["thing"]
    with pytest.raises(ValueError, match=r"allow_pickle=True.*DRAY_ALLOW_PICKLE=1"):
        kept.get()
    assert kept.get(allow_pickle=True) == Custom(3)
    monkeypatch.setenv("DRAY_ALLOW_PICKLE", "1")
    assert kept.get() == Custom(3)
    with pytest.raises(InvalidInput, match="block_unsafe_artifacts"):
        kept.get(block_unsafe_artifacts=True)


def test_a_function_of_the_script_can_be_kept(task: Task) -> None:
    factor = 3
    task.upload_artifact("function", lambda x: x * factor, auto_pickle=True)
    assert task.artifacts["function"].get(allow_pickle=True)(2) == 6


def test_anything_is_kept_by_a_serializer_of_its_own(task: Task, attempt: Session) -> None:
    task.upload_artifact(
        "thing",
        Custom(7),
        serialization_function=lambda c: str(c.n).encode(),
        extension_name=".num",
    )
    assert (record_of(attempt)["type"], record_of(attempt)["filename"]) == ("custom", "thing.num")
    kept = task.artifacts["thing"]
    assert kept.get(deserialization_function=lambda data: Custom(int(data))) == Custom(7)
    with pytest.raises(TypeError, match="must give bytes"):
        task.upload_artifact("wrong", Custom(7), serialization_function=lambda _: "text")  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("given", [str, Path])
def test_a_file_is_kept_as_it_is(task: Task, attempt: Session, tmp_path: Path, given: Any) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"\x00weights")
    task.upload_artifact("model", given(path), metadata={"epoch": 3, "tags": ["a"]})
    record = record_of(attempt)
    assert (record["type"], record["filename"]) == ("custom", "model.bin")
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


def test_a_wildcard_and_a_list_of_paths_are_archives(
    task: Task, attempt: Session, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.csv", "deep/b.csv", "c.txt"):
        (folder / name).write_text(name)
    task.upload_artifact("tables", str(folder / "*.csv"))
    assert (record_of(attempt)["type"], record_of(attempt)["filename"]) == ("archive", "data.zip")
    unpacked = Path(task.artifacts["tables"].get())
    assert sorted(p.name for p in unpacked.rglob("*.*")) == ["a.csv", "b.csv"]
    task.upload_artifact("some", [folder / "deep/b.csv", folder / "c.txt"])
    unpacked = Path(task.artifacts["some"].get())
    assert (unpacked / "deep/b.csv").read_text() == "deep/b.csv"
    assert (unpacked / "c.txt").read_text() == "c.txt"
    with pytest.raises(InvalidInput, match=r"there is no file .*nowhere"):
        task.upload_artifact("some", [folder / "c.txt", folder / "nowhere"])


def test_an_address_is_registered_not_fetched(task: Task, attempt: Session) -> None:
    task.upload_artifact("data", "s3://bucket/data.parquet")
    record = record_of(attempt)
    assert (record["type"], record["uri"]) == ("custom", "s3://bucket/data.parquet")
    assert "sha256" not in record
    assert task.artifacts["data"].url == "s3://bucket/data.parquet"


def test_a_copy_that_cannot_be_had_is_none_or_raised(
    task: Task, attempt: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    task.upload_artifact("data", "http://127.0.0.1:9/nothing.csv")
    assert task.artifacts["data"].get_local_copy() is None
    assert "cannot be fetched" in capsys.readouterr().err
    with pytest.raises(ValueError, match="'data' cannot be fetched"):
        task.artifacts["data"].get_local_copy(raise_on_error=True)


def test_previews_are_cut_to_what_a_page_can_show(task: Task, attempt: Session) -> None:
    task.upload_artifact("long", "é" * 100_000)
    preview = record_of(attempt)["preview"]
    assert preview.endswith("…")
    assert len(preview.encode()) <= artifact_formats.PREVIEW_LIMIT_BYTES
    task.upload_artifact("own", {"a": 1}, preview="look here")
    assert task.artifacts["own"].preview == "look here"


@pytest.mark.parametrize("name", ["", " padded", "/a", "a/", "a/content", "nul\0"])
def test_names_that_cannot_be_kept_are_refused(task: Task, name: str) -> None:
    with pytest.raises(InvalidInput, match="artifact's name"):
        task.upload_artifact(name, 1)


def test_what_cannot_be_kept_is_refused(task: Task, attempt: Session, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no file or folder"):
        task.upload_artifact("missing", tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="cannot be pickled"):
        task.upload_artifact("frame", sys._getframe(), auto_pickle=True)
    assert read_records(Path(attempt.spool), "artifact") == []


def test_an_unknown_artifact_is_named_with_those_there_are(task: Task) -> None:
    task.upload_artifact("model", 1)
    with pytest.raises(NotFound, match="no artifact is called 'mode'; there are: model"):
        _ = task.artifacts["mode"]
    assert "mode" not in task.artifacts
    assert task.artifacts.get("mode") is None


@pytest.mark.parametrize("extension", [None, ".npz", ".csv.gz"])
def test_an_array_comes_back(task: Task, attempt: Session, extension: str | None) -> None:
    numpy = pytest.importorskip("numpy")
    value = numpy.arange(6.0).reshape(2, 3)
    task.upload_artifact("an array", value, extension_name=extension)
    assert record_of(attempt)["type"] == "numpy"
    assert record_of(attempt)["filename"] == f"an array{extension or '.npz'}"
    numpy.testing.assert_array_equal(task.artifacts["an array"].get(), value)


def test_an_array_lies_under_its_artifacts_name_in_the_file(task: Task) -> None:
    numpy = pytest.importorskip("numpy")
    task.upload_artifact("eye", numpy.eye(2))
    with numpy.load(task.artifacts["eye"].get_local_copy()) as file:
        assert file.files == ["eye"]
    task.upload_artifact("file", numpy.eye(2))
    assert task.artifacts["file"].get().shape == (2, 2)


def test_an_array_of_objects_is_a_pickle_so_it_needs_consent(task: Task) -> None:
    numpy = pytest.importorskip("numpy")
    with pytest.raises(TypeError, match="auto_pickle"):
        task.upload_artifact("objects", numpy.array([{}, None], dtype=object))


def test_a_frame_comes_back_with_its_index(task: Task, attempt: Session) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"legs": [2, 4], "name": ["a", "b"]}, index=["falcon", "dog"])
    task.upload_artifact("frame", frame)
    assert (record_of(attempt)["type"], record_of(attempt)["filename"]) == (
        "pandas",
        "frame.csv.gz",
    )
    pandas.testing.assert_frame_equal(task.artifacts["frame"].get(), frame)
    task.upload_artifact("frame", frame, extension_name=".pickle")
    with pytest.raises(InvalidInput, match="allow_pickle"):
        task.artifacts["frame"].get()
    pandas.testing.assert_frame_equal(task.artifacts["frame"].get(allow_pickle=True), frame)


def test_a_frame_with_several_levels_comes_back_without_a_pickle(task: Task) -> None:
    pandas = pytest.importorskip("pandas")
    index = pandas.MultiIndex.from_product([["a", "b"], [1, 2]], names=["letter", "n"])
    columns = pandas.MultiIndex.from_product([["x", "y"], ["min", "max"]], names=["axis", "of"])
    both = pandas.DataFrame([[i, 1.5, 2, 3] for i in range(4)], index=index, columns=columns)
    for name, frame in (("both", both), ("rows", both["x"].rename_axis(columns=None))):
        task.upload_artifact(name, frame)
        assert task.artifacts[name].type == "pandas"
        pandas.testing.assert_frame_equal(task.artifacts[name].get(), frame)


def test_a_form_that_does_not_exist_is_told_and_another_taken(
    task: Task, attempt: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    numpy = pytest.importorskip("numpy")
    task.upload_artifact("eye", numpy.eye(2), extension_name=".bmp")
    assert record_of(attempt)["filename"] == "eye.npz"
    assert "cannot be kept as '.bmp'" in capsys.readouterr().err


@pytest.mark.parametrize("extension", [None, ".jpg", ".bmp"])
def test_an_image_comes_back(task: Task, attempt: Session, extension: str | None) -> None:
    pillow = pytest.importorskip("PIL.Image")
    task.upload_artifact("shot", pillow.new("L", (4, 3), 128), extension_name=extension)
    assert record_of(attempt)["type"] == "image"
    assert record_of(attempt)["filename"] == f"shot{extension or '.png'}"
    with task.artifacts["shot"].get() as image:
        assert (image.size, image.getpixel((0, 0))) == ((4, 3), 128)


def test_files_go_below_the_output_uri(task: Task, attempt: Session, tmp_path: Path) -> None:
    task.output_uri = str(tmp_path / "out")
    assert task.output_uri == str(tmp_path / "out")
    task.upload_artifact("conf/a b", {"a": 1})
    record = record_of(attempt)
    own = f"{attempt.task['name']}.{attempt.task_id}"
    below = f"{attempt.task['project']}/{own}/artifacts/conf%2Fa b/conf_a b.json"
    assert record["uri"] == f"{tmp_path}/out/{below}"
    assert record["sha256"]
    assert task.artifacts["conf/a b"].get() == {"a": 1}, "from the spool, before it is uploaded"
    task.output_uri = True
    assert task.output_uri is None
    task.upload_artifact("here", {"a": 1})
    assert record_of(attempt)["uri"] == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nosuch://bucket", "nothing is known of nosuch://"),
        ("s3://bucket", "pip install s3fs"),
        ("http://files:8081", "cannot be written to"),
        ("/proc/nowhere", "cannot be made"),
        (3, "output_uri is 3"),
    ],
)
def test_an_impossible_output_uri_is_refused_at_the_call(
    begin: Begin, value: Any, said: str
) -> None:
    task = Task(RunningHandle(begin(origin="local")))
    with pytest.raises(ValueError, match=re.escape(said)):
        task.output_uri = value


def test_an_agent_looks_for_packages_where_it_uploads(task: Task) -> None:
    task.output_uri = "s3://bucket/folder/"
    assert task.output_uri == "s3://bucket/folder"


class TestRegistered:
    @pytest.fixture
    def frame(self) -> Any:
        return pytest.importorskip("pandas").DataFrame({"a": [1, 1, 2], "b": [1, 1, 1]})

    def test_a_table_is_kept_when_it_is_registered_set_or_flushed(
        self, task: Task, attempt: Session, frame: Any
    ) -> None:
        task.register_artifact("train", frame, metadata={"of": "legs"})
        record = record_of(attempt)
        assert (record["type"], record["metadata"]) == ("data-audit-table", {"of": "legs"})
        assert "2 unique rows, 66.7% uniqueness" in record["preview"]
        assert task.artifacts["train"].get().to_dict() == frame.to_dict()
        registered.sync_all(attempt)
        assert len(read_records(Path(attempt.spool), "artifact")) == 1, "it has not changed"
        frame.loc[0, "a"] = 9
        registered.sync_all(attempt)
        assert task.artifacts["train"].get()["a"].tolist() == [9, 1, 2]
        task.get_registered_artifacts()["train"] = frame.head(1)
        assert len(task.artifacts["train"].get()) == 1
        assert len(task.artifacts) == 1

    def test_only_tables_are_registered_and_only_once_by_a_name(
        self, task: Task, frame: Any
    ) -> None:
        with pytest.raises(TypeError, match="only pandas DataFrames"):
            task.register_artifact("train", {"a": 1})
        task.register_artifact("train", frame)
        with pytest.raises(ValueError, match="is a registered table"):
            task.upload_artifact("train", 1)
        task.unregister_artifact("train")
        assert task.get_registered_artifacts() == {}
        assert task.artifacts["train"].type == "data-audit-table", "what was kept last stays"
        task.upload_artifact("train", 1)


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

    def test_a_tar_is_unpacked_as_safely(self, tmp_path: Path) -> None:
        (tmp_path / "script.sh").write_text("#!/bin/sh")
        (tmp_path / "script.sh").chmod(0o755)
        with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "script.sh", "deep/script.sh")
        script = archives.unpack(tmp_path / "a.tar.gz", tmp_path / "to") / "deep/script.sh"
        assert script.stat().st_mode & stat.S_IXUSR
        for name, kind in (("../out", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            with tarfile.open(tmp_path / "bad.tar", "w") as archive:
                archive.addfile(info)
            with pytest.raises(InvalidInput):
                archives.unpack(tmp_path / "bad.tar", tmp_path / "bad")
            assert not (tmp_path / "bad").exists()
