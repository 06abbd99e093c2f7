"""What entering a queue takes and answers, shared by enqueue and hand-over."""

from __future__ import annotations

from dray.api.context import Context
from dray.runtime.answers import Enqueued
from dray.runtime.errors import NotFound
from dray.runtime.models import Task


async def check_queue(context: Context, name: str) -> None:
    """Refuse a queue that is not there, naming those that are.

    Raises:
        NotFound: ``details['queues']`` lists the existing ones.
    """
    if await context.store.queues.is_served(name) is not None:
        return
    names = [queue.name for queue in await context.store.queues.list()]
    there = ", ".join(names) or "none"
    raise NotFound(
        f"there is no queue {name!r}; there are: {there}. "
        f"Create it with 'dray queue create {name}'",
        field="queue",
        value=name,
        queues=names,
    )


async def enqueued(context: Context, task: Task) -> Enqueued:
    """The answer for a task that now waits, with a warning when nobody takes from its queue."""
    if await context.store.queues.is_served(task.queue):
        return Enqueued(task)
    warning = f"no agent serves queue {task.queue!r}; the task waits until one does"
    return Enqueued(task, queue_served=False, warning=warning)
