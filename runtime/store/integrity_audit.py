"""The audit as a chain: each step legal, each from where the one before led."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from dray.runtime.states import TRANSITIONS, Event, State
from dray.runtime.store.integrity_files import Evidence, Violation

_ROWS = """
SELECT t.id, t.state, t.epoch AS task_epoch, u.event, u.from_state, u.to_state, u.epoch
FROM tasks t LEFT JOIN audit u ON u.task_id = t.id ORDER BY t.id, u.seq
"""
#: What a run that moves itself to a queue is called; the table knows it as a requeue.
_HAND_OVER = "hand_over"


@dataclass(frozen=True)
class Step:
    """One row of the audit."""

    event: str
    from_state: str
    to_state: str
    epoch: int


def broken_chains(evidence: Evidence) -> Iterator[Violation]:
    """Every task whose audit is no way from a draft to where it is."""
    found = evidence.state.execute(_ROWS)
    for task_id, rows in groupby(found, key=lambda row: str(row["id"])):
        told = list(rows)
        steps = [
            Step(row["event"], row["from_state"], row["to_state"], row["epoch"])
            for row in told
            if row["event"] is not None
        ]
        for what in faults(steps, told[0]["state"], told[0]["task_epoch"]):
            yield task_id, what


def faults(steps: Iterable[Step], state: str, epoch: int) -> Iterator[str]:
    """What is wrong with the story of a task that is in ``state`` at attempt ``epoch``."""
    here, at = str(State.DRAFT), 0
    n_steps = 0
    for step in steps:
        n_steps += 1
        if n_steps == 1 and step.from_state != here:
            yield f"its story begins {step.from_state}, not as a draft"
        elif step.from_state != here:
            yield f"{step.event} began {step.from_state}, the step before it ended {here}"
        if step.from_state != step.to_state and not is_legal(step):
            yield f"{step.event} from {step.from_state} to {step.to_state} is no step there is"
        if step.epoch < at:
            yield f"{step.event} is of attempt {step.epoch}, after attempt {at}"
        here, at = step.to_state, max(at, step.epoch)
    if n_steps == 0:
        yield "nothing was written down of it"
    elif here != state:
        yield f"it is {state}, its last step ended {here}"
    elif at != epoch:
        yield f"it is at attempt {epoch}, its last step was at attempt {at}"


def is_legal(step: Step) -> bool:
    """Whether the table has this step."""
    name = str(Event.REQUEUE) if step.event == _HAND_OVER else step.event
    try:
        return TRANSITIONS.get((State(step.from_state), Event(name))) == State(step.to_state)
    except ValueError:  # no such state or event
        return False
