"""Figures of matplotlib: converted whole or kept as a picture, never with a part left out."""

from __future__ import annotations

import base64
import datetime
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dray.sdk.logger import Logger
from dray.sdk.plots import axes as plots_axes
from dray.sdk.plots import matplotlib_figures as plots_matplotlib
from dray.sdk.session import Session
from tests.unit.sdk.conftest import Begin
from tests.unit.sdk.scripts import read_records

pytest.importorskip("matplotlib").use("agg")
plt: Any = pytest.importorskip("matplotlib.pyplot")
numpy: Any = pytest.importorskip("numpy")


@pytest.fixture(autouse=True)
def _figures() -> Iterator[None]:
    yield
    plt.close("all")
    plots_matplotlib.force_pictures(False)


@pytest.fixture
def attempt(begin: Begin) -> Session:
    return begin()


def axes() -> Any:
    return plt.subplots()[1]


def converted(drawn: Any) -> dict[str, Any]:
    made = plots_axes.converted(drawn.figure)
    assert made is not None
    return json.loads(json.dumps(made, allow_nan=False))


def test_lines() -> None:
    drawn = axes()
    drawn.plot([1, 2, 3], [1, float("nan"), 3], "s--", color="red", label="loss")
    drawn.set(title="Fit", xlabel="step", yscale="log")
    drawn.axhline(2)
    drawn.legend()
    made = converted(drawn)
    (trace,) = made["data"]
    assert (trace["x"], trace["y"]) == ([1, 2, 3], [1, None, 3])
    assert (trace["mode"], trace["name"]) == ("lines+markers", "loss")
    assert trace["line"] == {"color": "rgba(255,0,0,1)", "width": 1.5, "dash": "dash"}
    assert trace["marker"]["symbol"] == "square"
    layout = made["layout"]
    assert (layout["title"]["text"], layout["xaxis"]["title"]["text"]) == ("Fit", "step")
    assert layout["yaxis"]["type"] == "log"
    assert layout["showlegend"]
    assert [(s["y0"], s["y1"], s["xref"]) for s in layout["shapes"]] == [(2, 2, "x domain")]


def test_points_with_sizes_and_colours() -> None:
    drawn = axes()
    drawn.scatter([1, 2], [3, 4], s=[36, 81], c=[0.0, 1.0], cmap="gray")
    (trace,) = converted(drawn)["data"]
    assert (trace["x"], trace["y"], trace["mode"]) == ([1, 2], [3, 4], "markers")
    assert trace["marker"]["color"] == ["rgba(0,0,0,1)", "rgba(255,255,255,1)"]
    assert trace["marker"]["size"] == [8, 12]


def test_bars_by_name_and_histograms() -> None:
    drawn = axes()
    drawn.bar(["a", "b"], [1, 2])
    made = converted(drawn)
    (bars,) = made["data"]
    assert (bars["type"], bars["x"], bars["y"], bars["base"]) == ("bar", [0, 1], [1, 2], [0, 0])
    assert made["layout"]["xaxis"]["ticktext"] == ["a", "b"]
    flat = axes()
    flat.barh([1, 2], [3, 4], label="w")
    (bars,) = converted(flat)["data"]
    assert (bars["orientation"], bars["x"], bars["y"]) == ("h", [3, 4], [1, 2])
    counted = axes()
    counted.hist([1, 1, 2], bins=2)
    (bars,) = converted(counted)["data"]
    assert bars["y"] == [2, 1]


def test_dates_areas_and_error_bars() -> None:
    drawn = axes()
    drawn.plot([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)], [1, 2])
    made = converted(drawn)
    assert made["data"][0]["x"] == ["2024-01-01T00:00:00", "2024-01-02T00:00:00"]
    assert made["layout"]["xaxis"]["type"] == "date"
    drawn = axes()
    drawn.fill_between([1, 2], [0, 0], [1, 1])
    drawn.errorbar([1, 2], [3, 4], yerr=0.5)
    kinds = [(trace["mode"], trace.get("fill")) for trace in converted(drawn)["data"]]
    assert kinds == [("none", "toself"), ("lines", None), ("lines", None)]


@pytest.mark.parametrize(
    "draw",
    [
        "imshow([[1, 2]])",
        "pie([1, 2])",
        "text(0, 0, 'note')",
        "contour([[1, 2], [3, 4]])",
        "axvspan(0, 1)",
        "hexbin([1, 2], [3, 4])",
        "set_xscale('symlog')",
        "twinx()",
        "bar([1], [1], hatch='/')",
        "inset_axes([0, 0, 1, 1])",
    ],
)
def test_what_would_lose_something_is_not_converted(draw: str) -> None:
    drawn = axes()
    drawn.plot([1, 2], [3, 4])
    eval(f"drawn.{draw}", {"drawn": drawn})  # noqa: S307
    assert plots_axes.converted(drawn.figure) is None


def test_several_axes_and_other_projections_are_pictures() -> None:
    assert plots_axes.converted(plt.subplots(1, 2)[0]) is None
    for projection in ("3d", "polar"):
        figure = plt.figure()
        figure.add_subplot(projection=projection)
        assert plots_axes.converted(figure) is None


def records(attempt: Session, kind: str) -> list[dict[str, Any]]:
    return read_records(Path(attempt.spool), kind)


def size_of(plot: dict[str, Any]) -> tuple[int, int]:
    (image,) = plot["data"]["layout"]["images"]
    pillow: Any = pytest.importorskip("PIL.Image")
    data = base64.b64decode(image["source"].removeprefix("data:image/png;base64,"))
    assert (image["sizex"], image["sizey"]) == pillow.open(io.BytesIO(data)).size
    return image["sizex"], image["sizey"]


def test_a_figure_is_a_plot_a_picture_or_a_sample(attempt: Session) -> None:
    logger, drawn = Logger.of(attempt), axes()
    drawn.plot([1, 2])
    logger.report_matplotlib_figure("t", "plot", plt, 3)
    logger.report_matplotlib_figure("t", "axes", drawn, 3, report_interactive=False)
    Logger.matplotlib_force_report_non_interactive(True)
    logger.report_matplotlib_figure("t", "figure", drawn.figure, 3)
    logger.report_matplotlib_figure("t", "sample", drawn.figure, 3, report_image=True)
    plot, *pictures = records(attempt, "plot")
    assert plot["data"]["data"][0]["y"] == [1, 2]
    assert all(min(size_of(picture)) > 100 for picture in pictures)
    assert [plot["series"] for plot in pictures] == ["axes", "figure"]
    (sample,) = records(attempt, "media")
    assert (sample["series"], sample["content_type"]) == ("sample", "image/png")


def test_what_the_script_reported_is_told_apart_from_what_it_shows(attempt: Session) -> None:
    drawn = axes()
    plots_matplotlib.record_figure(attempt, drawn.figure, "t", "shown")
    assert not plots_matplotlib.is_reported(plt)
    Logger.of(attempt).report_matplotlib_figure("t", "s", plt)
    assert plots_matplotlib.is_reported(drawn.figure)
    drawn.plot([1, 2])  # without a window, showing a figure does not end it
    assert not plots_matplotlib.is_reported(drawn.figure)


def test_a_figure_calls_itself_something() -> None:
    drawn = axes()
    assert plots_matplotlib.title_of(drawn) == ""
    drawn.set_title(" Axes ")
    assert plots_matplotlib.title_of(drawn) == "Axes"
    drawn.figure.suptitle("Figure")
    assert plots_matplotlib.title_of(plt) == "Figure"


def test_a_large_picture_is_drawn_with_fewer_dots(
    attempt: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = plt.subplots(figsize=(2, 2))[1]
    drawn.imshow(numpy.random.default_rng(1).random((200, 200)))
    wide, _ = size_of({"data": plots_matplotlib.picture(drawn.figure)})
    monkeypatch.setattr(plots_matplotlib, "RECORD_LIMIT_BYTES", 20_000 + (64 << 10))
    narrow, _ = size_of({"data": plots_matplotlib.picture(drawn.figure)})
    assert narrow < wide


def test_what_is_no_figure_is_refused(attempt: Session) -> None:
    with pytest.raises(TypeError, match="figure must be a matplotlib figure or pyplot, got int"):
        Logger.of(attempt).report_matplotlib_figure("t", "s", 3)
    drawn = axes()
    drawn.set_title(r"$\nonsense{$")
    with pytest.raises(ValueError, match="matplotlib cannot draw the figure"):
        Logger.of(attempt).report_matplotlib_figure("t", "s", plt, report_interactive=False)
