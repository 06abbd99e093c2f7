"""Tasks into queues and out of them, answered as ClearML's programs expect."""

from __future__ import annotations

from dataclasses import dataclass

from dray.runtime.codec import to_json
from dray.runtime.errors import IllegalTransition, NotFound
from dray.runtime.models import Task
from dray.runtime.states import State
from dray.sdk import session
from dray.sdk.client import Client
from dray.sdk.tasks import find as task_find
from dray.sdk.tasks.records import Record, data_of

#: How long a running task that is to be enqueued anew is waited for.
_STOP_WAIT_S = 120.0


@dataclass(frozen=True)
class Place:
    """Where to wait: a queue by name or id, and with which priority."""

    queue_name: str | None = None
    queue_id: str | None = None
    priority: int | None = None


def enqueue(task_id: str, place: Place, *, force: bool) -> Record:
    """See ``Task.enqueue``; says so when nobody serves the queue."""
    client = task_find.client()
    queue = task_find.queue(client, place.queue_name, place.queue_id).name
    try:
        answer = client.enqueue(task_id, queue, priority=place.priority)
    except NotFound as exc:
        raise task_find.UnknownTask(exc.message, **exc.details) from exc
    except IllegalTransition:
        if not force:
            raise
        _reset(client, task_id)
        answer = client.enqueue(task_id, queue, priority=place.priority)
    if answer.warning:
        session.say(f"warning: {answer.warning}")
    execution = answer.task.execution
    if execution.commit and not execution.repository and not execution.snapshot:
        session.say(
            f"warning: task {answer.task.id[:8]} stands on commit {execution.commit[:8]} of a "
            "repository without a remote, which no agent can fetch: run its script with "
            "'dray run --queue' or Task.execute_remotely, which send the code along"
        )
    return _answer("queued", answer.task)


def dequeue(task_id: str) -> Record:
    """See ``Task.dequeue``."""
    try:
        return _answer("dequeued", task_find.client().dequeue(task_id))
    except NotFound as exc:
        raise task_find.UnknownTask(exc.message, **exc.details) from exc


def _reset(client: Client, task_id: str) -> None:
    task = client.get_task(task_id)
    if task.state is State.PENDING:
        client.dequeue(task.id)
        return
    if task.state is State.RUNNING:
        client.abort(task.id, reason="stopped to be enqueued anew")
        client.wait(task.id, (), _STOP_WAIT_S)
    client.reset(task.id)


def _answer(what: str, task: Task) -> Record:
    data = data_of(to_json(task))
    fields = {
        "status": data["status"],
        "status_reason": data["status_reason"],
        "status_message": data["status_message"],
        "status_changed": data["status_changed"],
        "last_update": data["last_update"],
        "execution.queue": data["execution"]["queue"],
    }
    return Record({what: 1, "updated": 1, "fields": fields, "task": to_json(task)})
