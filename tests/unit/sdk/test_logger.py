"""What a script reports: each call is one record, and none waits."""

from __future__ import annotations

import os
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.errors import InvalidInput
from dray.sdk.logger import TABLE_ROW_LIMIT, Logger
from tests.unit.sdk.conftest import Begin
from tests.unit.sdk.scripts import read_records


@pytest.fixture
def logger(begin: Begin) -> Logger:
    return Logger(begin())


def said(logger: Logger) -> list[dict[str, Any]]:
    """Records so far, without their time."""
    return [
        {name: value for name, value in record.items() if name != "t"}
        for record in read_records(Path(logger._attempt.spool))
    ]


def test_a_scalar_is_one_record(logger: Logger) -> None:
    logger.report_scalar("loss", series="train", value=0.5, iteration=3)
    logger.report_scalar('odd "é"\n', "s", 1, 4)
    assert said(logger) == [
        {"k": "scalar", "title": "loss", "series": "train", "i": 3, "v": 0.5},
        {"k": "scalar", "title": 'odd "é"\n', "series": "s", "i": 4, "v": 1.0},
    ]


def test_values_that_are_no_numbers_are_refused_by_name(logger: Logger) -> None:
    with pytest.raises(InvalidInput, match="'loss'/'train'"):
        logger.report_scalar("loss", "train", "high", 1)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="accuracy"):
        logger.report_single_value("accuracy", None)  # type: ignore[arg-type]


def test_single_values_and_text(logger: Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logger.report_single_value("accuracy", 0.9)
    logger.report_text("printed", level=30)
    logger.report_text("silent", level="ERROR", print_console=False)
    assert said(logger) == [
        {"k": "single", "name": "accuracy", "v": 0.9},
        {"k": "text", "level": "warning", "message": "printed"},
        {"k": "text", "level": "error", "message": "silent"},
    ]
    assert capsys.readouterr().out == "printed\n"


def frame(index: Any) -> Any:
    """What is used of a pandas DataFrame, without pandas."""
    made = types.SimpleNamespace(index=index, columns=["a", "b"])
    rows = [(1, "x"), (2.5, None)]
    labelled = [(label, *row) for label, row in zip("pq", rows, strict=True)]
    made.itertuples = lambda index, name: (labelled if index else rows) if name is None else None
    return made


class RangeIndex:
    name = None


class Index:
    name = "key"


@pytest.mark.parametrize(
    ("table", "columns", "rows"),
    [
        ([["a", "b"], [1, "x"], [2.5, None]], ["a", "b"], [[1, "x"], [2.5, None]]),
        (frame(RangeIndex()), ["a", "b"], [[1, "x"], [2.5, None]]),
        (frame(Index()), ["key", "a", "b"], [["p", 1, "x"], ["q", 2.5, None]]),
        ([], [], []),
        ([["only", "names"]], ["only", "names"], []),
        ([["t"], [Path("p")]], ["t"], [["p"]]),
    ],
)
def test_tables(logger: Logger, table: Any, columns: list[str], rows: list[Any]) -> None:
    logger.report_table("results", "final", 7, table)
    (record,) = said(logger)
    assert record == {
        "k": "plot",
        "title": "results",
        "series": "final",
        "i": 7,
        "type": "table",
        "data": {"columns": columns, "rows": rows},
    }


def test_a_confusion_matrix(logger: Logger) -> None:
    logger.report_confusion_matrix(
        "digits", "test", [[5, 1], [0, 4]], 2, "predicted", "true", xlabels=[0, 1]
    )
    (record,) = said(logger)
    assert (record["type"], record["i"]) == ("confusion_matrix", 2)
    assert record["data"] == {
        "matrix": [[5, 1], [0, 4]],
        "xaxis": "predicted",
        "yaxis": "true",
        "xlabels": ["0", "1"],
        "ylabels": [],
    }


@pytest.mark.parametrize(
    "call",
    [
        lambda log: log.report_table("t", "s"),
        lambda log: log.report_table("t", "s", 0, "rows"),
        lambda log: log.report_table("t", "s", 0, [["a"]] * (TABLE_ROW_LIMIT + 2)),
        lambda log: log.report_confusion_matrix("t", "s", [[1, 2], [3]]),
    ],
)
def test_what_is_no_table_is_refused(logger: Logger, call: Callable[[Logger], None]) -> None:
    with pytest.raises(InvalidInput):
        call(logger)
    assert said(logger) == []


def test_flush_has_nothing_to_wait_for(logger: Logger) -> None:
    assert logger.flush(wait=True)


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
