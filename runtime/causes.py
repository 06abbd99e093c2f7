"""Typed causes of an end, with their evidence, and the state each leads to."""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass, replace
from enum import Enum

from dray.runtime.states import Event

#: Evidence is the last lines of something; more is in the log it was taken from.
EVIDENCE_LIMIT_BYTES = 4096


class CauseKind(str, Enum):
    """Why an attempt or a task ended."""

    EXIT_CODE = "exit_code"
    SIGNAL = "signal"
    OUT_OF_MEMORY = "out_of_memory"
    TIME_LIMIT = "time_limit"
    SOURCE_FAILED = "source_failed"
    ENVIRONMENT_FAILED = "environment_failed"
    WORKER_LOST = "worker_lost"
    PREEMPTED = "preempted"
    ABORTED = "aborted"
    QUARANTINED = "quarantined"
    MARKED = "marked"
    HANDED_OVER = "handed_over"
    VANISHED = "vanished"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Cause:
    """Why it ended, so that nobody has to guess.

    Attributes:
        kind: the type, stable on the wire.
        message: one sentence for people.
        exit_code: of the process, when it exited by itself.
        signal: number of the signal that ended the process.
        by: who asked, for aborts and marks (``user``, ``agent:NAME``, ``down``).
        outcome: for ``marked``: the event that was asked for.
        evidence: last lines of the log that shows it, at most 4 KiB.
    """

    kind: CauseKind
    message: str
    exit_code: int | None = None
    signal: int | None = None
    by: str | None = None
    outcome: Event | None = None
    evidence: str | None = None

    def with_evidence(self, text: str) -> Cause:
        """This cause with the end of ``text`` as its evidence."""
        tail = text.encode("utf-8", "replace")[-EVIDENCE_LIMIT_BYTES:]
        return replace(self, evidence=tail.decode("utf-8", "ignore") or None)


def exited(code: int) -> Cause:
    """The cause of a process that exited by itself."""
    if code == 0:
        return Cause(CauseKind.EXIT_CODE, "exited with code 0", exit_code=0)
    return Cause(CauseKind.EXIT_CODE, f"exited with code {code}", exit_code=code)


def killed(number: int) -> Cause:
    """The cause of a process that a signal ended."""
    try:
        name = signals.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return Cause(CauseKind.SIGNAL, f"ended by {name}", signal=number)


def aborted(by: str, reason: str | None = None) -> Cause:
    """The cause of a task that somebody stopped."""
    return Cause(CauseKind.ABORTED, reason or f"aborted by {by}", by=by)


def marked(event: Event, by: str, reason: str | None = None) -> Cause:
    """The cause of a task whose end was stated by an explicit call."""
    words = {Event.COMPLETE: "completed", Event.FAIL: "failed", Event.ABORT: "aborted"}
    return Cause(CauseKind.MARKED, reason or f"marked {words[event]} by {by}", by=by, outcome=event)


def worker_lost(evidence: str, message: str = "its agent was lost") -> Cause:
    """The cause of an attempt whose agent or node is gone, or could not do its part."""
    return Cause(CauseKind.WORKER_LOST, message, evidence=evidence)


def quarantined(agents: tuple[str, ...], evidence: str) -> Cause:
    """The cause of a task under which one agent after the other died."""
    message = (
        f"{len(agents)} agents died while they ran it ({', '.join(agents)}); "
        "it is not run again until it is reset or enqueued"
    )
    return Cause(CauseKind.QUARANTINED, message, evidence=evidence)


def time_limit(limit_s: float) -> Cause:
    """The cause of an attempt that ran longer than its policy lets it."""
    return Cause(CauseKind.TIME_LIMIT, f"ran longer than its limit of {limit_s:g} s")


def is_infrastructure(cause: Cause) -> bool:
    """Whether the machine failed the task, which costs no retry of the user's."""
    return cause.kind is CauseKind.WORKER_LOST


def may_be_retried(cause: Cause) -> bool:
    """Whether it is the task's own failure, and one that may not come again."""
    kinds = (CauseKind.EXIT_CODE, CauseKind.SIGNAL, CauseKind.OUT_OF_MEMORY)
    return cause.kind in kinds and end_event(cause) is Event.FAIL


def end_event(cause: Cause) -> Event:
    """The transition a cause leads a running task through.

    Completed comes only from exit code 0 or an explicit call; ``handed_over`` and
    ``preempted`` send the task back to its queue.
    """
    if cause.kind is CauseKind.EXIT_CODE:
        return Event.COMPLETE if cause.exit_code == 0 else Event.FAIL
    if cause.kind is CauseKind.MARKED and cause.outcome is not None:
        return cause.outcome
    if cause.kind is CauseKind.ABORTED:
        return Event.ABORT
    if cause.kind in (CauseKind.HANDED_OVER, CauseKind.PREEMPTED):
        return Event.REQUEUE
    return Event.FAIL
