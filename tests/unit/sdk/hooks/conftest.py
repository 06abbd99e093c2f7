"""Runs whose hooks are installed, and what they recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dray.sdk import hooks, session
from dray.sdk.hooks import watch
from dray.sdk.session import Session
from tests.unit.sdk.scripts import agent_spool, read_records

#: Begins a run with hooks; takes what ``auto_connect_frameworks`` says, and the origin.
Hooked = Callable[..., Session]


@pytest.fixture
def hooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hooked]:
    """Make this process a run whose frameworks are watched, until the test is over."""
    monkeypatch.setattr(session, "_current", None)
    monkeypatch.setattr(watch, "_told", set())
    begun: list[Session] = []

    def make(wanted: Any = True, origin: str = "local") -> Session:
        spool = agent_spool(tmp_path / f"spool{len(begun)}")
        made = Session(str(spool), 1)
        made.attempt["origin"] = origin
        session.adopt(made)
        begun.append(made)
        hooks.install(made, wanted)
        return made

    yield make
    hooks.uninstall()
    for made in begun:
        made.writer.close()


class Models:
    """Stands for what keeps models: it only notes what it is told."""

    def __init__(self) -> None:
        self.saved: list[tuple[str, str, str | None]] = []
        self.loaded: list[tuple[str, str]] = []
        self.broken: Exception | None = None

    def note_saved(
        self,
        attempt: Session,
        path: str,
        framework: str,
        name: str | None = None,
        iteration: int | None = None,
    ) -> str:
        del attempt, iteration
        if self.broken:
            raise self.broken
        self.saved.append((Path(path).name, framework, name))
        return f"model of {Path(path).name}"

    def note_loaded(self, attempt: Session, path: str, framework: str) -> str:
        del attempt
        if self.broken:
            raise self.broken
        self.loaded.append((Path(path).name, framework))
        return f"input of {Path(path).name}"


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    """What hooks say about model files."""
    noted = Models()
    module = ModuleType("dray.sdk.models.saves")
    module.saved = noted.note_saved  # type: ignore[attr-defined]
    module.loaded = noted.note_loaded  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dray.sdk.models.saves", module)
    monkeypatch.setattr("dray.sdk.models.saves", module, raising=False)
    return noted


def records(attempt: Session, kind: str) -> list[dict[str, Any]]:
    """Records of a run so far."""
    return read_records(Path(attempt.spool), kind)
