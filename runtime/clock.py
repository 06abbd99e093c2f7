"""Wall and monotonic time behind one protocol, so that tests own the clock."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Seconds since the Unix epoch, for people and for the store."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for time-outs, leases and the fence."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


@lru_cache(maxsize=1)
def monotonic_origin() -> str:
    """Names what ``time.monotonic()`` counts from; empty where that cannot be told.

    Processes for which it is the same, and not empty, may compare their readings: those of one
    boot of one machine, unless a container has a clock of its own.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/time')}"
    except OSError:  # not Linux, or before 5.6
        return ""


class SteadyClock:
    """Wall time that only moves otherwise than time itself when its owner says so.

    What is dated by it, compared with it and stored agrees, whoever sets the machine's clock
    meanwhile and however often. Its owner looks at ``ahead_s`` now and then, and adopts.

    Args:
        machine: the clocks of the machine.
    """

    def __init__(self, machine: Clock | None = None) -> None:
        self._machine = machine or SystemClock()
        self.adopt()

    def now(self) -> float:
        """Seconds since the Unix epoch, as they were when last adopted, and what passed since."""
        return self._wall + (self._machine.monotonic() - self._monotonic)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._machine.monotonic()

    def ahead_s(self) -> float:
        """By how much the machine's wall clock is ahead of ``now``; it was set, or it slept."""
        return self._machine.now() - self.now()

    def adopt(self) -> None:
        """Take over the machine's wall clock."""
        self._wall = self._machine.now()
        self._monotonic = self._machine.monotonic()
