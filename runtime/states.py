"""States, phases and the transition table: the one place that says what may follow what."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class State(str, Enum):
    """What users see a task to be in; stored under these words."""

    DRAFT = "draft"
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"
    PUBLISHED = "published"

    def __str__(self) -> str:
        return self.value


class Phase(str, Enum):
    """What a running task is doing; other states have no phase."""

    PREPARING = "preparing"
    EXECUTING = "executing"
    STOPPING = "stopping"
    UNREACHABLE = "unreachable"

    def __str__(self) -> str:
        return self.value


class Event(str, Enum):
    """What can happen to a task that changes its state."""

    ENQUEUE = "enqueue"
    START = "start"
    DEQUEUE = "dequeue"
    CLAIM = "claim"
    COMPLETE = "complete"
    FAIL = "fail"
    ABORT = "abort"
    REQUEUE = "requeue"
    RESET = "reset"
    PUBLISH = "publish"

    def __str__(self) -> str:
        return self.value


#: Every legal step. Anything that is not here is refused with both states named.
TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.DRAFT, Event.ENQUEUE): State.PENDING,
        (State.DRAFT, Event.START): State.RUNNING,
        (State.PENDING, Event.DEQUEUE): State.DRAFT,
        (State.PENDING, Event.CLAIM): State.RUNNING,
        (State.PENDING, Event.ABORT): State.ABORTED,
        (State.RUNNING, Event.COMPLETE): State.COMPLETED,
        (State.RUNNING, Event.FAIL): State.FAILED,
        (State.RUNNING, Event.ABORT): State.ABORTED,
        (State.RUNNING, Event.REQUEUE): State.PENDING,
        (State.COMPLETED, Event.RESET): State.DRAFT,
        (State.FAILED, Event.RESET): State.DRAFT,
        (State.ABORTED, Event.RESET): State.DRAFT,
        (State.COMPLETED, Event.PUBLISH): State.PUBLISHED,
        (State.FAILED, Event.PUBLISH): State.PUBLISHED,
        (State.ABORTED, Event.PUBLISH): State.PUBLISHED,
        (State.FAILED, Event.ENQUEUE): State.PENDING,
        (State.ABORTED, Event.ENQUEUE): State.PENDING,
        (State.FAILED, Event.START): State.RUNNING,
        (State.ABORTED, Event.START): State.RUNNING,
    }
)

#: States that only a reset (a new life) or, for failed and aborted, going on can leave.
TERMINAL: frozenset[State] = frozenset(
    {State.COMPLETED, State.FAILED, State.ABORTED, State.PUBLISHED}
)


def allowed_events(state: State) -> tuple[Event, ...]:
    """The events a task in ``state`` accepts, in the table's order."""
    return tuple(event for (start, event) in TRANSITIONS if start is state)


def is_terminal(state: State) -> bool:
    """Whether a task in ``state`` has come to its end."""
    return state in TERMINAL
