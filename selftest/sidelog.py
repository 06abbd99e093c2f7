"""The side log as the judge reads it: what attempts themselves wrote down, fsynced."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast


@dataclass(frozen=True)
class Fact:
    """One line of the side log.

    Attributes:
        what: ``start``, ``wrote``, ``descendant`` or ``end``.
        pid: of the attempt's process; of the descendant in ``descendant``.
        at: seconds on the machine's monotonic clock, the same for all processes.
        born: when the process of ``pid`` started, in ticks; with the pid it names one process.
        details: what else the line says.
    """

    what: str
    task_id: str
    epoch: int
    pid: int
    at: float
    born: str = ""
    details: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def key(self) -> tuple[str, int]:
        """The attempt it tells about."""
        return self.task_id, self.epoch

    @property
    def name(self) -> str:
        """The attempt, for people."""
        return f"{self.task_id[:8]}.{self.epoch}"


class SideLog:
    """Follows the file as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def news(self) -> list[Fact]:
        """The facts that came since the last call; a line that is being written comes later."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [_fact(text) for text in whole.splitlines()]


def read(path: Path) -> list[Fact]:
    """Every fact, in the order in which they were written."""
    return SideLog(path).news()


def _fact(text: bytes) -> Fact:
    entry = cast("dict[str, Any]", json.loads(text))
    return Fact(
        what=entry.pop("what"),
        task_id=entry.pop("task"),
        epoch=entry.pop("epoch"),
        pid=entry.pop("pid"),
        at=entry.pop("at"),
        born=entry.pop("born", ""),
        details=entry,
    )
