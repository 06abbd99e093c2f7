"""Causes: the state each leads to, and evidence that stays small."""

from __future__ import annotations

import pytest

from dray.runtime import causes
from dray.runtime.causes import EVIDENCE_LIMIT_BYTES, Cause, CauseKind
from dray.runtime.states import Event


@pytest.mark.parametrize(
    ("cause", "event"),
    [
        (causes.exited(0), Event.COMPLETE),
        (causes.exited(1), Event.FAIL),
        (causes.exited(-1), Event.FAIL),
        (causes.killed(9), Event.FAIL),
        (causes.aborted("user"), Event.ABORT),
        (causes.marked(Event.COMPLETE, "user"), Event.COMPLETE),
        (causes.marked(Event.FAIL, "user"), Event.FAIL),
        (causes.marked(Event.ABORT, "user"), Event.ABORT),
        (causes.worker_lost("gone"), Event.FAIL),
        (Cause(CauseKind.OUT_OF_MEMORY, "m"), Event.FAIL),
        (Cause(CauseKind.TIME_LIMIT, "m"), Event.FAIL),
        (Cause(CauseKind.SOURCE_FAILED, "m"), Event.FAIL),
        (Cause(CauseKind.ENVIRONMENT_FAILED, "m"), Event.FAIL),
        (Cause(CauseKind.VANISHED, "m"), Event.FAIL),
        (Cause(CauseKind.HANDED_OVER, "m"), Event.REQUEUE),
        (Cause(CauseKind.PREEMPTED, "m"), Event.REQUEUE),
    ],
    ids=lambda value: str(getattr(value, "kind", value)),
)
def test_each_cause_leads_through_one_event(cause: Cause, event: Event) -> None:
    assert causes.end_event(cause) is event


def test_completed_comes_from_exit_code_0_or_an_explicit_call_only() -> None:
    for kind in CauseKind:
        if kind not in (CauseKind.EXIT_CODE, CauseKind.MARKED):
            assert causes.end_event(Cause(kind, "m")) is not Event.COMPLETE
    assert causes.end_event(Cause(CauseKind.EXIT_CODE, "code unknown")) is Event.FAIL


def test_a_signal_is_named() -> None:
    assert causes.killed(9).message == "ended by SIGKILL"
    assert causes.killed(64 + 13).message == "ended by signal 77"


def test_evidence_is_the_end_of_the_log_and_bounded_in_bytes() -> None:
    cause = causes.exited(1).with_evidence("x" * 10_000 + "€last")
    assert cause.evidence is not None
    assert cause.evidence.endswith("€last")
    assert len(cause.evidence.encode()) <= EVIDENCE_LIMIT_BYTES


def test_evidence_never_begins_with_half_a_character() -> None:
    cause = causes.exited(1).with_evidence("€" * 5000)
    assert set(cause.evidence or "") == {"€"}


def test_no_evidence_is_none() -> None:
    assert causes.exited(1).with_evidence("").evidence is None
