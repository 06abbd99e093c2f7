"""What the examples of frameworks record without a line of code for it, read back."""

from __future__ import annotations

import pytest

from tests.integration.examples import Recorded, example

pytestmark = pytest.mark.cluster


@example("frameworks/sklearn_joblib.py")
def test_what_joblib_dumps_and_loads_are_models(run: Recorded) -> None:
    (output,) = run.task.models["output"]
    (used,) = run.task.models["input"]
    assert output.framework == "ScikitLearn"
    assert used.id == output.id
    assert run.task.get_reported_single_value("accuracy") > 0.9


@example("frameworks/matplotlib_show.py")
def test_figures_are_plots_and_pictures_are_samples(run: Recorded) -> None:
    titles = {(plot["metric"], plot["variant"]) for plot in run.task.get_reported_plots()}
    assert titles == {("sine", "plot"), ("bars", "plot")}
    (sample,) = run.task.get_debug_samples("waves", "plot image")
    assert sample["url"]


@example("frameworks/tensorboardx_writer.py")
def test_what_a_tensorboard_writer_writes_is_read_back(run: Recorded) -> None:
    scalars = run.task.get_reported_scalars()
    assert scalars["loss"]["train"]["x"] == [0, 1, 2, 3, 4]
    assert set(scalars["accuracy"]) == {"train", "test", "final"}
    assert [plot["metric"] for plot in run.task.get_reported_plots()] == ["weights"]
    assert run.task.get_debug_samples("samples", "noise")
    assert run.task.get_parameters()["TB_hparams/depth"] == "3"


@example("frameworks/logging_loguru.py")
def test_what_is_logged_is_in_the_console(run: Recorded) -> None:
    pieces = run.cluster.client.console(run.task.id).pieces
    said = "".join(piece.text for piece in pieces if piece.stream == "stderr")
    for line in ("plain logging says hello", "loguru says hello", "and a warning"):
        assert said.count(line) == 1


@example("frameworks/weights_callbacks.py")
def test_callbacks_choose_and_name_models(run: Recorded) -> None:
    (model,) = run.task.models["output"]
    assert model.name.endswith("final")


@example("frameworks/switches.py")
def test_switches_choose_what_is_captured(run: Recorded) -> None:
    (model,) = run.task.models["output"]
    assert model.name.endswith("wanted")
    assert not run.task.get_reported_plots()
