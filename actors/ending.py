"""Why an attempt ended: from what was asked, what the process did and what it said itself."""

from __future__ import annotations

from dray.runtime import causes
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.errors import PreparationFailed
from dray.runtime.paths import SpoolPaths
from dray.runtime.spool_reader import final_record
from dray.runtime.states import Event
from dray.runtime.subprocesses import ExitStatus
from dray.sdk.endings import cause_of, last_words


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
    spool: SpoolPaths,
    *,
    asked: Cause | None,
    steps: list[str],
    fenced: bool,
) -> Cause:
    """The cause of an attempt whose process has ended; reads its spool, so it may block.

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
    stated = final_record(spool)
    if stated is not None and "marked" in stated:
        return cause_of(stated)
    if status.exit_code is not None:
        cause = causes.exited(status.exit_code)
    else:
        cause = causes.killed(status.signal or 0)
    if causes.end_event(cause) is Event.COMPLETE:
        return cause
    return cause.with_evidence(last_words(spool))
