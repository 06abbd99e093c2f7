"""What the examples of reporting record, read back."""

from __future__ import annotations

import json
import wave
from typing import Any

from PIL import Image

from dray import StorageManager
from tests.integration.examples import QUEUE, Recorded, example


@example("reporting/scalars.py", ["--epochs", "4"])
def test_scalars_and_single_values_are_read_back(run: Recorded) -> None:
    scalars = run.task.get_reported_scalars()
    assert scalars["loss"]["train"]["x"] == [0, 1, 2, 3]
    assert scalars["loss"]["validation"]["y"] == [1.5, 0.75, 0.5, 0.375]
    assert run.task.get_reported_single_value("best loss") == 0.25
    assert "trained 4 epochs" in run.console
    if run.where == QUEUE:
        assert run.again(Args__epochs=2).get_reported_scalars()["loss"]["train"]["x"] == [0, 1]


def plots_of(run: Recorded) -> dict[tuple[str, str], dict[str, Any]]:
    """Title and series → the plotly figure that was reported last."""
    events = run.task.get_reported_plots()
    return {(one["metric"], one["variant"]): json.loads(one["plot_str"]) for one in events}


@example("reporting/histograms.py")
def test_histograms_are_read_back(run: Recorded) -> None:
    plots = plots_of(run)
    (bars,) = plots["ages", "counted"]["data"]
    assert (bars["x"], bars["y"]) == (["young", "grown", "old"], [3, 7, 2])
    votes = plots["votes", "by district"]
    assert [(bar["name"], bar["y"]) for bar in votes["data"]] == [
        ("north", [0, 1, 2]),
        ("south", [3, 4, 5]),
    ]
    assert (votes["layout"]["barmode"], votes["layout"]["showlegend"]) == ("stack", True)
    assert "reported 15 thousand votes" in run.console


@example("reporting/tables.py")
def test_tables_are_read_back(run: Recorded) -> None:
    tables = {
        series: (plot["data"][0]["header"]["values"], plot["data"][0]["cells"]["values"])
        for (_, series), plot in plots_of(run).items()
    }
    assert tables["rows"] == (["model", "accuracy"], [["small", "large"], [0.91, 0.95]])
    assert tables["frame"] == (
        ["animal", "legs", "wings"],
        [["falcon", "dog", "spider"], [2, 4, 8], [2.0, 0.0, "NaN"]],
    )
    assert tables["file"] == (["name", "n"], [["first", "second"], [1, 2.5]])


@example("reporting/points_and_surfaces.py")
def test_points_and_surfaces_are_read_back(run: Recorded) -> None:
    plots = plots_of(run)
    assert plots["path", "walk"]["data"][0]["y"] == [step**2 for step in range(10)]
    assert plots["path", "stops"]["data"][0]["text"] == ["start", "rest"]
    lines = plots["comparison", "ours"]["data"]
    assert [(line["name"], line["y"]) for line in lines] == [("ours", [1, 3]), ("theirs", [2, 2])]
    assert plots["cloud", "points"]["data"][0]["z"] == [3, 6]
    surface = plots["loss landscape", "hill"]
    assert surface["data"][0]["z"][3] == [3 * step for step in range(10)]
    assert surface["layout"]["scene"]["camera"]["eye"] == {"x": 1, "y": 1, "z": 2}


@example("reporting/confusion_matrix.py")
def test_a_confusion_matrix_is_read_back(run: Recorded) -> None:
    events = run.task.get_reported_plots(max_iterations=2)
    assert [event["iter"] for event in events] == [1, 0]
    assert json.loads(events[1]["plot_str"])["data"][0]["z"] == [[3, 2], [1, 4]]
    (matrix,) = plots_of(run).values()
    assert matrix["data"][0]["x"] == matrix["data"][0]["y"] == ["cat", "dog"]
    assert matrix["data"][0]["texttemplate"] == "%{z} of 10"
    assert matrix["layout"]["yaxis"] == {"title": {"text": "true"}, "autorange": "reversed"}


@example("reporting/matplotlib_figures.py")
def test_figures_of_matplotlib_are_read_back(run: Recorded) -> None:
    plots = plots_of(run)
    assert plots["figures", "lines"]["data"][0]["y"] == [1, 4, 9]
    assert plots["figures", "lines"]["layout"]["title"]["text"] == "growth"
    (image,) = plots["figures", "image"]["layout"]["images"]
    assert image["source"].startswith("data:image/png;base64,")
    (sample,) = run.task.get_debug_samples("figures", "as sample")
    assert sample["iter"] == 1


@example("reporting/plotly_figures.py")
def test_figures_of_plotly_are_read_back(run: Recorded) -> None:
    plots = plots_of(run)
    assert plots["iris", "scatter"]["data"][0]["y"] == [4, 1, 9]
    assert plots["iris", "scatter"]["layout"]["title"] == {"text": "by plotly"}
    assert plots["iris", "dict"]["data"] == [{"type": "pie", "values": [1, 2]}]


@example("reporting/images_and_media.py")
def test_images_and_media_are_read_back(run: Recorded) -> None:
    samples = run.task.get_debug_samples("input", "noise")
    assert [sample["iter"] for sample in samples] == [4, 3, 2]
    (red,) = run.task.get_debug_samples("input", "red")
    image = Image.open(StorageManager.get_local_copy(red["url"]))
    assert (image.size, image.getpixel((0, 0))) == ((32, 16), (255, 0, 0))
    (sound,) = run.task.get_debug_samples("sound", "silence")
    with wave.open(StorageManager.get_local_copy(sound["url"])) as file:
        assert file.getnframes() == 800
    (page,) = run.task.get_debug_samples("page", "html")
    assert page["key"].endswith(".html")
    (elsewhere,) = run.task.get_debug_samples("page", "elsewhere", n_last_iterations=1)
    assert elsewhere["url"] == "https://example.org/report.html"


@example("reporting/text_and_logging.py")
def test_texts_and_logging_are_read_back(run: Recorded) -> None:
    console = "".join(run.task.get_reported_console_output(number_of_reports=10))
    said = [line for line in console.splitlines() if not line.startswith("dray")]
    assert said[:4] == ["a plain line", "a warning", "by logging", "by print"] or run.where == QUEUE
    assert sorted(said)[-3:] == ["by logging", "by print", "kept as a text"]
    assert ("a warning" in run.console) == (run.where == QUEUE)
