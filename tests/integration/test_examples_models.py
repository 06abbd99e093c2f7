"""What the examples of models record, read back."""

from __future__ import annotations

from pathlib import Path

from dray import InputModel, Model, Task
from tests.integration.examples import PATIENCE_S, QUEUE, Recorded, example


@example("models/output_model.py")
def test_an_output_model_is_read_back(run: Recorded) -> None:
    (model,) = run.task.models["output"]
    assert (model.name, model.framework, model.tags) == ("cats and dogs", "custom", ["example"])
    assert (model.labels["dog"], model.config_dict["layers"]) == (2, [64, 32])
    assert model.get_all_metadata_casted() == {"accuracy": 0.8, "epochs": 3}
    assert Path(model.get_local_copy(raise_on_error=True) or "").read_text() == "[1.5, 1.5]"
    assert model.original_task == run.task.id
    points = run.cluster.client.model_scalars(model.id)["accuracy"]["validation"]
    assert points["values"] == [0.6, 0.7, 0.8]
    assert run.cluster.client.model_single_values(model.id) == {"best accuracy": 0.8}
    assert "labels: {'background': 0, 'cat': 1, 'dog': 2}" in run.console


@example("models/input_model.py")
def test_a_clone_begins_with_another_model(run: Recorded) -> None:
    model = run.task.models.input["backbone"]
    assert (model.name, model.original_task) == ("backbone small", "")
    assert run.task.get_labels_enumeration() == {"road": 0, "sky": 1}
    assert "begins with backbone small" in run.console
    if run.where != QUEUE:
        return
    large = run.cluster.client.create_model(
        "examples", "backbone large", uri="s3://models/large.pt", config_text='{"depth": 101}'
    )
    clone = Task.clone(run.task)
    clone.set_input_model(model_id=large.id, name="backbone")
    Task.enqueue(clone, "default")
    run.cluster.client.wait(clone.id, timeout=PATIENCE_S)
    said = "".join(piece.text for piece in run.cluster.client.console(clone.id).pieces)
    assert "begins with backbone large" in said
    assert "depth 101" in said
    assert clone.input_models_id == {"backbone": large.id}


@example("models/import_by_url.py")
def test_imported_weights_are_one_model(run: Recorded) -> None:
    assert "the same model: True" in run.console
    assert "bytes: 26" in run.console
    (model,) = run.task.models["input"]
    assert (model.url.startswith("file:///"), model.framework) == (True, "ONNX")
    found = InputModel.load_model(model.url)
    assert found is not None
    assert (found.id, found.comment) == (model.id, "made elsewhere")


@example("models/publish_and_query.py")
def test_the_best_model_is_published_and_found(run: Recorded) -> None:
    assert "models: 3" in run.console
    assert "best: ['net34'] True" in run.console
    assert "others: ['net18']" in run.console
    (best,) = Model.query_models(tags=["best"], only_published=True, metadata={"run": run.task.id})
    assert best == run.task.models["output"]["net34"]
    assert not Model.remove(best)


@example("models/package.py")
def test_a_package_is_unpacked_where_it_is_used(run: Recorded) -> None:
    assert "files: ['config.json', 'words.txt']" in run.console
    package = run.task.models["output"]["tokenizer"].get_weights_package(return_path=True)
    assert isinstance(package, str)
    assert (Path(package) / "vocabulary" / "words.txt").read_text() == "a\nb\nc\n"
    head = run.task.models.output[-1]
    assert Path(head.get_weights(raise_on_error=True) or "").read_bytes() == b"head"
    assert isinstance(head, Model)
