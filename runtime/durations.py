"""Lengths of time as people write them: ``90s``, ``2h30m``, ``1d``, or a number of seconds."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from dray.runtime.errors import InvalidInput

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_PART = r"(\d+(?:\.\d+)?)"
_TEXT = re.compile("".join(rf"(?:{_PART}{unit})?" for unit in _SECONDS))


def seconds(given: str | float | timedelta, field: str) -> float:
    """``given`` in seconds, finite and not negative.

    Args:
        given: a number of seconds, a ``timedelta``, or a text: a number, or numbers with units
            from the largest to the smallest (``d``, ``h``, ``m``, ``s``).
        field: what it is for, as its user calls it.

    Raises:
        InvalidInput: it cannot be read, or is no length of time.
    """
    if isinstance(given, timedelta):
        found = given.total_seconds()
    elif isinstance(given, str):
        found = _read(given.strip().lower().replace(" ", ""))
    else:
        found = math.nan if isinstance(given, bool) else float(given)
    if not (math.isfinite(found) and found >= 0):
        raise InvalidInput(
            f"{field} {given!r} is no length of time: write 90s, 2h30m, 1d or a number of seconds",
            field=field,
            value=str(given),
        )
    return found


def _read(text: str) -> float:
    """Seconds; NaN when ``text`` cannot be read."""
    if re.fullmatch(_PART, text):
        return float(text)
    match = _TEXT.fullmatch(text)
    if match is None or not text:
        return math.nan
    amounts = zip(match.groups(), _SECONDS.values(), strict=True)
    return sum(float(amount) * unit for amount, unit in amounts if amount is not None)


def written(length_s: float) -> str:
    """A length of time as :func:`seconds` reads it: ``2h30m``, ``1.5s``."""
    left, parts = round(length_s, 3), ""
    for unit, size in _SECONDS.items():
        amount = left // size if unit != "s" else left
        left = round(left - amount * size, 3)
        parts += f"{amount:g}{unit}" if amount else ""
    return parts or "0s"
