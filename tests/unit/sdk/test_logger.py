"""What a script reports: each call is one record, and none waits."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dray.sdk import session
from dray.sdk.logger import Logger
from dray.sdk.reporting import not_finite
from tests.unit.sdk.conftest import Begin
from tests.unit.sdk.scripts import read_records


@pytest.fixture
def logger(begin: Begin) -> Logger:
    return Logger.of(begin())


def said(logger: Logger) -> list[dict[str, Any]]:
    """Records so far, without their time."""
    attempt = session.current()
    assert attempt is not None
    return [
        {name: value for name, value in record.items() if name != "t"}
        for record in read_records(Path(attempt.spool))
    ]


def test_a_scalar_is_one_record(logger: Logger) -> None:
    logger.report_scalar("loss", series="train", value=0.5, iteration=3)
    logger.report_scalar('odd "é"\n', "s", 1, 4)
    assert said(logger) == [
        {"k": "scalar", "title": "loss", "series": "train", "i": 3, "v": 0.5},
        {"k": "scalar", "title": 'odd "é"\n', "series": "s", "i": 4, "v": 1.0},
    ]


@pytest.mark.parametrize(
    ("given", "error", "named"),
    [
        (("loss", "train", "high", 1), ValueError, "value must be a number, got 'high'"),
        (("loss", "train", None, 1), TypeError, "value must be a number, got None"),
        (("loss", "train", [1], 1), TypeError, r"value must be a number, got \[1\]"),
        (("loss", "train", 1.0, "one"), ValueError, "iteration must be a whole number, got 'one'"),
        (("loss", "train", 1.0, 1.5), ValueError, "iteration must be a whole number, got 1.5"),
        (("loss", "train", 1.0, math.nan), ValueError, "iteration must be a whole number"),
        (("loss", "train", 1.0, object), TypeError, "iteration must be a whole number"),
        ((None, "train", 1.0, 1), TypeError, "title must be text, got None"),
        (("loss", 3, 1.0, 1), TypeError, r"series must be text, got 3 \(int\)"),
    ],
)
def test_a_bad_argument_of_a_scalar_is_named(
    logger: Logger, given: tuple[Any, ...], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        logger.report_scalar(*given)
    assert said(logger) == []


def test_numbers_may_be_of_any_library(logger: Logger) -> None:
    numpy = pytest.importorskip("numpy")
    logger.report_scalar("t", "s", numpy.float32(0.5), numpy.int64(2))
    logger.report_scalar("t", "s", numpy.array(2), 3.0)  # type: ignore[arg-type]
    logger.report_scalar("t", "s", True, None)  # type: ignore[arg-type]
    assert [(r["i"], r["v"]) for r in said(logger)] == [(2, 0.5), (3, 2.0), (0, 1.0)]


@pytest.fixture
def policy() -> Iterator[None]:
    yield
    not_finite.keep_all()


def test_nan_is_kept_unless_the_script_wants_a_number(
    logger: Logger, policy: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.report_scalar("t", "s", math.nan, 1)
    Logger.set_reporting_nan_value(-1, warn_period=2)
    for step in range(3):
        logger.report_scalar("t", "s", math.nan, step)
    logger.report_scalar("t", "s", math.inf, 1)
    logger.report_single_value("best", math.nan)
    Logger.set_reporting_inf_value(9)
    logger.report_scalar("t", "s", -math.inf, 1)
    values = [record["v"] for record in said(logger)]
    assert str(values) == "[nan, -1.0, -1.0, -1.0, inf, -1.0, 9.0]"
    assert capsys.readouterr().err.count("nan is reported as -1") == 2


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("accuracy", None, TypeError), ("accuracy", "high", ValueError), (3, 1.0, TypeError)],
)
def test_a_bad_single_value_is_named(
    logger: Logger, name: Any, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"accuracy|name must be text"):
        logger.report_single_value(name, value)


def test_levels_of_text(logger: Logger) -> None:
    for level in (5, 10, 25, logging.CRITICAL, "Warn", "40"):
        logger.report_text("told %s", level, False, "twice")
    assert {record["message"] for record in said(logger)} == {"told twice"}
    words = [record["level"] for record in said(logger)]
    assert words == ["debug", "debug", "info", "critical", "warn", "error"]
    with pytest.raises(TypeError, match="level"):
        logger.report_text("x", level=None)  # type: ignore[arg-type]


def test_logging_is_kept_within_its_context(
    logger: Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logging.getLogger("some.library")
    with logger.capture_logging():
        log.warning("heard %d", 1)
    log.warning("not heard")
    assert said(logger) == [{"k": "text", "level": "warning", "message": "heard 1"}]


def test_tags_of_tensorboard_become_titles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Logger, "_group_scalars", False)
    monkeypatch.setattr(Logger, "_single_series_per_graph", False)
    assert Logger.tensorboard_names("loss") == ("loss", "loss")
    assert Logger.tensorboard_names("a/b/loss") == ("a_b", "loss")
    Logger.tensorboard_auto_group_scalars(True)
    Logger.tensorboard_single_series_per_graph(True)
    assert Logger.tensorboard_names("loss") == ("Scalars", "loss")
    assert Logger.tensorboard_names("a/loss") == ("a/loss", "loss")


def test_a_run_has_one_logger(logger: Logger) -> None:
    assert Logger.current_logger() is Logger.current_logger()


def test_single_values_and_text(logger: Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logger.report_single_value("accuracy", 0.9)
    logger.report_text("printed", level=30)
    logger.report_text("silent", level="ERROR", print_console=False)
    assert said(logger) == [
        {"k": "single", "name": "accuracy", "v": 0.9},
        {"k": "text", "level": "warning", "message": "printed"},
        {"k": "text", "level": "error", "message": "silent"},
    ]
    # Under an agent nobody looks on: what is not to be shown is still in the console.
    assert capsys.readouterr().out == "printed\nsilent\n"


def test_flush_has_nothing_to_wait_for(logger: Logger) -> None:
    logger.set_flush_period(3.0)
    assert logger.flush(wait=True)
    assert logger.get_flush_period() is None


def test_forked_children_append_whole_lines(logger: Logger) -> None:
    children: list[int] = []
    for child in range(3):
        pid = os.fork()
        if pid == 0:
            for step in range(200):
                logger.report_scalar("fork", str(child), step, step)
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert len(said(logger)) == 600


def test_the_logger_of_no_task_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dray.sdk.session._current", None)
    monkeypatch.delenv("DRAY_TASK_ID", raising=False)
    assert Logger.current_logger() is None
