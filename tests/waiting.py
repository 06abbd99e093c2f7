"""Waiting for a condition: polls it, reports the last observation, fails on a wrong end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    look: Callable[[], T],
    holds: Callable[[T], bool] = bool,
    *,
    timeout_s: float = 30.0,
    wrong: Callable[[T], bool] = lambda _: False,
) -> T:
    """What ``look`` saw when ``holds`` was true of it.

    Fails at once when ``wrong`` is true of what was seen, and otherwise after ``timeout_s`` with
    the last observation.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if holds(seen):
            return seen
        if wrong(seen):
            raise AssertionError(f"will never hold: {seen!r}")
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s; last seen: {seen!r}")
        time.sleep(0.02)
