"""Reports that are more than a number: checked, counted and appended to the spool.

Part of the child's path: the standard library only, no network, no threads.
"""

from __future__ import annotations

import json

from dray.runtime.errors import UsageError
from dray.runtime.spool import RECORD_LIMIT_BYTES
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.plots.plain import text, whole

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.session import Session

#: Room for the members of a record beside the plot itself.
_ROOM_BYTES = 16 << 10


def put_plot(
    attempt: Session, title: Any, series: Any, iteration: Any, figure: dict[str, Any]
) -> None:
    """Record a plot; the same title, series and iteration replace each other.

    One over the limit of a record is left out, which is said on stderr and in the task's texts:
    a long run is worth more than one of its plots.

    Args:
        attempt: the run that reports.
        title: of the plot; must be text.
        series: of the plot; must be text.
        iteration: step it belongs to; None is 0.
        figure: plotly's ``{"data": [..], "layout": {..}}`` of plain values.

    Raises:
        WrongType: title or series is no text, or the iteration no number.
        InvalidInput: the iteration is not whole.
    """
    title, series = text("title", title), text("series", series)
    step = whole("iteration", iteration) + attempt.initial_iteration
    n_bytes = len(json.dumps(figure, separators=(",", ":")))
    if n_bytes > RECORD_LIMIT_BYTES - _ROOM_BYTES:
        warn(
            attempt,
            f"plot {title!r}/{series!r} has {n_bytes} bytes, over the limit of "
            f"{RECORD_LIMIT_BYTES >> 20} MiB, and is left out; upload its data as an artifact",
        )
        return
    attempt.record("plot", title=title, series=series, i=step, type="plotly", data=figure)


def one_of(call: str, **given: Any) -> str:
    """The name of the one argument that is given.

    Raises:
        UsageError: none or several are.
    """
    there = [name for name, value in given.items() if value is not None]
    if len(there) != 1:
        got = " and ".join(there) or "none"
        raise UsageError(
            f"{call} takes one of {', '.join(given)}; got {got}", field=there[0] if there else call
        )
    return there[0]


def warn(attempt: Session, message: str) -> None:
    """Say what goes on without the script being stopped: on stderr, and in the task's texts."""
    session.say(f"warning: {message}")
    attempt.record("text", level="warning", message=message)
