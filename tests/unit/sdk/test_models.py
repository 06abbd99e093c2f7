"""Models in a run: told of by records, without a server, and read back by the script at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dray import InputModel, Model, OutputModel, Task
from dray.runtime.errors import InvalidInput, NotFound, UsageError
from dray.sdk.models import records as model_records
from dray.sdk.models import saves as model_saves
from dray.sdk.models.names import Framework
from dray.sdk.session import Session
from dray.sdk.tasks.handle import RunningHandle
from tests.unit.sdk.live import Live

Begin = Callable[..., Session]


@pytest.fixture
def run(begin: Begin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Session:
    """A run by hand without a server, in a folder with weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRAY_CACHE", str(tmp_path / "cache"))
    for name in ("DRAY_URL", "DRAY_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(model_records, "_documents", {})
    monkeypatch.setattr(model_saves, "_by_path", {})
    Path("net.pt").write_text("weights")
    attempt = begin("local")
    attempt.attempt.update(epoch=0, url="")
    return attempt


def task_of(run: Session) -> Task:
    return Task(RunningHandle(run))


def records(run: Session, kind: str = "model") -> list[dict[str, Any]]:
    lines = Path(run.spool, "records.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["k"] == kind]


@pytest.mark.usefixtures("run")
class TestOutputModels:
    def test_weights_are_kept_in_the_spool(self, run: Session) -> None:
        model = OutputModel(name="net", label_enumeration={"cat": 1}, config_dict={"a": 1})
        url = model.update_weights("net.pt", iteration=3)
        assert Path("net.pt").exists()
        assert Path(url.removeprefix("file://")).read_text() == "weights"
        assert Path(model.get_weights() or "").read_text() == "weights"
        assert (model.labels, model.config_dict) == ({"cat": 1}, {"a": 1})
        assert (model.framework, model.task) == (Framework.pytorch, run.task_id)
        made, named, weights = records(run)
        assert (made["new"], made["own"], made["name"]) == (True, True, "net")
        assert (named["as"], named["called"]) == ("output", "net")
        assert (weights["iteration"], weights["n_bytes"]) == (3, 7)

    def test_nothing_is_told_of_a_model_nobody_uses(self, run: Session) -> None:
        OutputModel()
        assert not records(run)

    def test_newer_weights_are_the_same_model(self, run: Session) -> None:
        model = OutputModel()
        model.update_weights("net.pt")
        Path("net.pt").write_text("newer")
        model.update_weights("net.pt")
        assert Path(model.get_weights() or "").read_text() == "newer"
        assert [m.id for m in task_of(run).models["output"]] == [model.id]
        assert model.comment.count("snapshot") == 1

    def test_an_address_is_only_noted(self, run: Session) -> None:
        model = OutputModel()
        url = model.update_weights(register_uri="https://example.org/yolo.pt")
        assert (url, model.url) == ("https://example.org/yolo.pt", url)
        assert list(task_of(run).models.output.keys()) == ["yolo"]

    def test_the_file_goes_only_where_an_address_was_said(self, run: Session) -> None:
        run.task["execution"] = {"output_uri": str(Path("store").absolute())}
        model = OutputModel()
        url = model.update_weights("net.pt")
        assert not Path("net.pt").exists()
        assert url == f"file://{Path('store').absolute()}/{run.task['project']}/" + (
            f"{run.task['name']}.{run.task_id}/models/net/net.pt"
        )
        assert records(run)[-1]["uri"] == url

    @pytest.mark.parametrize("both", [{}, {"weights_filename": "net.pt", "register_uri": "s3://a"}])
    def test_one_of_file_and_address(self, both: dict[str, str]) -> None:
        with pytest.raises(UsageError, match="weights_filename"):
            OutputModel().update_weights(**both)

    def test_a_file_that_is_not_there_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"gone\.pt"):
            OutputModel().update_weights("gone.pt")

    def test_a_published_model_keeps_its_weights(self) -> None:
        model = OutputModel()
        model.update_weights("net.pt")
        model.publish()
        for change in (
            lambda: model.update_weights("net.pt"),
            lambda: model.update_labels({"a": 1}),
            lambda: model.update_design(config_text="x"),
        ):
            with pytest.raises(ValueError, match="published"):
                change()
        model.comment = "still mine"
        assert (model.published, model.comment) == (True, "still mine")

    def test_several_files_are_a_package(self) -> None:
        Path("folder/sub").mkdir(parents=True)
        Path("folder/a").write_text("1")
        Path("folder/sub/b").write_text("2")
        model = OutputModel()
        model.update_weights("folder")
        assert "package" in model.system_tags
        unpacked = Path(str(model.get_weights_package(return_path=True)))
        assert (unpacked / "sub" / "b").read_text() == "2"
        with pytest.raises(UsageError):
            model.update_weights_package()
        model.update_weights_package(weights_filenames=["folder/a", "net.pt"])
        assert [p.name for p in model.get_weights_package() or ()] == ["folder", "net.pt"]
        model.update_weights("net.pt")
        with pytest.raises(InvalidInput, match="not a package"):
            model.get_weights_package()

    def test_metadata_comes_back_as_what_it_was(self) -> None:
        model = OutputModel()
        for key, value in {"f": 0.5, "i": 2, "b": True, "l": [1], "d": {"a": 1}, "s": "x"}.items():
            assert model.set_metadata(key, value)
        model.set_metadata("typed", "7", "int")
        model.set_metadata("wrong", "seven", "int")
        assert model.get_all_metadata_casted() == {
            "f": 0.5,
            "i": 2,
            "b": True,
            "l": [1],
            "d": {"a": 1},
            "s": "x",
            "typed": 7,
            "wrong": "seven",
        }
        assert model.get_metadata("i") == "2"
        assert model.get_metadata("none") is model.get_metadata_casted("none") is None
        model.set_all_metadata({"only": {"value": "1", "type": "int"}})
        assert model.get_all_metadata() == {"only": {"value": "1", "type": "int"}}

    def test_labels_and_design_are_the_tasks_too(self, run: Session) -> None:
        model, task = OutputModel(), task_of(run)
        model.update_labels({"cat": 1})
        model.update_design(config_dict={"layers": 3})
        assert task.get_labels_enumeration() == {"cat": 1}
        assert task.get_model_config_dict() == {"layers": 3}
        assert OutputModel().labels == {"cat": 1}

    def test_labels_are_whole_numbers(self) -> None:
        with pytest.raises(ValueError, match="cat"):
            OutputModel().update_labels({"cat": 0.5})  # type: ignore[dict-item]

    def test_reports_are_the_models(self, run: Session) -> None:
        model = OutputModel()
        model.report_scalar("loss", "val", 2.0, 1)
        model.report_single_value("acc", 0.5)
        model.report_table("rows", "all", table_plot=[["a"], [1]])
        reports = [record["report"]["k"] for record in records(run, "of_model")]
        assert reports == ["scalar", "single", "plot"]
        assert {record["id"] for record in records(run, "of_model")} == {model.id}


@pytest.mark.usefixtures("run")
class TestInputModels:
    def test_weights_elsewhere_become_a_model_once(self) -> None:
        model = InputModel.import_model("net.pt", name="base", label_enumeration={"a": 1})
        again = InputModel.import_model("net.pt", name="other")
        assert (again.id, again.name, model.framework) == (model.id, "base", "PyTorch")
        assert model.url == f"file://{os.path.abspath('net.pt')}"
        assert Path(model.get_weights() or "").read_text() == "weights"
        assert InputModel.load_model("other.pt") is None

    def test_a_task_begins_with_it(self, run: Session) -> None:
        model = InputModel.import_model("net.pt", config_text="x", label_enumeration={"a": 1})
        task = task_of(run)
        task.connect(model)
        assert task.input_models_id == {"net": model.id}
        assert task.models["input"][0] == task.models["input"]["net"] == model
        assert (task.get_labels_enumeration(), task.get_model_config_text()) == ({"a": 1}, "x")
        task.remove_input_models([model])
        assert task.models["input"].get("net") is None
        with pytest.raises(KeyError, match="net"):
            task.models["input"]["net"]

    def test_under_an_agent_the_tasks_own_model_is_taken(self, run: Session) -> None:
        run.attempt["origin"] = "agent"
        other = InputModel.import_model("s3://bucket/other.pt")
        run.task["models"] = {"input": [{"id": other.id, "name": "backbone"}]}
        model = InputModel.import_model("net.pt")
        kept = InputModel(model.id)
        model.connect(task_of(run), name="backbone")
        assert (model.id, model.url) == (other.id, "s3://bucket/other.pt")
        kept.connect(task_of(run), name="backbone", ignore_remote_overrides=True)
        assert kept.url.endswith("net.pt")

    def test_a_model_that_only_a_name_fits_does_not_take_anothers_place(self, run: Session) -> None:
        run.attempt["origin"] = "agent"
        first = InputModel.import_model("net.pt")
        run.task["models"] = {"input": [{"id": first.id, "name": "a"}]}
        InputModel(first.id).connect(task_of(run), name="a")
        second = InputModel.import_model("s3://bucket/b.pt")
        second.connect(task_of(run), name="b")
        assert second.url == "s3://bucket/b.pt"

    def test_an_empty_model_is_kept_nowhere(self, run: Session) -> None:
        model = InputModel.empty(config_dict={"a": 1}, label_enumeration={"x": 2})
        task_of(run).connect(model)
        assert (model.config_dict, model.labels) == ({"a": 1}, {"x": 2})
        assert not records(run)


def test_without_a_run_there_is_nothing_to_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dray.sdk.session._current", None)
    with pytest.raises(ValueError, match=r"Task\.init"):
        OutputModel()


class TestSavedByFrameworks:
    def test_the_same_path_is_the_same_model(self, run: Session) -> None:
        first = model_saves.saved(run, "net.pt", "PyTorch")
        second = model_saves.saved(run, "net.pt", "PyTorch", iteration=4)
        assert first == second
        assert first.url == f"file://{os.path.abspath('net.pt')}"
        assert (first.name, second.hash) == (f"{run.task['name']} - net", "")

    def test_with_an_output_uri_the_bytes_are_kept(self, run: Session) -> None:
        run.keeps_models = True
        model = model_saves.saved(run, ["net.pt", "net.pt"], "PyTorch", name="pair")
        assert (len(model.hash), model.is_package) == (64, True)
        assert Path("net.pt").exists()

    def test_what_was_saved_here_is_its_own_input(self, run: Session) -> None:
        saved = model_saves.saved(run, "net.pt", "PyTorch")
        loaded = model_saves.loaded(run, "net.pt", "PyTorch")
        assert loaded == saved
        assert list(task_of(run).models.input.keys()) == ["net"]

    def test_a_foreign_file_is_imported(self, run: Session) -> None:
        loaded = model_saves.loaded(run, "net.pt", "PyTorch")
        assert loaded == model_saves.loaded(run, "net.pt", "PyTorch")
        made, _ = records(run)
        assert (made["may_be_known"], made["own"]) == (True, False)


class TestServer:
    @pytest.fixture(autouse=True)
    def configured(self, live: Live, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("DRAY_URL", live.url)
        monkeypatch.setenv("DRAY_TOKEN", live.client.token)
        monkeypatch.setenv("DRAY_CACHE", str(tmp_path / "cache"))

    def test_models_are_found_by_what_is_known_of_them(self, live: Live) -> None:
        for number, tags in enumerate((["x"], ["x", "y"], ["z"])):
            facts = {"n": {"value": str(number), "type": "int"}}
            live.client.create_model("found", f"net{number}", tags=tags, metadata=facts)
        assert [m.name for m in Model.query_models("found", tags=["x"])] == ["net1", "net0"]
        assert [m.name for m in Model.query_models("found", tags=["x", "-y"])] == ["net0"]
        assert [m.name for m in Model.query_models("found", metadata={"n": "2"})] == ["net2"]
        assert len(Model.query_models("found", max_results=2)) == 2
        assert InputModel(name="net1", project="found").get_metadata_casted("n") == 1
        with pytest.raises(ValueError, match="net9"):
            InputModel(name="net9")

    def test_a_model_of_the_server_is_changed_there(self, live: Live) -> None:
        model = Model(live.client.create_model("changed", "net").id)
        model.tags = ["a"]
        model.set_metadata("n", 1)
        model.archive()
        assert [m.id for m in Model.query_models("changed")] == []
        model.unarchive()
        model.publish()
        stored = live.client.get_model(model.id)
        assert (stored.tags, stored.metadata["n"].value, stored.published) == (["a"], "1", True)
        assert [event.event for event in live.client.model_history(model.id)][-1] == "publish"

    def test_weights_are_fetched_once(self, live: Live) -> None:
        sha256 = live.client.put_blob(b"weights")
        made = live.client.create_model("fetched", "net", sha256=sha256, filename="net.pt")
        path = Path(Model(made.id).get_local_copy(raise_on_error=True) or "")
        assert (path.name, path.read_bytes()) == ("net.pt", b"weights")
        assert Model(made.id).url.endswith(f"/models/{made.id}/content")
        bare = Model(live.client.create_model("fetched", "bare").id)
        assert bare.get_weights() is None
        with pytest.raises(ValueError, match="no weights"):
            bare.get_weights(raise_on_error=True)

    def test_a_removed_model_takes_its_file_along(self, tmp_path: Path) -> None:
        file = tmp_path / "net.pt"
        file.write_text("weights")
        model = InputModel.import_model(str(file), project="removed")
        assert Model.remove(model)
        assert not file.exists()
        assert not Model.remove(model.id)
        with pytest.raises(ValueError, match="no model"):
            Model.remove(model.id, raise_on_errors=True)

    def test_a_draft_is_given_another_model(self, live: Live) -> None:
        model = live.client.create_model("given", "given net", labels={"a": 1}, uri="s3://b/net.pt")
        task = Task.get_task(live.client.create_task("given", "draft").id)
        assert task is not None
        task.set_input_model(model_id=model.id)
        assert task.input_models_id == {"net": model.id}
        assert task.get_labels_enumeration() == {"a": 1}
        clone = Task.clone(task)
        assert clone.models["input"]["net"].id == model.id
        clone.remove_input_models([model.id])
        assert not clone.models["input"]
        with pytest.raises(NotFound):
            task.set_input_model(model_name="given net")
        live.client.publish_model(model.id)
        task.set_input_model(model_name="given net", name="by name")
        assert task.input_models_id["by name"] == model.id
