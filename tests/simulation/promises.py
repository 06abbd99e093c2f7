"""What the checker watches over: the invariants of the design and the promises to users."""

from __future__ import annotations

from enum import Enum


class Promise(str, Enum):
    """One thing that must hold after every event; the number is the invariant's in the design."""

    NOTHING_LOST = "1, R1: an accepted submit is never lost, and pending means in its queue"
    RUNNING_IS_LEASED = "2: running means an agent, an epoch and a lease, or unreachable"
    EPOCHS_GROW = "2: each attempt has the next epoch"
    ONE_CLAIM = "2: a claim opens one attempt however often it is repeated"
    ONE_WRITER = "2, R2: what an old epoch writes is refused"
    ONE_PROCESS = "3, R5: under requeue no two processes of a task live at a time"
    PATIENCE = "3: the server's own absence makes no attempt unreachable"
    BOUNDED = "3: lost workers send a task back a bounded number of times"
    FINAL = "4, R4: only reset, enqueue and start leave a terminal state"
    CAUSED = "4: an end has a cause, and completed comes from exit code 0"
    STOP_KEPT = "R8: a task that was asked to stop starts no attempt by itself"
    OWN_BUDGETS = "infrastructure failures eat no retries, and retries are bounded"
    CAPACITY = "R7: what is leased on a node fits on it"
    NO_ZOMBIE = "R3: a silent attempt is called unreachable in time"
    LIVENESS = "R3: when faults stop, every task comes to its end"


class Violation(AssertionError):
    """A promise was broken.

    Attributes:
        promise: which one.
        at: simulated seconds since the start.
    """

    def __init__(self, promise: Promise, at: float, text: str) -> None:
        super().__init__(f"{promise.name} ({promise.value}) at {at:.3f} s: {text}")
        self.promise, self.at, self.text = promise, at, text
