"""Looks again and again which processes of attempts are alive, whatever anybody says of them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from dray.selftest.script import born
from dray.selftest.sidelog import Fact, SideLog

LOOK_EVERY_S = 0.1


@dataclass
class Life:
    """One process of an attempt.

    Attributes:
        first_at: when it wrote that it is there.
        last_at: when it was last seen alive, on the same clock.
    """

    fact: Fact
    first_at: float
    last_at: float
    is_alive: bool = True


class Liveness:
    """Samples every process that the side log names until it is gone."""

    def __init__(self, path: Path) -> None:
        self._log = SideLog(path)
        self._lives: list[Life] = []
        self._over = threading.Event()
        self._looking = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="liveness", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> list[Life]:
        """Look now; everything that was ever seen."""
        with self._looking:
            for fact in self._log.news():
                if fact.what in ("start", "descendant"):
                    self._lives.append(Life(fact, fact.at, fact.at))
            for life in self._lives:
                if life.is_alive:
                    life.is_alive = born(life.fact.pid) == life.fact.born != ""
                    if life.is_alive:
                        life.last_at = time.monotonic()
            return list(self._lives)

    def alive(self) -> list[Fact]:
        """The processes that are alive now."""
        return [life.fact for life in self.look() if life.is_alive]

    def _run(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            self.look()
