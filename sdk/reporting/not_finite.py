"""What is reported where a script reports NaN or infinity, if the script wants another number."""

from __future__ import annotations

import json

from dray.runtime.spool import SpoolWriter
from dray.sdk import session
from dray.sdk.plots.plain import number, whole

#: ``nan`` and ``inf`` → the number instead, and for how many values a line on stderr says so.
_instead: dict[str, tuple[float, int]] = {}
_n_replaced: dict[str, int] = {}


def replace(kind: str, value: float, warn_period: int = 1000) -> None:
    """Report ``value`` for ``kind``, which is ``nan`` or ``inf``, from now on in this process.

    Raises:
        WrongType: value or period is no number.
    """
    _instead[kind] = number("value", value), max(1, whole("warn_period", warn_period))
    _n_replaced[kind] = 0
    SpoolWriter.text_of_not_finite = staticmethod(_text)


def keep_all() -> None:
    """Report what a script reports, as in the beginning."""
    _instead.clear()
    SpoolWriter.text_of_not_finite = staticmethod(json.dumps)


def _text(value: float) -> str:
    kind = "nan" if value != value else "inf"
    if kind not in _instead:
        return json.dumps(value)
    instead, period = _instead[kind]
    if _n_replaced[kind] % period == 0:
        session.say(
            f"{value} is reported as {instead:g}, as Logger.set_reporting_{kind}_value says"
        )
    _n_replaced[kind] += 1
    return json.dumps(instead)
