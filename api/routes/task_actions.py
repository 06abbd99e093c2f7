"""What moves a task through its states, and waiting for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from dray.api import auth, bodies, queueing
from dray.api.addresses import API_PREFIX
from dray.api.context import Context, Ctx
from dray.runtime import causes, machine
from dray.runtime.answers import Enqueued
from dray.runtime.errors import IllegalTransition
from dray.runtime.machine import Command, Head
from dray.runtime.models import Task
from dray.runtime.states import Phase, State, allowed_events, is_terminal
from dray.runtime.store import By

#: Longest a request waits for a state; proxies give up on a silent connection after a minute.
WAIT_LIMIT_S = 55.0

router = APIRouter(prefix=f"{API_PREFIX}/tasks/{{id}}", tags=["task actions"])


@router.post("/enqueue")
async def enqueue(
    body: bodies.EnqueueBody, context: Ctx, task_id: auth.TaskId, by: auth.Creator
) -> Enqueued:
    """Put a draft into a queue, or a failed or aborted task that goes on.

    A queue that nobody serves is accepted with `queue_served: false` and a warning.
    """
    await queueing.check_queue(context, body.queue)
    command = machine.Enqueue(body.queue)
    await context.store.tasks.apply(task_id, command, by, priority=body.priority)
    return await queueing.enqueued(context, await context.store.tasks.get(task_id))


@router.post("/dequeue")
async def dequeue(context: Ctx, task_id: auth.TaskId, by: auth.TaskWriter) -> Task:
    """Take a pending task out of its queue; it is a draft again."""
    return await _apply(context, task_id, machine.Dequeue(), by)


@router.post("/abort")
async def abort(
    context: Ctx,
    task_id: auth.TaskId,
    by: auth.TaskWriter,
    body: bodies.OptionalAbort = None,
) -> Task:
    """End a task: a pending one at once, a running one as soon as its agent has stopped it.

    Pending and running tasks that were given it as their parent end with it.
    """
    cause = causes.aborted(by.who, body.reason if body else None)
    await context.store.tasks.stop(task_id, cause, by)
    return await context.store.tasks.get(task_id)


@router.post("/reset")
async def reset(context: Ctx, task_id: auth.TaskId, by: auth.TaskWriter) -> Task:
    """Give an ended task a new life as a draft; its outputs are deleted."""
    return await _apply(context, task_id, machine.Reset(), by)


@router.post("/publish")
async def publish(context: Ctx, task_id: auth.TaskId, by: auth.TaskWriter) -> Task:
    """Make an ended task read-only for ever."""
    return await _apply(context, task_id, machine.Publish(), by)


@router.post("/mark")
async def mark(
    body: bodies.MarkBody, context: Ctx, task_id: auth.TaskId, by: auth.TaskWriter
) -> Task:
    """State how a running task ended, whatever its process came to.

    A process on an agent is stopped first, so that the task can be run again without two of them.
    One that is unreachable, or was started by hand, is left to end by itself: its epoch is over.
    """
    head = await context.store.tasks.head(task_id)
    cause = causes.marked(body.outcome.event, by.who, body.reason)
    if head.state is not State.RUNNING and head.cause != cause:
        raise IllegalTransition(
            f"task {task_id[:8]} is {head.state}: only a running task can be marked "
            f"{body.outcome.value}; {_way_out(head.state)}",
            task_id=task_id,
            state=str(head.state),
            event=str(body.outcome.event),
        )
    is_at_hand = head.queue != "" and head.phase is not Phase.UNREACHABLE
    if head.state is State.RUNNING and is_at_hand:
        return await _apply(context, task_id, machine.RequestStop(cause), by)
    return await _apply(context, task_id, machine.Finish(head.epoch, cause), by)


@router.get("/wait", dependencies=[auth.READS])
async def wait(
    context: Ctx,
    task_id: auth.TaskId,
    state: Annotated[
        list[State] | None, Query(description="the states waited for; an end always counts")
    ] = None,
    timeout_s: Annotated[float, Query(ge=0, le=WAIT_LIMIT_S)] = 30.0,
) -> Task:
    """The task as soon as it is in one of the states or has ended, or when the time is over."""
    wanted = set(state or ())
    deadline = context.clock.monotonic() + timeout_s

    def arrived(head: Head) -> bool:
        return head.state in wanted or is_terminal(head.state)

    with context.hub.watch(task_id) as watcher:
        while not arrived(await context.store.tasks.head(task_id)):
            left = deadline - context.clock.monotonic()
            if left <= 0 or not await watcher.wait(left):
                break
    return await context.store.tasks.get(task_id)


def _way_out(state: State) -> str:
    able = ", ".join(allowed_events(state)) or "be cloned"
    return f"from here it can {able}"


async def _apply(context: Context, task_id: str, command: Command, by: By) -> Task:
    await context.store.tasks.apply(task_id, command, by)
    return await context.store.tasks.get(task_id)
