"""Wall and monotonic time behind one protocol, so that tests own the clock."""

from __future__ import annotations

import time
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
