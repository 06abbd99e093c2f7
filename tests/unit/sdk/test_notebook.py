"""The script of a notebook, in editors that give its cells no ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dray.sdk.capture.notebook import Notebook
from dray.sdk.session import Session
from tests.unit.sdk.scripts import agent_spool


class Events:
    """Stands for those of IPython's shell."""

    def __init__(self) -> None:
        self.callbacks: dict[str, list[Callable[[Any], None]]] = {}

    def register(self, event: str, function: Callable[[Any], None]) -> None:
        self.callbacks.setdefault(event, []).append(function)

    def unregister(self, event: str, function: Callable[[Any], None]) -> None:
        self.callbacks[event].remove(function)


def test_a_cell_that_failed_takes_no_other_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    events = Events()
    history = SimpleNamespace(input_hist_raw=["a = 1", "b = 2"])
    notebook = Notebook(
        SimpleNamespace(
            user_ns={}, history_manager=history, events=events, transform_cell=lambda cell: cell
        )
    )
    notebook.follow(Session(str(agent_spool(tmp_path / "spool")), 1))

    def run(cell: str, *, success: bool = True) -> None:
        info = SimpleNamespace(raw_cell=cell, cell_id=None)
        for function in events.callbacks["pre_run_cell"]:
            function(info)
        for function in events.callbacks["post_run_cell"]:
            function(SimpleNamespace(success=success, info=info))

    run("a = 1", success=False)  # the same words as the first cell: both are left out
    run("c = 3")
    assert notebook.script.read_text() == "b = 2\n\nc = 3\n"
    notebook.leave()
    assert not any(events.callbacks.values())
