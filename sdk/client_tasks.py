"""Client calls about tasks: make, find, edit, move through their states, wait."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from dray.runtime import ids
from dray.runtime.answers import Enqueued, Page, Why
from dray.runtime.codec import from_json, to_json
from dray.runtime.errors import ServerUnreachable
from dray.runtime.models import Attempt, AuditEntry, Task
from dray.runtime.states import State, is_terminal
from dray.sdk.transport import PATIENCE_S, Transport, quoted

#: Longest one long poll waits at the server; the next one follows at once.
POLL_S = 30.0


class TaskCalls:
    """Tasks; mixed into :class:`dray.sdk.client.Client`."""

    _http: Transport

    def create_task(
        self, project: str, name: str, *, idempotency_key: str = "", **members: Any
    ) -> Task:
        """A new draft; a call repeated with the same ``idempotency_key`` is answered again.

        ``members`` are those of ``models.Task`` (``type``, ``tags``, ``execution``,
        ``parameters`` …), as dataclasses or as their JSON, and ``id`` when the caller has
        made one.
        """
        body = {"project": project, "name": name, **to_json(members)}
        return self._task("POST", "/tasks", body, key=idempotency_key or ids.new_id())

    def get_task(self, task_id: str) -> Task:
        """A task with its metrics and single values."""
        return self._task("GET", _at(task_id))

    def list_tasks(
        self,
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
    ) -> Page[Task]:
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
        answer = self._http.call("GET", "/tasks", query=query)
        return Page([from_json(Task, t) for t in answer["items"]], answer.get("next_cursor"))

    def iter_tasks(self, *, page_size: int = 200, **query: Any) -> Iterator[Task]:
        """Every task that fits, page by page; takes what :meth:`list_tasks` takes."""
        cursor: str | None = None
        while True:
            page = self.list_tasks(**query, limit=page_size, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def search_tasks(
        self,
        filter: Mapping[str, Any],
        *,
        include: str = "tasks",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Task]:
        """One page of what a ``task_filter`` finds, as ClearML's programs write it.

        ``include`` is ``ids`` (nothing else is filled in), ``tasks``, or ``whole`` for diffs and
        metrics too; at most 1000, 500 and 100 of them are in a page.
        """
        body = {"filter": to_json(filter), "include": include, "limit": limit, "cursor": cursor}
        answer = self._http.call("POST", "/tasks/search", body, idempotent=True)
        return Page([from_json(Task, t) for t in answer["items"]], answer.get("next_cursor"))

    def edit_task(self, task_id: str, **changes: Any) -> Task:
        """Change a draft; name, project, comment, tags and properties in any state.

        ``changes`` are ``name``, ``project``, ``comment``, ``tags``, ``system_tags``, ``type``,
        ``parent_id``, ``labels``, ``publish_on_completion``, ``policy``, ``priority``,
        ``configuration``, ``output_uri``; ``execution`` is a partial object;
        ``properties`` and ``parameters`` are merged (a property that is None is removed,
        ``replace_parameters=True`` replaces all parameters).
        """
        return self._task("PATCH", _at(task_id), to_json(changes))

    def clone_task(self, task_id: str, *, idempotency_key: str = "", **changes: Any) -> Task:
        """A draft with the code, parameters and settings of a task, without its outputs.

        ``changes`` are ``id``, ``name``, ``project``, ``comment``, ``tags``, ``parent_id``.
        """
        key = idempotency_key or ids.new_id()
        return self._task("POST", f"{_at(task_id)}/clone", to_json(changes), key=key)

    def delete_task(self, task_id: str, *, force: bool = False, keep_models: bool = False) -> None:
        """Delete a task and its outputs; a running one only with ``force``.

        Models it made go too, unless ``keep_models``; published ones, and those others use, stay.
        """
        query = {"force": force or None, "keep_models": keep_models or None}
        self._http.call("DELETE", _at(task_id), query=query)

    def enqueue(self, task_id: str, queue: str, *, priority: int | None = None) -> Enqueued:
        """Put a draft, failed or aborted task in a queue."""
        body: dict[str, Any] = {"queue": queue}
        if priority is not None:
            body["priority"] = priority
        # By its id the server knows a request that it has done and whose answer was lost.
        headers = {"X-Request-ID": ids.new_id()}
        path = f"{_at(task_id)}/enqueue"
        return from_json(
            Enqueued, self._http.call("POST", path, body, headers=headers, idempotent=True)
        )

    def dequeue(self, task_id: str) -> Task:
        """Take a pending task out of its queue; it is a draft again."""
        return self._task("POST", f"{_at(task_id)}/dequeue", {})

    def abort(self, task_id: str, *, reason: str = "") -> Task:
        """End a pending task at once, a running one by signal."""
        return self._task("POST", f"{_at(task_id)}/abort", _given(reason=reason))

    def reset(self, task_id: str) -> Task:
        """Make it a draft again; its outputs are deleted."""
        return self._task("POST", f"{_at(task_id)}/reset", {})

    def publish(self, task_id: str) -> Task:
        """Make it read-only for ever."""
        return self._task("POST", f"{_at(task_id)}/publish", {})

    def mark(self, task_id: str, outcome: str, *, reason: str = "") -> Task:
        """State the end of a running task: ``completed``, ``failed`` or ``aborted``."""
        body = {"outcome": outcome, **_given(reason=reason)}
        return self._task("POST", f"{_at(task_id)}/mark", body)

    def wait(
        self,
        task_id: str,
        states: Iterable[State | str] = (),
        timeout: float | None = None,
    ) -> Task:
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
            query = {"state": sorted(str(s) for s in wanted), "timeout_s": wait_s}
            path = f"{_at(task_id)}/wait"
            try:
                answer = self._http.call("GET", path, query=query, extra_timeout_s=wait_s)
            except ServerUnreachable:
                # A server that restarts is waited for, one that never answered is not.
                if heard_at is None or time.monotonic() - heard_at > PATIENCE_S:
                    raise
                continue
            heard_at, task = time.monotonic(), from_json(Task, answer)
            if task.state in wanted or is_terminal(task.state):
                return task
            if deadline is not None and time.monotonic() >= deadline:
                return task

    def why(self, task_id: str) -> Why:
        """Why the task is where it is: what it waits for, or how it ended."""
        return from_json(Why, self._http.call("GET", f"{_at(task_id)}/why"))

    def history(
        self, task_id: str, *, limit: int = 200, cursor: str | None = None
    ) -> Page[AuditEntry]:
        """What happened to the task, by whom and by which request."""
        query = {"limit": limit, "cursor": cursor}
        answer = self._http.call("GET", f"{_at(task_id)}/history", query=query)
        items = [from_json(AuditEntry, entry) for entry in answer["items"]]
        return Page(items, answer.get("next_cursor"))

    def attempts(self, task_id: str) -> list[Attempt]:
        """Every go at running the task, first first."""
        answer = self._http.call("GET", f"{_at(task_id)}/attempts")
        return [from_json(Attempt, attempt) for attempt in answer["items"]]

    def _task(self, method: str, path: str, body: Any = None, *, key: str = "") -> Task:
        headers = {"Idempotency-Key": key} if key else None
        answer = self._http.call(method, path, body, headers=headers, idempotent=bool(key) or None)
        return from_json(Task, answer)


def _at(task_id: str) -> str:
    return f"/tasks/{quoted(task_id)}"


def _given(**members: str) -> dict[str, Any]:
    return cast("dict[str, Any]", {name: value for name, value in members.items() if value})
