"""``dray task``: the verbs that move a task from state to state, and waiting for one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from dray.runtime.errors import InvalidInput, NotFound
from dray.sdk.cli import options, words
from dray.sdk.cli.follow import follow as follow_console
from dray.sdk.cli.follow import has_failed, report_end
from dray.sdk.cli.policy_options import PolicyOptions
from dray.sdk.cli.session import Session, verb, verbs

if TYPE_CHECKING:
    from dray.runtime.models import Task

app = verbs()


@verb(app, "enqueue")
def enqueue(
    session: Session,
    task_id: options.TaskId,
    limits: PolicyOptions,
    queue: options.QueueName = "default",
    priority: options.Priority = None,
    follow: options.Follow = False,
) -> None:
    """Put a task in a queue. A draft begins; a failed or aborted one goes on, outputs kept."""
    if limits.given:
        check_queue(session, queue)
        policy = limits.applied(session.client.get_task(task_id).policy)
        session.client.edit_task(task_id, policy=policy)
    task = put_in_queue(session, task_id, queue, priority)
    session.out.answer(task, task.id)
    if follow:
        report_end(session, follow_console(session, task))


@verb(app, "dequeue")
def dequeue(session: Session, task_id: options.TaskId) -> None:
    """Take a task out of its queue. It is a draft again."""
    _answer(session, session.client.dequeue(task_id))


@verb(app, "abort")
def abort(
    session: Session,
    task_ids: options.TaskIds,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Kept with the task.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Return when they have ended.")] = False,
) -> None:
    """Stop tasks and those that follow them. Pending ones at once, running ones by signal."""
    stopped: list[str] = []
    for task_id in task_ids:
        root = session.client.get_task(task_id)
        unended = _unended_below(session, root.id)
        task = session.client.abort(root.id, reason=reason)
        followers = [session.client.get_task(child_id) for child_id in unended]
        followers = [child for child in followers if _was_stopped_with(child, root.id)]
        if followers:
            n = words.count(len(followers), "task")
            session.out.note(f"Task {root.id[:8]} ends with {n} that followed it")
        stopped += [root.id, *(child.id for child in followers)]
        for one in () if wait else (task, *followers):
            _answer(session, one)
    for task_id in stopped if wait else ():
        _answer(session, session.client.wait(task_id))


@verb(app, "mark")
def mark(
    session: Session,
    task_id: options.TaskId,
    outcome: Annotated[
        str, typer.Argument(metavar="OUTCOME", help="completed, failed or aborted.")
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Kept with the task.")
    ] = "",
) -> None:
    """State how a running task ended. For one whose machine is gone for good."""
    from dray.runtime.states import State

    ends = (State.COMPLETED, State.FAILED, State.ABORTED)
    if outcome.strip().lower() not in [end.value for end in ends]:
        raise InvalidInput(
            f"OUTCOME {outcome!r} is none of {', '.join(ends)}", field="OUTCOME", value=outcome
        )
    _answer(session, session.client.mark(task_id, outcome.strip().lower(), reason=reason))


@verb(app, "reset")
def reset(session: Session, task_id: options.TaskId) -> None:
    """Make an ended task a draft again. Its results are deleted."""
    _answer(session, session.client.reset(task_id))


@verb(app, "publish")
def publish(session: Session, task_id: options.TaskId) -> None:
    """Make an ended task read-only for ever."""
    _answer(session, session.client.publish(task_id))


@verb(app, "wait")
def wait(
    session: Session,
    task_ids: options.TaskIds,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", metavar="STATE", help="Until it is in this state; the end unless said."
        ),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="Give up after so long.")
    ] = None,
) -> None:
    """Wait until tasks end. Exit code 1: one failed, was aborted, or is not there in time."""
    from dray.runtime.states import State, is_terminal

    wanted = [options.one_of(State, text, "--state") for text in state or ()]
    deadline = None if timeout is None else time.monotonic() + timeout
    good = True
    for task_id in task_ids:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        task = session.client.wait(task_id, wanted, left)
        _answer(session, task)
        if task.state in wanted:
            continue
        if not is_terminal(task.state):
            session.out.note(f"Task {task.id[:8]} is still {task.state} after {timeout:g} s")
        good = good and is_terminal(task.state) and not has_failed(task) and not wanted
    if not good:
        raise typer.Exit(1)


def check_queue(session: Session, queue: str) -> None:
    """Refuse a queue that is not there, before anything is made for it.

    Raises:
        NotFound: those that are there are listed.
    """
    there = [other.name for other in session.client.list_queues()]
    if queue not in there:
        raise NotFound(
            f"no queue is called {queue!r}; there are: {', '.join(there) or 'none'}. "
            f"Make it with: dray queue create {queue}",
            queue=queue,
        )


def put_in_queue(session: Session, task_id: str, queue: str, priority: int | None) -> Task:
    """Enqueue a task and pass on what the server warns of."""
    answer = session.client.enqueue(task_id, queue, priority=priority)
    if answer.warning:
        session.out.note(f"dray: warning: {answer.warning}")
    task = answer.task
    if task.attempt is not None:  # a reset or new task has none
        session.out.note(
            f"Task {task.id[:8]} goes on as attempt {task.epoch + 1} "
            f"from iteration {task.initial_iteration}"
        )
    return task


def _unended_below(session: Session, task_id: str) -> list[str]:
    """Pending and running tasks below one, as far as those between them have not ended either."""
    found: list[str] = []
    unseen = [task_id]
    while unseen:
        parent = unseen.pop()
        for child in session.client.iter_tasks(parent=parent, state=("pending", "running")):
            if child.id != task_id and child.id not in found:
                found.append(child.id)
                unseen.append(child.id)
    return found


def _was_stopped_with(task: Task, root: str) -> bool:
    """Whether a task was stopped because ``root`` was: a clone of it, for one, is not."""
    cause = task.cause
    return cause is not None and cause.message.startswith(f"its parent {root[:8]} ")


def _answer(session: Session, task: Task) -> None:
    session.out.answer(task, f"{task.id}\t{task.state}")
