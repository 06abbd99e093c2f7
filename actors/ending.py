"""Why an attempt ended: from what was asked, what the process did and what it said itself."""

from __future__ import annotations

import json
from typing import Any, cast

from dray.actors.streams import AttemptSpool
from dray.runtime import causes, records
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.errors import PreparationFailed
from dray.runtime.states import Event
from dray.runtime.subprocesses import ExitStatus


def preparation_cause(exc: Exception) -> Cause:
    """The cause of an attempt whose process could not be started."""
    if isinstance(exc, PreparationFailed):
        cause = Cause(CauseKind(exc.details["kind"]), exc.message)
        return cause.with_evidence(str(exc.details.get("evidence", "")))
    if isinstance(exc, OSError):
        return Cause(CauseKind.ENVIRONMENT_FAILED, f"its process could not be started: {exc}")
    return Cause(CauseKind.SOURCE_FAILED, str(exc))


def process_cause(
    status: ExitStatus,
    spool: AttemptSpool,
    *,
    asked: Cause | None,
    steps: list[str],
    fenced: bool,
) -> Cause:
    """The cause of an attempt whose process has ended.

    Args:
        asked: why it was asked to end, if it was.
        steps: signals its tree was sent.
        fenced: its keeper ended it because the lease could not be renewed.
    """
    if asked is not None:
        return asked.with_evidence("\n".join(steps))
    if fenced:
        return Cause(
            CauseKind.PREEMPTED,
            "it lost contact with the server and ended itself before its lease ran out",
            by="fence",
        )
    if status.lost:
        return causes.worker_lost("the process that kept it was killed")
    stated = stated_end(spool.tail(records.RECORDS))
    if stated is not None:
        return stated
    if status.exit_code is not None:
        cause = causes.exited(status.exit_code)
    else:
        cause = causes.killed(status.signal or 0)
    if causes.end_event(cause) is Event.COMPLETE:
        return cause
    return cause.with_evidence(spool.tail(records.STDERR).decode("utf-8", "replace"))


def stated_end(tail: bytes) -> Cause | None:
    """The end a script stated by an explicit ``mark_*`` call, from the end of its records."""
    for line in reversed(tail.splitlines()):
        if b'"final"' not in line:
            continue
        try:
            record = cast("dict[str, Any]", json.loads(line))
            if record["k"] == "final" and "marked" in record:
                return causes.marked(
                    Event(record["marked"]), "the script", record.get("reason") or None
                )
        except (ValueError, KeyError, TypeError):
            continue  # a user's text that happens to look like one
    return None
