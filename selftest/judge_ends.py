"""What must be true of ends: all reached, each with its true cause, final, and nothing left."""

from __future__ import annotations

from collections.abc import Iterator

from dray.runtime import causes
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.models import OnLost, Task
from dray.runtime.states import TRANSITIONS, Event, State, is_terminal
from dray.selftest.history import History, Story
from dray.selftest.script import FAILED_CODE

SIGKILL = 9


def lost(history: History) -> Iterator[str]:
    """Tasks that were accepted and have not come to an end."""
    for task_id, story in history.stories.items():
        if story.task is None:
            yield f"task {task_id[:8]} was accepted, and the server does not know it"
        elif not is_terminal(story.task.state):
            yield f"task {task_id[:8]} ({story.plan.kind}) is still {story.task.state}"


def unanswered(history: History) -> Iterator[str]:
    """Requests that were refused or never answered."""
    yield from history.orders.problems


def untrue(history: History) -> Iterator[str]:
    """Ends without a cause, and causes that the other witnesses contradict."""
    for task_id, story in history.stories.items():
        task = story.task
        if task is None or not is_terminal(task.state):
            continue
        if task.cause is None:
            yield f"task {task_id[:8]} is {task.state} without a cause"
            continue
        why = _contradiction(history, story, task, task.cause)
        if why:
            yield (
                f"task {task_id[:8]} ({story.plan.kind}, attempt {task.epoch}) is {task.state}, "
                f"{task.cause.kind}: {task.cause.message!r}; {why}"
            )


def _contradiction(history: History, story: Story, task: Task, cause: Cause) -> str:
    """Why the end of a task cannot be true; empty when it may be."""
    if task.state is State.ABORTED:
        orders = history.orders
        asked = {task.id, orders.parents.get(task.id, "")} & {*orders.aborts, *orders.unsure}
        is_true = cause.kind is CauseKind.ABORTED and bool(asked)
        return "" if is_true else "nobody asked for it"
    codes = [f.details["code"] for f in history.of_attempt(task.id, task.epoch, "end")]
    if task.state is State.COMPLETED:
        is_true = cause.kind is CauseKind.EXIT_CODE and cause.exit_code == 0 and codes == [0]
        return "" if is_true else f"its last attempt wrote down the ends {codes}"
    policy = story.plan.policy
    match cause.kind:
        case CauseKind.EXIT_CODE:
            if cause.exit_code != FAILED_CODE or codes != [FAILED_CODE]:
                return f"its last attempt wrote down the ends {codes}"
        case CauseKind.SIGNAL:
            if cause.signal != SIGKILL or not _was_child_killed(history, task.id, task.epoch):
                return "nobody sent its process that signal"
        case CauseKind.TIME_LIMIT:
            return "" if policy.max_run_time_s is not None else "it has no time limit"
        case CauseKind.QUARANTINED:
            agents = {a.agent for a in story.attempts if a.cause and _is_loss(a.cause)}
            is_due = 0 < policy.quarantine_after <= len(agents)
            return "" if is_due else f"only {len(agents)} agents were lost under it"
        case CauseKind.WORKER_LOST:
            is_due = policy.on_lost is OnLost.WAIT or task.n_requeues >= policy.max_requeues
            return "" if is_due else f"it had used {task.n_requeues} of {policy.max_requeues}"
        case _:
            return "nothing of the kind happened"
    if task.n_retries < policy.retries:
        return f"only {task.n_retries} of its {policy.retries} retries were used"
    return ""


def _was_child_killed(history: History, task_id: str, epoch: int) -> bool:
    return any(
        fault.card.action == "kill" and fault.attempt == (task_id, epoch)
        for fault in history.faults
    )


def _is_loss(cause: Cause) -> bool:
    return cause.kind in (CauseKind.WORKER_LOST, CauseKind.QUARANTINED)


def unsettled(history: History) -> Iterator[str]:
    """Steps in the audit that do not follow from the one before, or leave an end."""
    for task_id, story in history.stories.items():
        state = str(State.DRAFT)
        n_enqueued = 0
        for entry in story.audit:
            if entry.event == "create":
                continue
            name = f"task {task_id[:8]}: {entry.event} (row {entry.seq})"
            if entry.from_state != state:
                yield f"{name} says it was {entry.from_state}, and it was {state}"
            if entry.from_state != entry.to_state:
                yield from _illegal(name, entry.event, entry.from_state, entry.to_state)
            n_enqueued += entry.event == "enqueue"
            state = entry.to_state
        if n_enqueued > 1:
            yield f"task {task_id[:8]} was enqueued once and the audit says {n_enqueued} times"
        if story.task is not None and state != str(story.task.state):
            yield f"task {task_id[:8]} is {story.task.state}, and its audit ends {state}"


def _illegal(name: str, event: str, before: str, after: str) -> Iterator[str]:
    if is_terminal(State(before)):
        yield f"{name} left the end {before}"
    known = {str(e): e for e in Event}.get(event)
    if known is None or TRANSITIONS.get((State(before), known)) is not State(after):
        yield f"{name} is no legal step from {before} to {after}"


def overcharged(history: History) -> Iterator[str]:
    """Tasks whose two budgets do not add up to what their attempts died of."""
    for task_id, story in history.stories.items():
        task = story.task
        if task is None:
            continue
        # One that was aborted while it waited to run again paid for its last attempt too.
        paid = story.attempts if _ended_waiting(story) else story.attempts[:-1]
        ended = [a.cause for a in paid if a.cause is not None]
        n_own = sum(causes.may_be_retried(cause) for cause in ended)
        n_lost = sum(causes.is_infrastructure(cause) for cause in ended)
        if task.n_retries != n_own:
            yield f"task {task_id[:8]} was charged {task.n_retries} retries for {n_own} failures"
        if task.n_requeues != n_lost:
            yield f"task {task_id[:8]} was charged {task.n_requeues} requeues for {n_lost} losses"


def left_over(history: History) -> Iterator[str]:
    """Processes of attempts, and tasks that count as running, after all was over."""
    yield from history.scene.alive
    yield from history.scene.busy


def restless(history: History) -> Iterator[str]:
    """Queues that are not empty and actors that do not answer."""
    yield from history.scene.waiting
    yield from history.scene.silent


def corrupt(history: History) -> Iterator[str]:
    """What the integrity check of the store found."""
    yield from history.scene.integrity or ()


def _ended_waiting(story: Story) -> bool:
    steps = [entry for entry in story.audit if entry.from_state != entry.to_state]
    return bool(steps) and steps[-1].from_state == str(State.PENDING)
