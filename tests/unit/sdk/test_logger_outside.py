"""Reporting to a task that runs elsewhere, or not yet: the server has it when the call returns."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from dray import Task
from dray.runtime.errors import InvalidInput, NotEditable, NotFound
from tests.unit.sdk.live import TOKEN, Live


@pytest.fixture
def task(tmp_path: Path, live: Live, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A draft of the server, held by a process that runs no task."""
    for name in ("DRAY_TASK_ID", "DRAY_SPOOL", "DRAY_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRAY_URL", live.url)
    monkeypatch.setenv("DRAY_TOKEN", TOKEN)
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DRAY_CACHE", str(tmp_path / "cache"))
    return Task.get_task(live.client.create_task("others", "reported to").id)


def test_scalars_plots_and_samples_arrive(task: Any, live: Live) -> None:
    logger = task.get_logger()
    assert logger is task.logger
    for step in range(3):
        logger.report_scalar("loss", "eval", 1.0 / (step + 1), step)
    logger.report_single_value("best", 0.9)
    logger.report_text("by hand", print_console=False)
    logger.report_table("t", "s", 1, [["a"], [1]])
    logger.report_media("notes", "n", 2, stream=io.BytesIO(b"hello"), file_extension=".txt")
    assert task.get_reported_scalars()["loss"]["eval"]["x"] == [0, 1, 2]
    assert task.get_reported_single_value("best") == 0.9
    (plot,) = task.get_reported_plots()
    assert json.loads(plot["plot_str"])["data"][0]["type"] == "table"
    (sample,) = live.client.media(task.id)
    to = Path(logger._attempt.spool, "fetched")
    assert live.client.get_blob(sample.sha256, to).read_bytes() == b"hello"


def test_samples_go_where_the_script_says(task: Any, live: Live, tmp_path: Path) -> None:
    task.logger.set_default_upload_destination(str(tmp_path / "samples"))
    task.logger.report_media("notes", "n", stream=io.StringIO("hello"), file_extension=".txt")
    (sample,) = live.client.media(task.id)
    assert Path(sample.uri.removeprefix("file://")).read_text() == "hello"


def test_a_bad_argument_is_named_before_anything_is_sent(task: Any) -> None:
    with pytest.raises(ValueError, match="value must be a number"):
        task.logger.report_scalar("loss", "eval", "high", 1)
    assert task.get_reported_scalars() == {}


def test_a_published_or_deleted_task_takes_nothing(task: Any, live: Live) -> None:
    live.client.start(task.id, agent="local:laptop", node="laptop", claim_id="claim")
    task.logger.report_single_value("while it runs", 1)
    live.client.mark(task.id, "completed")
    task.logger.report_single_value("after the run", 1)
    live.client.publish(task.id)
    with pytest.raises(NotEditable, match="published"):
        task.logger.report_single_value("late", 1)
    live.client.delete_task(live.client.create_task("others", "gone").id)
    with pytest.raises(NotFound):
        live.client.report("00" * 16, b"")


@pytest.mark.parametrize(
    "line", [b"{}\n", b'{"k":"tags","t":1,"add":["x"]}\n', b'{"k":"scalar","t":1}\n', b"no\n"]
)
def test_what_is_no_report_is_refused_whole(task: Any, live: Live, line: bytes) -> None:
    good = b'{"k":"single","name":"x","v":1,"t":1}\n'
    with pytest.raises(InvalidInput, match="record"):
        live.client.report(task.id, good + line)
    assert task.get_reported_single_values() == {}
