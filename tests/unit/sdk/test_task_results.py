"""What a run reported, read back through ``Task`` in the shapes ClearML's scripts know."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from dray import Task
from dray.runtime.answers import Plot
from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.tasks.result_events import figure_of
from tests.unit.sdk.live import TOKEN, Live
from tests.unit.sdk.scripts import INIT, Machine, ended, task_of

SCRIPT = (
    INIT
    + """
log = task.get_logger()
for i in range(5):
    log.report_scalar("loss", "train", 1.0 / (i + 1), i)
    log.report_scalar("loss", "test", float("nan") if i == 2 else i, i * 10)
log.report_scalar("loss", "train", 9.0, 4)
log.report_scalar("odd", "never", float("nan"), 0)
log.report_single_value("accuracy", 0.75)
for i in range(3):
    log.report_table("tables", "t", iteration=i, table_plot=[["a", "b"], [1, i]])
open("sample.txt", "w").write("seen")
for i in range(4):
    log.report_media("samples", "s", iteration=i, local_path="sample.txt", max_history=3)
log.report_media("samples", "elsewhere", iteration=0, url="https://example.com/a.png")
print("the end")
own = task.get_reported_scalars()["loss"]["train"]["y"]
assert own[-1] == 9.0, own
assert task.get_last_scalar_metrics()["loss"]["train"]["last"] == 9.0
assert task.get_reported_single_value("accuracy") == 0.75
assert len(task.get_reported_plots(max_iterations=2)) == 2
"""
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, live: Live) -> str:
    """Id of a task that reported some of everything, and read it back while it ran."""
    laptop = Machine(tmp_path_factory.mktemp("laptop"), live.url, TOKEN)
    done = laptop.run(SCRIPT)
    assert done.code == 0, done.err
    task_id = task_of(done)
    ended(live, task_id)
    return task_id


@pytest.fixture
def task(ran: str, tmp_path: Path, live: Live, monkeypatch: pytest.MonkeyPatch) -> Task:
    for name in ("DRAY_TASK_ID", "DRAY_SPOOL", "DRAY_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRAY_URL", live.url)
    monkeypatch.setenv("DRAY_TOKEN", TOKEN)
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DRAY_CACHE", str(tmp_path / "cache"))
    found = Task.get_task(ran)
    assert found is not None
    return found


def test_scalars_come_by_title_and_series_and_the_last_word_counts(task: Task) -> None:
    scalars = task.get_reported_scalars()
    train = scalars["loss"]["train"]
    assert list(train) == ["name", "x", "y"]
    assert (train["name"], train["x"]) == ("train", [0, 1, 2, 3, 4])
    assert train["y"] == [1.0, 0.5, 1 / 3, 0.25, 9.0], "reported again for iteration 4"
    test = scalars["loss"]["test"]
    assert test["x"] == [0, 10, 20, 30, 40]
    assert math.isnan(test["y"][2])


def test_every_axis_there_is(task: Task) -> None:
    by_time = task.get_reported_scalars(x_axis="timestamp")["loss"]["train"]["x"]
    assert all(isinstance(x, int) for x in by_time)
    assert by_time == sorted(by_time)
    now_ms = datetime.now(timezone.utc).timestamp() * 1000
    assert now_ms - 600_000 < by_time[0] <= now_ms
    as_text = task.get_reported_scalars(x_axis="iso_time")["loss"]["train"]["x"]
    first = datetime.strptime(as_text[0], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    assert first.timestamp() * 1000 == pytest.approx(by_time[0], abs=2)
    whole = task.get_all_reported_scalars(x_axis="timestamp")
    assert whole["loss"]["train"]["x"] == by_time


def test_an_axis_that_is_none_is_refused(task: Task) -> None:
    for read in (task.get_reported_scalars, task.get_all_reported_scalars):
        with pytest.raises(ValueError, match="'epochs' is none of 'iter', 'timestamp'"):
            read(x_axis="epochs")


def test_fewer_samples_when_fewer_are_wanted(task: Task) -> None:
    series = task.get_reported_scalars(max_samples=3)["loss"]["train"]
    assert len(series["x"]) <= 3
    assert task.get_reported_scalars(max_samples=1)["loss"]["train"]["y"] == [9.0]
    with pytest.raises(TypeError, match="max_samples"):
        task.get_reported_scalars(max_samples="many")  # type: ignore[arg-type]


def test_all_scalars_are_every_point_of_every_series(task: Task) -> None:
    scalars = task.get_all_reported_scalars()
    train = scalars["loss"]["train"]
    assert train["x"] == [0, 1, 2, 3, 4]
    assert train["y"] == [1.0, 0.5, 1 / 3, 0.25, 9.0]


def test_the_last_metrics_are_of_finite_values_and_name_the_summary(task: Task) -> None:
    last = task.get_last_scalar_metrics()
    assert last["loss"]["train"] == {"last": 9.0, "min": 0.2, "max": 9.0}
    assert last["loss"]["test"] == {"last": 4.0, "min": 0.0, "max": 4.0}
    assert last["Summary"]["accuracy"] == {"last": 0.75, "min": 0.75, "max": 0.75}
    assert "odd" not in last


def test_single_values(task: Task) -> None:
    assert task.get_reported_single_values() == {"accuracy": 0.75}
    assert task.get_reported_single_value("accuracy") == 0.75
    assert task.get_reported_single_value("none") is None


def test_plots_are_plotly_figures_of_the_latest_iteration(task: Task) -> None:
    (plot,) = task.get_reported_plots()
    assert (plot["metric"], plot["variant"], plot["iter"]) == ("tables", "t", 2)
    assert (plot["type"], plot["task"], plot["plot_len"]) == (
        "plot",
        task.id,
        len(plot["plot_str"]),
    )
    figure = json.loads(plot["plot_str"])
    (trace,) = figure["data"]
    assert trace["type"] == "table"
    assert trace["cells"]["values"] == [[1], [2]]
    assert plot["@timestamp"].endswith("Z")


def test_more_iterations_of_plots_when_they_are_wanted(task: Task) -> None:
    assert [p["iter"] for p in task.get_reported_plots(max_iterations=2)] == [2, 1]
    assert [p["iter"] for p in task.get_reported_plots(max_iterations=99)] == [2, 1, 0]
    with pytest.raises(InvalidInput, match="max_iterations must be 1 or more, not 0"):
        task.get_reported_plots(max_iterations=0)


def test_debug_samples_of_a_series_newest_first(task: Task, live: Live) -> None:
    samples = task.get_debug_samples("samples", "s")
    assert [s["iter"] for s in samples] == [3, 2, 1], "a history of three was asked for"
    newest = samples[0]
    assert (newest["metric"], newest["variant"], newest["task"]) == ("samples", "s", task.id)
    assert newest["type"] == "training_debug_image"
    assert newest["url"].startswith(f"{live.url}/api/v1/tasks/{task.id}/media/")
    assert newest["url"].endswith(newest["key"])
    assert [s["iter"] for s in task.get_debug_samples("samples", "s", n_last_iterations=1)] == [3]
    (outside,) = task.get_debug_samples("samples", "elsewhere")
    assert outside["url"] == "https://example.com/a.png"


def test_the_bytes_of_a_sample_are_a_download(task: Task) -> None:
    url = task.get_debug_samples("samples", "s")[0]["url"]
    request = Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urlopen(request, timeout=10) as answer:
        assert answer.read() == b"seen"
        assert answer.headers["Content-Disposition"].startswith("attachment;")
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    with pytest.raises(HTTPError, match="401"):
        urlopen(url, timeout=10)
    wrong = Request(url + "x", headers={"Authorization": f"Bearer {TOKEN}"})
    with pytest.raises(HTTPError, match="404"):
        urlopen(wrong, timeout=10)


def test_a_series_that_is_not_there_has_no_samples(task: Task) -> None:
    assert task.get_debug_samples("samples", "none") == []


@pytest.mark.parametrize("wrong", [-1, "two", 1.5])
def test_a_number_of_samples_that_is_none_is_refused(task: Task, wrong: object) -> None:
    with pytest.raises(WrongType, match="n_last_iterations"):
        task.get_debug_samples("samples", "s", n_last_iterations=wrong)  # type: ignore[arg-type]


def test_the_console_is_given_in_reports(task: Task) -> None:
    assert "the end\n" in "".join(task.get_reported_console_output(number_of_reports=9))


def test_a_confusion_matrix_becomes_a_heat_map() -> None:
    data = {
        "matrix": [[1, 2], [3, 4]],
        "xaxis": "seen",
        "yaxis": "true",
        "xlabels": ["a", "b"],
        "ylabels": [],
    }
    figure = figure_of(Plot("t", "s", 0, "confusion_matrix", data))
    assert figure["data"] == [{"type": "heatmap", "z": [[1, 2], [3, 4]], "x": ["a", "b"]}]
    assert figure["layout"]["xaxis"]["title"]["text"] == "seen"
