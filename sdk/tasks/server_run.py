"""What ``Task.init`` asks the server: to take up, continue or make a task, and to start it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dray.runtime.answers import Started
from dray.runtime.codec import from_json, to_json
from dray.runtime.config import Settings
from dray.runtime.errors import IllegalTransition, NotFound
from dray.runtime.models import Task
from dray.sdk import session
from dray.sdk.client import Client
from dray.sdk.runs import companion, continuing, simulate
from dray.sdk.runs.local_run import Begun, Request
from dray.sdk.runs.reuse import LastTasks, Name, take_up

#: Silence after which the script goes on without the server's word; its companion asks again.
PATIENCE_S = 5.0


def begin(begun: Begun, request: Request, settings: Settings, token: str) -> Begun:
    """``begun`` with its task started at the server that it names.

    Raises:
        ServerUnreachable: it does not answer within :data:`PATIENCE_S`.
        Unauthorized: it does not know the token.
        IllegalTransition: the task that is to be continued cannot be.
    """
    if request.going_on is not None:
        companion.settle()  # it may be a run that was just closed here
    draft = from_json(Task, begun.task)
    name = Name(begun.url, draft.project, draft.name, str(draft.type))
    last = LastTasks(settings)
    with Client(begun.url, token, retries=0, timeout_s=PATIENCE_S) as client:
        if request.simulated:
            task = simulate.prepared(client, request.simulated)
            return _taken(begun, _started(client, task.id, begun))
        reached = _going_on(client, draft, request, begun)
        if reached is None:
            candidate = _candidate(request, last, name)
            reached = _take_up(client, draft, candidate, name, begun) or _make(
                client, draft, request, begun
            )
    task_id = str(reached.task["id"])  # one that goes on by its id keeps its own name
    own = Name(begun.url, *(str(reached.task[key]) for key in ("project", "name", "type")))
    last.remember(own, task_id)
    return reached


def _taken(begun: Begun, started: Started, goes_on: str = "") -> Begun:
    return replace(
        begun,
        task=to_json(started.task),
        epoch=started.epoch,
        token=started.token,
        goes_on=goes_on,
    )


def _started(
    client: Client, task_id: str, begun: Begun, initial_iteration: int | None = None
) -> Started:
    node = socket.gethostname()
    return client.start(
        task_id,
        agent=f"local:{node}",
        node=node,
        claim_id=begun.claim_id,
        initial_iteration=initial_iteration,
    )


def _going_on(client: Client, draft: Task, request: Request, begun: Begun) -> Begun | None:
    """The task that is to be continued, started again; None where there is none."""
    if request.going_on is None:
        return None
    node = socket.gethostname()
    claimant = continuing.Claimant(f"local:{node}", node, begun.claim_id)
    started = continuing.go_on(client, request.going_on, draft, claimant)
    if started is None:
        session.say("continue_last_task: there is no earlier task of this name, so one begins")
        return None
    return _taken(begun, started, continuing.announced(started))


def _candidate(request: Request, last: LastTasks, name: Name) -> str:
    if request.going_on is not None:
        return ""  # there is none to go on with; nothing is to be reset instead
    if isinstance(request.reuse, str):
        return request.reuse
    found = last.find(name) if request.reuse else ""
    # A second run of one process is meant to stand beside the first, not to replace it.
    return "" if companion.closed_here(found) else found


def _take_up(client: Client, draft: Task, candidate: str, name: Name, begun: Begun) -> Begun | None:
    task = take_up(client, candidate, name, draft) if candidate else None
    if task is None:
        return None
    try:
        return _taken(begun, _started(client, task.id, begun))
    except (IllegalTransition, NotFound):
        return None  # another terminal was faster; this run gets a task of its own


def _make(client: Client, draft: Task, request: Request, begun: Begun) -> Begun:
    members: Mapping[str, Any] = {
        name: getattr(draft, name)
        for name in ("id", "type", "tags", "owner", "execution", "comment")
    }
    client.create_task(draft.project, draft.name, **members)
    count_from = request.going_on.initial_iteration if request.going_on is not None else None
    return _taken(begun, _started(client, draft.id, begun, count_from))
