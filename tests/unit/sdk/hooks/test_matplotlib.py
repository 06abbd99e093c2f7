"""Figures that a script shows or saves are plots of its task."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

from dray.sdk.hooks.matplotlib import Figures
from dray.sdk.session import Session
from tests.unit.sdk.hooks.conftest import Hooked, records


@pytest.fixture(autouse=True)
def _no_screen() -> Iterator[None]:
    plt.switch_backend("agg")
    with mpl.rc_context({"figure.figsize": (1, 1), "figure.dpi": 50}):
        yield
    plt.close("all")


def plots(attempt: Session) -> list[tuple[str, str]]:
    return [(r["title"], r["series"]) for r in records(attempt, "plot")]


def test_what_is_shown_is_a_plot_under_its_title(hooked: Hooked) -> None:
    attempt = hooked()
    plt.plot([1, 2, 3])
    plt.title("curve")
    plt.show()
    (plot,) = records(attempt, "plot")
    assert (plot["title"], plot["series"], plot["i"]) == ("curve", "plot", 0)
    assert plot["data"]["data"][0]["y"] == [1, 2, 3]


def test_figures_without_a_title_are_numbered(hooked: Hooked) -> None:
    attempt = hooked()
    for _ in range(2):
        plt.figure()
        plt.plot([1, 2])
        plt.show()
    assert plots(attempt) == [("untitled 00", "plot"), ("untitled 01", "plot")]


def test_a_title_that_comes_again_in_an_iteration_is_numbered_and_begins_anew_in_the_next(
    hooked: Hooked,
) -> None:
    attempt = hooked()
    for epoch in range(2):
        attempt.writer.scalar("loss", "train", epoch, 0.5)
        for _ in range(2):
            plt.figure()
            plt.plot([1, 2])
            plt.title("curve")
            plt.show()
    found = [(r["title"], r["i"]) for r in records(attempt, "plot")]
    assert found == [("curve", 0), ("curve/1", 0), ("curve", 1), ("curve/1", 1)]


def test_a_figure_that_did_not_change_is_recorded_once(hooked: Hooked) -> None:
    attempt = hooked()
    plt.plot([1, 2])
    plt.show()
    plt.show()
    plt.plot([2, 1])
    plt.show()
    assert len(plots(attempt)) == 2


def test_what_is_saved_into_a_file_is_a_plot_and_what_goes_into_a_buffer_is_not(
    hooked: Hooked, tmp_path: Path
) -> None:
    import io

    attempt = hooked()
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    axes.set_title("saved")
    figure.savefig(io.BytesIO())
    assert not plots(attempt)
    figure.savefig(tmp_path / "f.png")
    plt.savefig(str(tmp_path / "g.png"))
    assert plots(attempt) == [("saved", "plot"), ("saved/1", "plot")]
    assert (tmp_path / "f.png").stat().st_size == (tmp_path / "g.png").stat().st_size


def test_a_picture_is_a_debug_sample(hooked: Hooked) -> None:
    attempt = hooked()
    plt.imshow([[0, 1], [1, 0]])
    plt.title("image")
    plt.show()
    (sample,) = records(attempt, "media")
    assert (sample["title"], sample["series"]) == ("image", "plot image")
    assert not plots(attempt)


def test_what_the_script_reports_itself_is_not_recorded_twice(hooked: Hooked) -> None:
    from dray.sdk.plots import matplotlib_figures as plots_matplotlib

    attempt = hooked()
    plt.plot([1, 2])
    plots_matplotlib.record_figure(attempt, plt, "mine", "own", 0, is_explicit=True)
    plt.show()
    assert plots(attempt) == [("mine", "own")]


def test_an_empty_figure_is_nothing(hooked: Hooked) -> None:
    attempt = hooked()
    plt.figure()
    plt.show()
    assert not plots(attempt)


def test_switched_off_it_records_nothing(hooked: Hooked) -> None:
    attempt = hooked({"matplotlib": False})
    plt.plot([1, 2])
    plt.show()
    assert not plots(attempt)


def test_under_an_agent_there_is_no_screen_whatever_the_script_asks_for(
    hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    hooked(origin="agent")
    mpl.use("QtAgg")
    assert mpl.get_backend().lower() == "agg"
    mpl.use("svg")
    assert mpl.get_backend().lower() == "svg"


def test_under_an_agent_what_is_drawn_after_show_is_a_figure_of_its_own(
    hooked: Hooked, tmp_path: Path
) -> None:
    attempt = hooked(origin="agent")
    plt.plot([1, 2])
    plt.title("first")
    plt.show()
    plt.savefig(tmp_path / "first.png")  # still the figure that was shown
    plt.plot([3, 4])
    plt.title("second")
    plt.show()
    found = {r["title"]: len(r["data"]["data"]) for r in records(attempt, "plot")}
    assert found == {"first": 1, "first/1": 1, "second": 1}


def test_under_an_agent_a_script_that_asks_for_no_screen_goes_on_in_its_figure_as_at_a_desk(
    hooked: Hooked,
) -> None:
    attempt = hooked(origin="agent")
    mpl.use("agg")
    for numbers in ([1, 2], [3, 4]):
        plt.plot(numbers)
        plt.show()
    assert [len(r["data"]["data"]) for r in records(attempt, "plot")] == [1, 2]


def test_a_recorder_that_fails_breaks_nothing(
    hooked: Hooked,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def broken(self: Any, figure: Any) -> None:
        raise KeyError("axes")

    monkeypatch.setattr(Figures, "report", broken)
    hooked()
    for _ in range(2):
        plt.savefig(tmp_path / "f.png")
        plt.plot([1, 2])
        plt.show()
    assert (tmp_path / "f.png").exists()
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in told] == ["Figure.savefig", "matplotlib.pyplot.show"]


def test_everything_is_put_back(hooked: Hooked) -> None:
    from dray.sdk import hooks

    pyplot = sys.modules["matplotlib.pyplot"]
    before = pyplot.show, pyplot.imshow, mpl.figure.Figure.savefig, mpl.use
    hooked(origin="agent")
    assert pyplot.show is not before[0]
    hooks.uninstall()
    assert (pyplot.show, pyplot.imshow, mpl.figure.Figure.savefig, mpl.use) == before
