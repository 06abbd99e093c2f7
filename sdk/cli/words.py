"""How times, durations, sizes, amounts and ids are written for people."""

from __future__ import annotations

import time
from datetime import datetime, timezone

#: Digits of an id shown on a terminal; a pipe gets all of them.
SHORT_ID_LENGTH = 8


def short_id(text: str) -> str:
    """The first digits of an id."""
    return text[:SHORT_ID_LENGTH]


def moment(at: float | None) -> str:
    """A time as local date and time with its offset; empty for None or 0."""
    if not at:
        return ""
    return datetime.fromtimestamp(at, timezone.utc).astimezone().isoformat(" ", "seconds")


def ago(at: float | None) -> str:
    """A time as distance from now, such as ``3 min ago``."""
    if not at:
        return ""
    return f"{duration(max(0.0, time.time() - at), coarse=True)} ago"


def duration(seconds: float | None, *, coarse: bool = False) -> str:
    """A length of time in the unit that reads best."""
    if seconds is None:
        return ""
    if seconds < 1 and not coarse:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else "under 1 ms"
    if seconds < 60:
        return f"{seconds:.0f} s" if coarse else f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} days"


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it must be."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def value(number: float) -> str:
    """A measured value in six significant digits."""
    return f"{number:.6g}"
