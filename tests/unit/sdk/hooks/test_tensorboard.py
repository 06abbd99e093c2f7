"""What a TensorBoard writer writes is recorded under titles and series."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboardX import SummaryWriter

from dray.sdk.hooks import tensorboard
from dray.sdk.hooks.tensorboard_names import Names
from dray.sdk.logger import Logger
from dray.sdk.session import Session
from tests.unit.sdk.hooks.conftest import Hooked, records

Written = Callable[..., Session]


@pytest.fixture
def written(hooked: Hooked, tmp_path: Path) -> Written:
    """Run ``script(writer)`` and give the run it was recorded to."""

    def run(script: Callable[[Any], None], wanted: Any = True) -> Session:
        attempt = hooked(wanted)
        with SummaryWriter(str(tmp_path / "runs" / "one"), write_to_disk=True) as writer:
            script(writer)
        return attempt

    return run


def places(attempt: Session, kind: str = "scalar") -> list[tuple[str, str, int]]:
    return [(r["title"], r["series"], r["i"]) for r in records(attempt, kind)]


@pytest.mark.parametrize(
    ("tag", "title", "series"),
    [("loss", "loss", "loss"), ("loss/train", "loss", "train"), ("a/b/c", "a_b", "c")],
)
def test_a_tag_is_split_before_its_last_part(
    written: Written, tag: str, title: str, series: str
) -> None:
    attempt = written(lambda writer: writer.add_scalar(tag, 0.5, 3))
    (point,) = records(attempt, "scalar")
    assert (point["title"], point["series"], point["i"], point["v"]) == (title, series, 3, 0.5)


@pytest.mark.parametrize("number", [0.2, 1 / 3, 1e-7, -2.5, 123456.7, 3.0, 3e38, float("inf")])
def test_a_number_is_found_again_in_the_digits_that_an_event_holds(
    written: Written, number: float
) -> None:
    attempt = written(lambda writer: writer.add_scalar("loss", number, 0))
    (point,) = records(attempt, "scalar")
    found = float(point["v"])
    assert np.float32(found) == np.float32(number)
    assert len(repr(found)) <= len(str(np.float32(number))) + 2


def test_add_scalars_is_one_chart(written: Written) -> None:
    attempt = written(
        lambda writer: [
            writer.add_scalars("loss", {"train": 1, "test": 2}, 7),
            writer.add_scalars("data/group", {"x": 1}, 7),
        ]
    )
    assert places(attempt) == [
        ("loss", "train", 7),
        ("loss", "test", 7),
        ("data_group", "x", 7),
    ]


def test_a_second_writer_of_a_tag_has_its_own_part_of_the_folder_beside_it(
    hooked: Hooked, tmp_path: Path
) -> None:
    attempt = hooked()
    for name in ("one", "two", "one"):
        with SummaryWriter(str(tmp_path / "runs" / name)) as writer:
            writer.add_scalar("loss/train", 1, 0)
    series = [series for _, series, _ in places(attempt)]
    assert series == ["train", "two: train", "train"]


def test_steps_that_begin_anew_go_on(written: Written) -> None:
    def script(writer: Any) -> None:
        for _ in range(2):
            for step in range(3):
                writer.add_scalar("loss", 0, step)

    assert [i for _, _, i in places(written(script))] == [0, 1, 2, 3, 4, 5]


def test_a_run_that_goes_on_counts_from_its_offset(hooked: Hooked, tmp_path: Path) -> None:
    attempt = hooked()
    attempt.initial_iteration = 100
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss", 1, 5)
        writer.add_text("note", "hi", 5)
    assert places(attempt) == [("loss", "loss", 105)]
    assert places(attempt, "media") == [("note", "text_summary", 105)]


def test_pictures_sound_and_text_are_debug_samples(written: Written, tmp_path: Path) -> None:
    def script(writer: Any) -> None:
        writer.add_image("images/first/a", np.zeros((3, 4, 4)), 1)
        writer.add_image("one", np.zeros((3, 4, 4)), 1)
        writer.add_text("notes", "good", 2)

    attempt = written(script)
    found = records(attempt, "media")
    assert [(r["title"], r["series"], r["content_type"]) for r in found] == [
        ("images", "first_a", "image/png"),
        ("Images", "one", "image/png"),
        ("notes", "text_summary", "text/plain"),
    ]
    picture, _, text = [Path(attempt.spool, "blobs", r["sha256"]).read_bytes() for r in found]
    assert picture.startswith(b"\x89PNG")
    assert text == b"good"


def test_a_figure_is_a_picture(written: Written) -> None:
    from matplotlib.figure import Figure

    def script(writer: Any) -> None:
        figure = Figure(figsize=(1, 1))
        figure.add_subplot().plot([1, 2])
        writer.add_figure("figures/line", figure, 4)

    assert places(written(script), "media") == [("figures", "line", 4)]


def test_a_histogram_is_bars_that_add_up(written: Written) -> None:
    values = np.linspace(-1, 1, 1000)
    attempt = written(lambda writer: writer.add_histogram("weights/layer", values, 2))
    (plot,) = records(attempt, "plot")
    (bars,) = plot["data"]["data"]
    assert (plot["title"], plot["series"], plot["i"]) == ("weights", "layer", 2)
    assert sum(bars["y"]) == 1000
    assert len(bars["x"]) <= 50
    assert -1 <= min(bars["x"]) < max(bars["x"]) <= 1


def test_histograms_of_each_step_become_fewer(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard, "THIN_AFTER", 4)

    def script(writer: Any) -> None:
        for step in range(32):
            writer.add_histogram("weights", np.array([0.0, 1.0]), step)

    steps = [i for _, _, i in places(written(script), "plot")]
    assert steps == [0, 1, 2, 3, 4, 6, 8, 12, 16, 24]


def test_a_precision_recall_curve_is_a_plot(written: Written) -> None:
    labels, scores = np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.8, 0.4])
    attempt = written(lambda writer: writer.add_pr_curve("pr", labels, scores, 1, num_thresholds=5))
    (plot,) = records(attempt, "plot")
    (line,) = plot["data"]["data"]
    assert len(line["x"]) == len(line["y"]) == 5
    assert line["x"][0] == 1.0  # at threshold 0 everything is recalled
    assert "TP 2 FP 2" in line["text"][0]


def test_a_mesh_is_a_plot(written: Written) -> None:
    vertices = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]]], dtype=float)
    faces = np.array([[[0, 1, 2]]])
    attempt = written(lambda writer: writer.add_mesh("shapes/one", vertices, faces=faces))
    (plot,) = records(attempt, "plot")
    (trace,) = plot["data"]["data"]
    assert trace["type"] == "mesh3d"
    assert trace["x"] == [0, 1, 0]
    assert (trace["i"], trace["j"], trace["k"]) == ([0], [1], [2])


@pytest.mark.parametrize("wanted", [True, {"tensorboard": {"report_hparams": False}}])
def test_hyperparameters_are_parameters_unless_they_are_not_wanted(
    written: Written, wanted: Any
) -> None:
    hparams = {"lr": 0.5, "batch": 32, "name": "adam", "fast": True}
    attempt = written(lambda writer: writer.add_hparams(hparams, {"acc": 0.9}), wanted)
    found = {n: p["value"] for r in records(attempt, "parameters") for n, p in r["values"].items()}
    expected = {"lr": "0.5", "batch": "32", "name": "adam", "fast": "True"}
    assert found == ({f"TB_hparams/{n}": v for n, v in expected.items()} if wanted is True else {})
    assert [v["v"] for v in records(attempt, "scalar")] == [pytest.approx(0.9)]


def test_the_events_are_written_as_ever(written: Written, tmp_path: Path) -> None:
    written(lambda writer: writer.add_scalar("loss", 0.5, 1))
    (file,) = (tmp_path / "runs" / "one").iterdir()
    assert b"loss" in file.read_bytes()


def test_tags_without_a_slash_may_share_a_chart(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Logger, "_group_scalars", True)
    assert places(written(lambda writer: writer.add_scalar("loss", 1, 0))) == [
        ("Scalars", "loss", 0)
    ]


def test_a_recorder_that_fails_breaks_nothing(
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def broken(self: Any, logdir: str, tag: str) -> Any:
        raise KeyError(tag)

    monkeypatch.setattr(Names, "scalar", broken)
    written(lambda writer: [writer.add_scalar("loss", 1, step) for step in range(3)])
    (told,) = capsys.readouterr().err.splitlines()
    assert "capturing EventFileWriter.add_event is off for this run: KeyError" in told
    assert b"loss" in next((tmp_path / "runs" / "one").iterdir()).read_bytes()


def test_switched_off_it_records_nothing(written: Written) -> None:
    attempt = written(lambda writer: writer.add_scalar("loss", 1, 0), {"tensorboard": False})
    assert not records(attempt, "scalar")
