"""Tasks of the server by id, by name and by what they are; cloned, queued, taken out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dray.runtime import config
from dray.runtime.codec import to_json
from dray.runtime.errors import InvalidInput
from dray.runtime.models import Task
from dray.sdk import session
from dray.sdk.client import Client
from dray.sdk.handle import ServerHandle
from dray.sdk.task_labels import tag_list

#: Where a task goes when no queue is named.
DEFAULT_QUEUE = "default"
#: Keys of ``task_filter`` and what the server calls them.
_FILTERS = {
    "status": "state",
    "state": "state",
    "type": "type",
    "parent": "parent",
    "queue": "queue",
    "owner": "owner",
    "search_text": "search",
    "order_by": "order",
}
_LISTS = ("state", "type")


def client() -> Client:
    """The configured server."""
    return Client.from_settings(config.load().settings)


def by_id(task_id: str) -> ServerHandle:
    """The task with that id or unique prefix."""
    server = client()
    return ServerHandle(server, to_json(server.get_task(task_id)))


def by_name(
    project: str | None, name: str | None, tags: str | Iterable[str] | None
) -> ServerHandle | None:
    """The newest task of that whole name; None when there is none."""
    if not name:
        raise InvalidInput("give task_id, or task_name with or without project_name", field="name")
    server = client()
    found = server.iter_tasks(project=project or "", name_exact=name, tag=tag_list(tags or ()))
    for task in found:
        if not project or task.project == project:  # not one of a sub-project
            return ServerHandle(server, to_json(server.get_task(task.id)))
    return None


def many(
    task_ids: Iterable[str] | None,
    project: str | None,
    name: str | None,
    tags: str | Iterable[str] | None,
    task_filter: Mapping[str, Any] | None,
) -> list[ServerHandle]:
    """Every task that fits, newest first."""
    server = client()
    query = _query(task_filter or {})
    if task_ids is not None:
        tasks: Iterable[Task] = [server.get_task(task_id) for task_id in task_ids]
    else:
        tasks = server.iter_tasks(
            project=project or "", name=name or "", tag=tag_list(tags or ()), **query
        )
    return [ServerHandle(server, to_json(task)) for task in tasks]


def clone(task_id: str, changes: Mapping[str, Any]) -> ServerHandle:
    """A draft like that task."""
    server = client()
    return ServerHandle(server, to_json(server.clone_task(task_id, **changes)))


def enqueue(task_id: str, queue: str | None, priority: int | None) -> ServerHandle:
    """Put it in a queue; says so when nobody serves that queue."""
    server = client()
    answer = server.enqueue(task_id, queue or DEFAULT_QUEUE, priority=priority)
    if answer.warning:
        session.say(f"warning: {answer.warning}")
    return ServerHandle(server, to_json(answer.task))


def dequeue(task_id: str) -> ServerHandle:
    """Take it out of its queue."""
    server = client()
    return ServerHandle(server, to_json(server.dequeue(task_id)))


def _query(task_filter: Mapping[str, Any]) -> dict[str, Any]:
    query: dict[str, Any] = {}
    for key, value in task_filter.items():
        name = _FILTERS.get(key)
        if name is None:
            raise InvalidInput(
                f"task_filter has no {key!r}; there are: {', '.join(_FILTERS)}",
                field=f"task_filter.{key}",
            )
        if name in _LISTS:
            query[name] = [value] if isinstance(value, str) else list(value)
        else:
            query[name] = value if isinstance(value, str) else str(value[0])
    return query
