"""Tasks of the server by id, by name and by what they are; queues and projects by name or id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, cast

from dray.runtime import config, ids
from dray.runtime.codec import to_json
from dray.runtime.errors import InvalidInput, NotFound, UsageError, WrongType
from dray.runtime.models import Project, Queue
from dray.sdk import session
from dray.sdk.client import Client
from dray.sdk.tasks.handle import ServerHandle
from dray.sdk.tasks.labels import ARCHIVED
from dray.sdk.tasks.records import Record, data_of

#: Where a task goes when no queue is named.
DEFAULT_QUEUE = "default"
#: ``Task.get_tasks`` gives so many at most; ``Task.query_tasks`` all.
MANY = 500
_PAGE = {"ids": 1000, "tasks": 250, "whole": 100}
#: Members of ``task_filter`` that say what is answered, not which tasks.
_NOT_FILTERS = frozenset({"only_fields"})


class UnknownTask(NotFound, ValueError):
    """No task has an id that was given."""


class UnknownQueue(NotFound, ValueError):
    """No queue has a name or an id that was given."""


def client() -> Client:
    """The configured server."""
    return Client.from_settings(config.load().settings)


def by_id(task_id: str) -> ServerHandle:
    """The task with that id or unique prefix.

    Raises:
        UnknownTask: (a ``NotFound`` and a ``ValueError``) there is none.
    """
    if not isinstance(cast("object", task_id), str):
        raise WrongType(f"task_id {task_id!r} is no text", field="task_id")
    server = client()
    try:
        return ServerHandle(server, to_json(server.get_task(task_id)))
    except NotFound as exc:
        raise UnknownTask(exc.message, **exc.details) from exc


def by_name(
    project: str | None,
    name: str | None,
    tags: str | Iterable[str] | None,
    allow_archived: bool,
    task_filter: Mapping[str, Any] | None,
) -> ServerHandle | None:
    """The task of that whole name that changed last; one that is not archived before others."""
    import re

    asked = wish(
        project, f"^{re.escape(name)}$" if name else None, tags, allow_archived, task_filter
    )
    if not asked:
        raise InvalidInput(
            "give task_id, or something to find it by: task_name, project_name, tags, task_filter",
            field="task_name",
        )
    server = client()
    if allow_archived:
        present = {**asked, "system_tags": [*_list(asked.get("system_tags")), f"-{ARCHIVED}"]}
        page = server.search_tasks(present, limit=1)
    else:
        page = server.search_tasks(asked, limit=1)
    if not page.items and allow_archived:
        page = server.search_tasks(asked, limit=1)
    for task in page.items:
        return ServerHandle(server, to_json(server.get_task(task.id)))
    return None


def these(task_ids: str | Iterable[str]) -> list[ServerHandle]:
    """Tasks by their ids, in this order.

    Raises:
        UnknownTask: some are unknown; all of those are listed.
    """
    wanted = [task_ids] if isinstance(task_ids, str) else list(task_ids)
    for one in wanted:
        if not isinstance(cast("object", one), str):
            raise WrongType(f"task_ids has {one!r}, which is no text", field="task_ids")
    server = client()
    whole = [one for one in wanted if ids.is_id(one)]
    found: dict[str, Any] = {}
    for i in range(0, len(whole), _PAGE["tasks"]):
        part = whole[i : i + _PAGE["tasks"]]
        for task in server.search_tasks({"id": part}, limit=len(part)).items:
            found[task.id] = ServerHandle(server, to_json(task), is_partial=True)
    unknown: list[str] = []
    for one in wanted:
        if one in found or ids.is_id(one):
            unknown += [] if one in found else [one]
            continue
        try:
            found[one] = ServerHandle(server, to_json(server.get_task(one)))  # a prefix
        except NotFound:
            unknown.append(one)
    if unknown:
        raise UnknownTask(
            f"there is no task {', '.join(unknown)}", field="task_ids", unknown=unknown
        )
    return [found[one] for one in wanted]


def many(asked: Mapping[str, Any]) -> list[ServerHandle]:
    """The first ``MANY`` tasks that fit; says so when there are more."""
    server = client()
    found: list[ServerHandle] = []
    for task in _each(server, asked, "tasks"):
        if len(found) == MANY:
            session.say(
                f"warning: more than {MANY} tasks fit, and these are the first {MANY}; "
                "Task.query_tasks() gives the ids of all"
            )
            break
        found.append(ServerHandle(server, to_json(task), is_partial=True))
    return found


def queried(asked: Mapping[str, Any], fields: Iterable[str] | None) -> list[Any]:
    """Ids of every task that fits, or a dict of each with its id and the dotted ``fields``."""
    server = client()
    if not fields:
        return [task.id for task in _each(server, asked, "ids")]
    names = list(dict.fromkeys([*([fields] if isinstance(fields, str) else fields), "id"]))
    return [
        {name: dotted(data, name) for name in names}
        for data in (data_of(to_json(task)) for task in _each(server, asked, "whole"))
    ]


def dotted(data: Any, name: str) -> Any:
    """The member of nested dicts at a dotted name; None when it is not there."""
    if not isinstance(data, Mapping):
        return None
    members = cast("Mapping[str, Any]", data)
    if name in members:
        return members[name]
    parts = name.split(".")
    for i in range(len(parts) - 1, 0, -1):  # a name may have dots itself
        head = ".".join(parts[:i])
        if head in members:
            return dotted(members[head], ".".join(parts[i:]))
    return None


def wish(
    project: str | Iterable[str] | None,
    name: str | None,
    tags: str | Iterable[str] | None,
    allow_archived: bool,
    task_filter: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """One ``task_filter`` of what ``Task.get_tasks`` and its like are given.

    Raises:
        WrongType: ``task_filter`` is no dict.
    """
    given: Mapping[str, Any] = {} if task_filter is None else task_filter
    if not isinstance(cast("object", given), Mapping):
        raise WrongType(f"task_filter {given!r} is no dict", field="task_filter")
    asked = {str(key): wire(value) for key, value in given.items() if str(key) not in _NOT_FILTERS}
    if project:
        asked["project"] = [project] if isinstance(project, str) else list(project)
    if name:
        asked["name"] = name
    if tags:
        own = [tags] if isinstance(tags, str) else list(tags)
        asked["tags"] = [*_list(asked.get("tags")), *own]
    if not allow_archived:
        asked["system_tags"] = [*_list(asked.get("system_tags")), f"-{ARCHIVED}"]
    return asked


def wire(value: Any) -> Any:
    """What a filter may hold, as JSON has it: enums as words, times in ISO 8601, sets as lists."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        members = cast("Mapping[Any, Any]", value)
        return {str(key): wire(one) for key, one in members.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [wire(one) for one in cast("Iterable[Any]", value)]
    if value is None or isinstance(value, (str, int, float, bool)):
        return str(value) if isinstance(value, str) else value
    return str(value.value) if hasattr(value, "value") else str(value)


def clone(task_id: str, changes: Mapping[str, Any]) -> ServerHandle:
    """A draft like that task."""
    server = client()
    try:
        return ServerHandle(server, to_json(server.clone_task(task_id, **changes)))
    except NotFound as exc:
        raise UnknownTask(exc.message, **exc.details) from exc


def queue(server: Client, name: str | None, queue_id: str | None) -> Queue:
    """The queue of that name or id; ``default`` when neither is given.

    Raises:
        UsageError: both were given.
        UnknownQueue: there is none; those there are, are listed.
    """
    if name and queue_id:
        raise UsageError("give queue_name or queue_id, not both", field="queue_id")
    wanted = name or queue_id or DEFAULT_QUEUE
    there = server.list_queues()
    for one in there:
        if wanted in (one.name, one.id):
            return one
    listed = ", ".join(one.name for one in there) or "none"
    raise UnknownQueue(
        f"there is no queue {wanted!r}; there are: {listed}. "
        f"Make it with: dray queue create {wanted}",
        queue=wanted,
    )


def project_record(project: Project) -> Record:
    """A project with its members as attributes, times as datetimes."""
    from datetime import timezone

    created = datetime.fromtimestamp(project.created_at, timezone.utc)
    basename = project.name.rpartition("/")[2]
    return Record({**to_json(project), "created": created, "basename": basename})


def _each(server: Client, asked: Mapping[str, Any], include: str) -> Iterator[Any]:
    cursor: str | None = None
    while True:
        page = server.search_tasks(asked, include=include, limit=_PAGE[include], cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return cast("list[Any]", value) if isinstance(value, list) else [value]
