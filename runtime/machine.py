"""The life of one task as a pure function: a head and a command in, the next head out.

The store reads a :class:`Head`, calls :func:`step`, and writes the difference in the same
transaction. Nothing here knows of databases, clocks, networks or actors.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Union

from dray.runtime import causes
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.errors import IllegalTransition, StaleEpoch
from dray.runtime.models import OnLost, Policy
from dray.runtime.states import TRANSITIONS, Event, Phase, State, allowed_events, is_terminal

#: No retry waits longer.
MAX_RETRY_DELAY_S = 3600.0
#: What somebody said of an end counts, also when a stop was asked for before.
_STATED = (CauseKind.ABORTED, CauseKind.MARKED)


@dataclass(frozen=True)
class Head:
    """What decides about a task's next step.

    Attributes:
        epoch: of the latest attempt, 0 before the first.
        agent: holder of the open attempt; empty when none is open.
        claim_id: made by whoever claimed, so that a repeated claim is answered again.
        lease_expires_at: None unless running.
        cause: of the last end, or of the stop that was asked for while ``stopping``.
        phase_before: the phase to come back to when an unreachable attempt is heard again.
        n_requeues: how often a lost worker sent it back since it was enqueued.
        n_retries: how often its own failure was tried again since it was enqueued.
        lost_agents: different agents that died while they ran it since it was enqueued.
        not_before: while pending: when its next retry may start.
    """

    task_id: str
    state: State
    phase: Phase | None = None
    epoch: int = 0
    agent: str = ""
    claim_id: str = ""
    lease_expires_at: float | None = None
    queue: str = ""
    cause: Cause | None = None
    phase_before: Phase | None = None
    n_requeues: int = 0
    n_retries: int = 0
    lost_agents: tuple[str, ...] = ()
    not_before: float | None = None
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True)
class Enqueue:
    """Put it in a queue: a draft, or a failed or aborted task that goes on."""

    queue: str


@dataclass(frozen=True)
class Dequeue:
    """Take it out of its queue."""


@dataclass(frozen=True)
class Claim:
    """Pick, assign and lease in one."""

    agent: str
    claim_id: str
    lease_expires_at: float


@dataclass(frozen=True)
class StartLocal:
    """A run started by hand takes its own lease: of a draft, or to go on after an end."""

    agent: str
    claim_id: str
    lease_expires_at: float


@dataclass(frozen=True)
class BeginExecuting:
    """The attempt's process has started."""

    epoch: int


@dataclass(frozen=True)
class Renew:
    """The holder is there."""

    epoch: int
    lease_expires_at: float


@dataclass(frozen=True)
class RequestStop:
    """Somebody wants it to end: at once when pending, by signal when running."""

    cause: Cause


@dataclass(frozen=True)
class Finish:
    """The attempt has ended; the cause says through which event.

    Attributes:
        at: when, which is what the delay of a retry is counted from.
    """

    epoch: int
    cause: Cause
    at: float = 0.0


@dataclass(frozen=True)
class LoseContact:
    """The lease ran out: the attempt is unreachable, which is not failed."""

    epoch: int


@dataclass(frozen=True)
class ProveDead:
    """Ray's word, or the fence, that the attempt's processes are gone.

    Attributes:
        agent_died: the agent itself ended, as opposed to having lost contact; a task under
            which several do is put in quarantine.
    """

    epoch: int
    evidence: str
    agent_died: bool = False


@dataclass(frozen=True)
class HandOver:
    """A run started by hand moves itself to a queue (``execute_remotely``)."""

    epoch: int
    queue: str


@dataclass(frozen=True)
class Reset:
    """A new life: outputs are deleted, the task is a draft again."""


@dataclass(frozen=True)
class Publish:
    """Read-only for ever."""


Command = Union[  # noqa: UP007  (3.10 evaluates it)
    Enqueue,
    Dequeue,
    Claim,
    StartLocal,
    BeginExecuting,
    Renew,
    RequestStop,
    Finish,
    LoseContact,
    ProveDead,
    HandOver,
    Reset,
    Publish,
]


def step(head: Head, command: Command) -> Head:
    """The head after ``command``.

    A repeated command whose effect already stands returns ``head`` itself, so that every
    caller may retry.

    Raises:
        IllegalTransition: the table has no such step from the current state.
        StaleEpoch: the command speaks for an attempt that is no longer the current one.
    """
    match command:
        case Enqueue():
            return _enqueue(head, command)
        case Dequeue():
            return _closed(head, _next(head, Event.DEQUEUE), cause=head.cause)
        case Claim() | StartLocal():
            return _open(head, command)
        case BeginExecuting():
            return _begin_executing(head, command)
        case Renew():
            return _renew(head, command)
        case RequestStop():
            return _request_stop(head, command)
        case Finish():
            return _finish(head, command)
        case LoseContact():
            return _lose_contact(head, command)
        case ProveDead():
            return _prove_dead(head, command)
        case HandOver():
            return _hand_over(head, command)
        case Reset():
            return _anew(_closed(head, _next(head, Event.RESET), cause=None))
        case Publish():
            if head.state is State.PUBLISHED:
                return head
            return replace(head, state=_next(head, Event.PUBLISH))


def _enqueue(head: Head, command: Enqueue) -> Head:
    if head.state is State.PENDING and head.queue == command.queue:
        return head
    after = _closed(head, _next(head, Event.ENQUEUE), cause=None)
    return replace(_anew(after), queue=command.queue)


def _open(head: Head, command: Claim | StartLocal) -> Head:
    event = Event.CLAIM if isinstance(command, Claim) else Event.START
    if head.state is State.RUNNING and head.claim_id == command.claim_id:
        return head
    return replace(
        head if event is Event.CLAIM else _anew(replace(head, queue="")),
        state=_next(head, event),
        phase=Phase.PREPARING if event is Event.CLAIM else Phase.EXECUTING,
        epoch=head.epoch + 1,
        agent=command.agent,
        claim_id=command.claim_id,
        lease_expires_at=command.lease_expires_at,
        cause=None,
        phase_before=None,
        not_before=None,
    )


def _begin_executing(head: Head, command: BeginExecuting) -> Head:
    check_epoch(head, command.epoch)
    if head.phase is Phase.PREPARING:
        return replace(head, phase=Phase.EXECUTING)
    if head.phase is Phase.UNREACHABLE:
        return replace(head, phase_before=Phase.EXECUTING)
    return head


def _renew(head: Head, command: Renew) -> Head:
    check_epoch(head, command.epoch)
    phase = head.phase_before if head.phase is Phase.UNREACHABLE else head.phase
    return replace(head, phase=phase, phase_before=None, lease_expires_at=command.lease_expires_at)


def _request_stop(head: Head, command: RequestStop) -> Head:
    if head.state is State.RUNNING:
        if head.phase is Phase.STOPPING or head.phase_before is Phase.STOPPING:
            return head
        if head.phase is Phase.UNREACHABLE:
            return replace(head, phase_before=Phase.STOPPING, cause=command.cause)
        return replace(head, phase=Phase.STOPPING, cause=command.cause)
    return _closed(head, _next(head, Event.ABORT), cause=command.cause)


def _finish(head: Head, command: Finish) -> Head:
    cause = command.cause
    if is_terminal(head.state) and head.epoch == command.epoch and head.cause == cause:
        return head
    check_epoch(head, command.epoch)
    event = causes.end_event(cause)
    asked = _asked_to_stop(head)
    if asked is not None and cause.kind not in _STATED and event is not Event.COMPLETE:
        # Whatever else it came to, it is not to run again.
        end = asked if asked.evidence else _shown_by(asked, cause)
        return _ended(head, causes.end_event(asked), end)
    if causes.is_infrastructure(cause):
        return _lose(head, cause)
    may_retry = causes.may_be_retried(cause) and head.queue != ""
    if may_retry and head.n_retries < head.policy.retries:
        delay_s = retry_delay_s(head.policy, head.n_retries)
        return replace(
            _ended(head, Event.REQUEUE, cause),
            n_retries=head.n_retries + 1,
            not_before=command.at + delay_s,
        )
    if event is Event.REQUEUE and not head.queue:
        event = Event.FAIL  # a run started by hand has no queue to go back to
    return _ended(head, event, cause)


def retry_delay_s(policy: Policy, n_retries: int) -> float:
    """Seconds to wait before the next retry, after ``n_retries`` of them; at most an hour."""
    return min(policy.retry_delay_s * 2.0 ** min(n_retries, 32), MAX_RETRY_DELAY_S)


def _lose(head: Head, lost: Cause, *, agent_died: bool = False) -> Head:
    """The attempt's worker failed it: run it again within the bounds, or give it up."""
    if agent_died and head.agent not in head.lost_agents:
        head = replace(head, lost_agents=(*head.lost_agents, head.agent))
        if 0 < head.policy.quarantine_after <= len(head.lost_agents):
            quarantined = causes.quarantined(head.lost_agents, lost.evidence or lost.message)
            return _ended(head, Event.FAIL, quarantined)
    may_requeue = head.policy.on_lost is OnLost.REQUEUE and head.queue != ""
    if may_requeue and head.n_requeues < head.policy.max_requeues:
        return replace(_ended(head, Event.REQUEUE, lost), n_requeues=head.n_requeues + 1)
    return _ended(head, Event.FAIL, lost)


def _asked_to_stop(head: Head) -> Cause | None:
    stopping = Phase.STOPPING in (head.phase, head.phase_before)
    return head.cause if stopping else None


def _shown_by(asked: Cause, end: Cause) -> Cause:
    return asked.with_evidence("\n".join(filter(None, (end.message, end.evidence))))


def is_told_by(stored: Cause, said: Cause) -> bool:
    """Whether ``stored`` is what became of an attempt whose end was told as ``said``."""
    return stored == said or stored == _shown_by(replace(stored, evidence=None), said)


def _ended(head: Head, event: Event, cause: Cause) -> Head:
    return _closed(head, _next(head, event), cause=cause)


def _lose_contact(head: Head, command: LoseContact) -> Head:
    check_epoch(head, command.epoch)
    if head.phase is Phase.UNREACHABLE:
        return head
    return replace(head, phase=Phase.UNREACHABLE, phase_before=head.phase)


def _prove_dead(head: Head, command: ProveDead) -> Head:
    check_epoch(head, command.epoch)
    asked = _asked_to_stop(head)
    if asked is not None:
        return _ended(head, causes.end_event(asked), asked)
    return _lose(head, causes.worker_lost(command.evidence), agent_died=command.agent_died)


def _hand_over(head: Head, command: HandOver) -> Head:
    if head.state is State.PENDING and head.epoch == command.epoch:
        return head
    check_epoch(head, command.epoch)
    cause = Cause(CauseKind.HANDED_OVER, f"moved to queue {command.queue}", by="execute_remotely")
    return replace(_closed(head, _next(head, Event.REQUEUE), cause=cause), queue=command.queue)


def _next(head: Head, event: Event) -> State:
    after = TRANSITIONS.get((head.state, event))
    if after is None:
        able = ", ".join(allowed_events(head.state)) or "nothing (clone it instead)"
        raise IllegalTransition(
            f"task {head.task_id[:8]} is {head.state}: cannot {event}; from here it can {able}",
            task_id=head.task_id,
            state=str(head.state),
            event=str(event),
        )
    return after


def check_epoch(head: Head, epoch: int) -> None:
    """Refuse whoever speaks for an attempt that is not the open one.

    Raises:
        StaleEpoch: with both epochs.
    """
    if head.state is not State.RUNNING or head.epoch != epoch:
        raise StaleEpoch(
            f"attempt {epoch} of task {head.task_id[:8]} is over: "
            f"the task is {head.state} at attempt {head.epoch}",
            task_id=head.task_id,
            epoch=epoch,
            current_epoch=head.epoch,
            state=str(head.state),
        )


def _anew(head: Head) -> Head:
    """With full budgets: somebody decided that it is to run."""
    return replace(head, n_requeues=0, n_retries=0, lost_agents=())


def _closed(head: Head, state: State, *, cause: Cause | None) -> Head:
    return replace(
        head,
        state=state,
        phase=None,
        agent="",
        claim_id="",
        lease_expires_at=None,
        cause=cause,
        phase_before=None,
        not_before=None,
    )
