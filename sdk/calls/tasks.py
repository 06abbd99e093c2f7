"""Calls about tasks: make, find, edit, move through their states, wait."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from dray.runtime import ids
from dray.runtime.answers import Enqueued, Page, Why
from dray.runtime.codec import to_json
from dray.runtime.errors import ServerUnreachable
from dray.runtime.models import Attempt, AuditEntry, Task
from dray.runtime.states import State, is_terminal
from dray.sdk.http.call import (
    Call,
    Conversation,
    as_,
    as_items,
    as_nothing,
    as_page,
    ask,
    at,
    creating,
)

#: Longest one long poll waits at the server; the next one follows at once.
POLL_S = 30.0
#: How long a wait that once worked tries to get back to a restarting server.
PATIENCE_S = 60.0


def create_task(
    project: str, name: str, *, idempotency_key: str = "", **members: Any
) -> Call[Task]:
    """A new draft; a call repeated with the same ``idempotency_key`` is answered again.

    ``members`` are those of ``models.Task`` (``type``, ``tags``, ``execution``,
    ``parameters`` …), as dataclasses or as their JSON, and ``id`` when the caller has
    made one.
    """
    body = {"project": project, "name": name, **to_json(members)}
    return creating("POST", "/tasks", as_(Task), body, idempotency_key)


def get_task(task_id: str) -> Call[Task]:
    """A task with its metrics and single values."""
    return Call("GET", at("tasks", task_id), as_(Task))


def list_tasks(
    *,
    project: str = "",
    name: str = "",
    name_exact: str = "",
    state: Iterable[State | str] = (),
    type: Iterable[str] = (),
    tag: Iterable[str] = (),
    queue: str = "",
    parent: str = "",
    owner: str = "",
    search: str = "",
    order: str = "-created_at",
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Page[Task]]:
    """One page of tasks; give several states, types or tags to match any of them.

    A ``project`` means its sub-projects too, ``name`` is a part of the name and
    ``name_exact`` the whole of it; ``cursor`` is ``next_cursor`` of the page before.
    """
    query: dict[str, Any] = {
        "project": project,
        "name": name,
        "name_exact": name_exact,
        "state": [str(s) for s in state],
        "type": [str(t) for t in type],
        "tag": list(tag),
        "queue": queue,
        "parent": parent,
        "owner": owner,
        "search": search,
        "order": order,
        "limit": limit,
        "cursor": cursor,
    }
    return Call("GET", "/tasks", as_page(Task), query=query)


def search_tasks(
    filter: Mapping[str, Any],
    *,
    include: str = "tasks",
    limit: int = 100,
    cursor: str | None = None,
) -> Call[Page[Task]]:
    """One page of what a ``task_filter`` finds, as ClearML's programs write it.

    ``include`` is ``ids`` (nothing else is filled in), ``tasks``, or ``whole`` for diffs and
    metrics too; at most 1000, 500 and 100 of them are in a page.
    """
    body = {"filter": to_json(filter), "include": include, "limit": limit, "cursor": cursor}
    return Call("POST", "/tasks/search", as_page(Task), body=body, idempotent=True)


def edit_task(task_id: str, **changes: Any) -> Call[Task]:
    """Change a draft; name, project, comment, tags and properties in any state.

    ``changes`` are ``name``, ``project``, ``comment``, ``tags``, ``system_tags``, ``type``,
    ``parent_id``, ``labels``, ``publish_on_completion``, ``policy``, ``priority``,
    ``configuration``, ``output_uri``; ``execution`` is a partial object;
    ``properties`` and ``parameters`` are merged (a property that is None is removed,
    ``replace_parameters=True`` replaces all parameters).
    """
    return Call("PATCH", at("tasks", task_id), as_(Task), body=to_json(changes))


def clone_task(task_id: str, *, idempotency_key: str = "", **changes: Any) -> Call[Task]:
    """A draft with the code, parameters and settings of a task, without its outputs.

    ``changes`` are ``id``, ``name``, ``project``, ``comment``, ``tags``, ``parent_id``;
    ``packages="resolved"`` has it install exactly what an agent built for its source.
    """
    path = at("tasks", task_id, "clone")
    return creating("POST", path, as_(Task), to_json(changes), idempotency_key)


def delete_task(task_id: str, *, force: bool = False, keep_models: bool = False) -> Call[None]:
    """Delete a task and its outputs; a running one only with ``force``.

    Models it made go too, unless ``keep_models``; published ones, and those others use, stay.
    """
    query = {"force": force or None, "keep_models": keep_models or None}
    return Call("DELETE", at("tasks", task_id), as_nothing, query=query)


def enqueue(task_id: str, queue: str, *, priority: int | None = None) -> Call[Enqueued]:
    """Put a draft, failed or aborted task in a queue."""
    body: dict[str, Any] = {"queue": queue}
    if priority is not None:
        body["priority"] = priority
    # By its id the server knows a request that it has done and whose answer was lost.
    headers = {"X-Request-ID": ids.new_id()}
    path = at("tasks", task_id, "enqueue")
    return Call("POST", path, as_(Enqueued), body=body, headers=headers, idempotent=True)


def dequeue(task_id: str) -> Call[Task]:
    """Take a pending task out of its queue; it is a draft again."""
    return _do(task_id, "dequeue")


def abort(task_id: str, *, reason: str = "") -> Call[Task]:
    """End a pending task at once, a running one by signal."""
    return _do(task_id, "abort", {"reason": reason} if reason else {})


def reset(task_id: str) -> Call[Task]:
    """Make it a draft again; its outputs are deleted."""
    return _do(task_id, "reset")


def publish(task_id: str) -> Call[Task]:
    """Make it read-only for ever."""
    return _do(task_id, "publish")


def mark(task_id: str, outcome: str, *, reason: str = "") -> Call[Task]:
    """State the end of a running task: ``completed``, ``failed`` or ``aborted``."""
    body = {"outcome": outcome, **({"reason": reason} if reason else {})}
    return _do(task_id, "mark", body)


def wait(
    task_id: str, states: Iterable[State | str] = (), timeout: float | None = None
) -> Conversation[Task]:
    """The task as soon as it is in one of ``states`` or has come to an end.

    When ``timeout`` seconds are over, the task is returned as it is then.
    """
    wanted = {State(str(s)) for s in states}
    deadline = None if timeout is None else time.monotonic() + timeout
    heard_at = None
    while True:
        wait_s = POLL_S
        if deadline is not None:
            wait_s = max(0.0, min(POLL_S, deadline - time.monotonic()))
        try:
            task = yield from ask(_wait_once(task_id, wanted, wait_s))
        except ServerUnreachable:
            # A server that restarts is waited for, one that never answered is not.
            if heard_at is None or time.monotonic() - heard_at > PATIENCE_S:
                raise
            continue
        heard_at = time.monotonic()
        if task.state in wanted or is_terminal(task.state):
            return task
        if deadline is not None and time.monotonic() >= deadline:
            return task


def why(task_id: str) -> Call[Why]:
    """Why the task is where it is: what it waits for, or how it ended."""
    return Call("GET", at("tasks", task_id, "why"), as_(Why))


def history(task_id: str, *, limit: int = 200, cursor: str | None = None) -> Call[Page[AuditEntry]]:
    """What happened to the task, by whom and by which request."""
    query = {"limit": limit, "cursor": cursor}
    return Call("GET", at("tasks", task_id, "history"), as_page(AuditEntry), query=query)


def attempts(task_id: str) -> Call[list[Attempt]]:
    """Every go at running the task, first first."""
    return Call("GET", at("tasks", task_id, "attempts"), as_items(Attempt))


def _wait_once(task_id: str, wanted: set[State], wait_s: float) -> Call[Task]:
    query = {"state": sorted(str(s) for s in wanted), "timeout_s": wait_s}
    path = at("tasks", task_id, "wait")
    return Call("GET", path, as_(Task), query=query, extra_timeout_s=wait_s)


def _do(task_id: str, verb: str, body: Mapping[str, Any] | None = None) -> Call[Task]:
    return Call("POST", at("tasks", task_id, verb), as_(Task), body=dict(body or {}))
