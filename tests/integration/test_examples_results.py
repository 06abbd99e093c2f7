"""What the examples of results read while they run, and what is read of them afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dray import StorageManager
from tests.integration.examples import Recorded, example


@example("results/read_scalars.py")
def test_a_run_reads_its_own_scalars_on_each_axis(run: Recorded) -> None:
    assert "thinned to 20 points, the last at iteration 199" in run.console
    assert "all of them: 200" in run.console
    train = run.task.get_all_reported_scalars()["loss"]["train"]
    assert train["x"] == list(range(200))
    assert train["y"] == [1 / (i + 1) for i in range(200)]
    times = run.task.get_reported_scalars(x_axis="timestamp")["loss"]["train"]["x"]
    assert f"reported within {times[-1] - times[0]} ms" in run.console
    days = run.task.get_reported_scalars(x_axis="iso_time")["loss"]["train"]["x"]
    assert f"the first one on {days[0][:10]}" in run.console
    with pytest.raises(ValueError, match="x_axis 'epoch' is none of"):
        run.task.get_reported_scalars(x_axis="epoch")


@example("results/stop_when_good.py")
def test_a_run_decides_by_its_own_summary(run: Recorded) -> None:
    assert "took 2 rounds to 0.95" in run.console
    last = run.task.get_last_scalar_metrics()
    assert last["accuracy"]["validation"] == {"last": 0.95, "min": 0.0, "max": 0.95}
    assert last["Summary"]["rounds"]["last"] == 2
    assert run.task.get_reported_single_value("best accuracy") == 0.95


@example("results/plots_and_samples.py")
def test_plots_and_samples_are_read_back_latest_first(run: Recorded) -> None:
    assert "recall validation iteration 3 ['table']" in run.console
    (plot,) = run.task.get_reported_plots()
    assert (plot["metric"], plot["variant"], plot["iter"]) == ("recall", "validation", 3)
    assert json.loads(plot["plot_str"])["data"][0]["cells"]["values"][0] == ["cat", "dog"]
    assert [p["iter"] for p in run.task.get_reported_plots(max_iterations=3)] == [3, 2, 1]
    samples = run.task.get_debug_samples("seen", "first batch")
    assert [sample["iter"] for sample in samples] == [3, 2]
    for sample in samples:
        copy = StorageManager.get_local_copy(sample["url"])
        assert copy is not None
        assert Path(copy).read_bytes().startswith(b"\x89PNG")


@example("results/compare_runs.py")
def test_one_run_reads_another(run: Recorded) -> None:
    scalars = run.task.get_reported_scalars()["loss"]
    if run.task.name == "candidate":  # the other place ran first
        assert scalars["baseline"] == {**scalars["train"], "name": "baseline"}
        assert "its last words: ['this is the console of baseline" in run.console
    assert scalars["train"]["x"] == [0, 1, 2, 3, 4]
    reports = run.task.get_reported_console_output(number_of_reports=10)
    assert f"this is the console of {run.task.name}\n" in "".join(reports)
