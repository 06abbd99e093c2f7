"""Artifacts with a server: of tasks that do not run here, and of a run, through its shipper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dray import Task
from dray.runtime.errors import InvalidInput, NotEditable, NotFound, WrongType
from tests.unit.sdk.live import TOKEN, Live
from tests.unit.sdk.scripts import INIT, Machine, ended, task_of


@pytest.fixture
def here(tmp_path: Path, live: Live, monkeypatch: pytest.MonkeyPatch) -> Live:
    """This process as a laptop that knows the server."""
    for name in ("DRAY_TASK_ID", "DRAY_SPOOL", "DRAY_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRAY_URL", live.url)
    monkeypatch.setenv("DRAY_TOKEN", TOKEN)
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DRAY_CACHE", str(tmp_path / "cache"))
    return live


def draft(live: Live, **members: Any) -> Task:
    made = live.client.create_task("outside", "train", **members)
    task = Task.get_task(made.id)
    assert task is not None
    return task


def again(task: Task) -> Task:
    found = Task.get_task(task.id)
    assert found is not None
    return found


class TestOutside:
    """Tasks that do not run in this process."""

    def test_an_object_is_added_to_a_draft_and_read_back(self, here: Live) -> None:
        task = draft(here)
        assert task.upload_artifact("conf/a", {"a": 1}, metadata={"n": 1})
        kept = again(task).artifacts["conf/a"]
        assert (kept.get(), kept.type, kept.metadata) == ({"a": 1}, "dict", {"n": "1"})
        assert kept.url.startswith(f"{here.url}/api/v1/tasks/{task.id}/artifacts/conf%2Fa")
        events = [(entry.event, entry.details) for entry in here.client.history(task.id).items]
        assert ("artifact_added", {"artifact": "conf/a", "sha256": kept.hash}) in events

    def test_a_running_task_of_another_process_and_an_ended_one_take_them_too(
        self, here: Live
    ) -> None:
        task = draft(here)
        started = here.client.start(task.id, agent="local:x", node="x", claim_id="c" * 32)
        task.upload_artifact("while it runs", [1, 2])
        here.client.mark(task.id, "completed")
        assert again(task).upload_artifact("after", "text", wait_on_upload=True)
        assert started.epoch == 1
        assert set(again(task).artifacts) == {"while it runs", "after"}

    def test_a_published_task_takes_none_and_keeps_its_own(self, here: Live) -> None:
        task = draft(here)
        here.client.start(task.id, agent="local:x", node="x", claim_id="d" * 32)
        task.upload_artifact("model", "weights")
        here.client.mark(task.id, "completed")
        here.client.publish(task.id)
        with pytest.raises(NotEditable, match="is published, which is final"):
            task.upload_artifact("more", 1)
        members = {"name": "more", "type": "string"}
        with pytest.raises(NotEditable, match="is published"):
            here.client.put_artifact(task.id, members)
        with pytest.raises(NotEditable, match="is published"):
            again(task).delete_artifacts(["model"])
        assert set(again(task).artifacts) == {"model"}

    def test_what_names_bytes_nobody_has_is_refused(self, here: Live) -> None:
        task = draft(here)
        members = {"name": "m", "type": "custom", "sha256": "0" * 64}
        with pytest.raises(InvalidInput, match="upload it first"):
            here.client.put_artifact(task.id, members)

    def test_files_go_below_the_output_uri_and_are_deleted_with_it(
        self, here: Live, tmp_path: Path
    ) -> None:
        task = draft(here, execution={"output_uri": str(tmp_path / "out")})
        (tmp_path / "model.bin").write_bytes(b"weights")
        task.upload_artifact("model", tmp_path / "model.bin", delete_after_upload=True)
        assert not (tmp_path / "model.bin").exists()
        kept = again(task).artifacts["model"]
        own = f"outside/train.{task.id}/artifacts/model/model.bin"
        assert kept.url == f"{tmp_path}/out/{own}"
        assert Path(kept.get()).read_bytes() == b"weights"
        task = again(task)
        assert task.delete_artifacts(["model"])
        assert dict(task.artifacts) == dict(again(task).artifacts) == {}
        assert not Path(kept.url).exists()

    def test_a_file_that_was_changed_where_it_lies_is_not_taken_for_the_artifact(
        self, here: Live, tmp_path: Path
    ) -> None:
        task = draft(here, execution={"output_uri": f"file://{tmp_path}/out"})
        task.upload_artifact("conf", {"nobody": "has this"})
        kept = again(task).artifacts["conf"]
        Path(kept.url.removeprefix("file://")).write_text('{"a": 2}')
        with pytest.raises(ValueError, match="other bytes than were uploaded"):
            kept.get()

    def test_deleting_what_is_not_there(
        self, here: Live, capsys: pytest.CaptureFixture[str]
    ) -> None:
        task = draft(here)
        task.upload_artifact("one", 1)
        with pytest.raises(NotFound, match="no artifact 'two'"):
            task.delete_artifacts(["two"])
        assert not task.delete_artifacts(["two", "one"], raise_on_errors=False)
        assert "'two' is not deleted" in capsys.readouterr().err
        assert dict(again(task).artifacts) == {}
        with pytest.raises(WrongType, match="must be a list of names"):
            task.delete_artifacts("one")


class TestRun:
    """Through the shipper of a run started by hand."""

    def test_artifacts_arrive_where_they_belong(
        self, here: Live, laptop: Machine, tmp_path: Path
    ) -> None:
        ran = laptop.run(
            INIT
            + f"""
task.upload_artifact("here", {{"a": 1}})
task.output_uri = "file://{tmp_path}/out"
task.upload_artifact("there", "text", wait_on_upload=True)
assert task.artifacts["there"].get() == "text"
"""
        )
        task = ended(here, task_of(ran))
        kept = again(Task.get_task(task.id)).artifacts  # type: ignore[arg-type]
        assert kept["here"].get() == {"a": 1}
        assert kept["here"].url.startswith(here.url)
        path = kept["there"].url.removeprefix("file://")
        assert path.startswith(str(tmp_path / "out"))
        assert Path(path).read_text() == kept["there"].get() == "text"

    def test_a_destination_that_cannot_be_had_loses_nothing(
        self, here: Live, laptop: Machine
    ) -> None:
        ran = laptop.run(
            INIT
            + """
task._handle.put_execution({"output_uri": "nosuch://bucket"})
task.upload_artifact("model", "weights")
"""
        )
        task = ended(here, task_of(ran))
        kept = again(Task.get_task(task.id)).artifacts["model"]  # type: ignore[arg-type]
        assert kept.url.startswith("nosuch://bucket/")
        assert kept.get() == "weights", "from the server, which keeps it instead"

    def test_a_table_is_kept_as_it_is_when_the_process_ends(
        self, here: Live, laptop: Machine
    ) -> None:
        pytest.importorskip("pandas")
        ran = laptop.run(
            INIT
            + """
import pandas
table = pandas.DataFrame({"a": [1, 2]})
task.register_artifact("train", table)
table.loc[len(table)] = 3
"""
        )
        task = ended(here, task_of(ran))
        kept = again(Task.get_task(task.id)).artifacts["train"]  # type: ignore[arg-type]
        assert (kept.type, kept.get()["a"].tolist()) == ("data-audit-table", [1, 2, 3])
