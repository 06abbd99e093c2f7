"""What ``Task.init`` asks the server: to take up, continue or make a task, and to start it.

A script waits for this, so the two or three requests of a usual start are JSON both ways: the
client and the classes that it reads answers into take longer to import than the server to answer.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

from dray.runtime.config import Settings
from dray.runtime.errors import IllegalTransition, NotFound
from dray.sdk.http.transport import Transport, quoted
from dray.sdk.runs import companion
from dray.sdk.runs.local_run import Begun, Request
from dray.sdk.runs.reuse import LastTasks, Name, take_up

#: Silence after which the script goes on without the server's word; its companion asks again.
PATIENCE_S = 5.0
#: Members of a new task that a run says.
_SAID = ("project", "name", "id", "type", "tags", "owner", "execution", "comment")


def begin(begun: Begun, request: Request, settings: Settings, token: str) -> Begun:
    """``begun`` with its task started at the server that it names.

    Raises:
        ServerUnreachable: it does not answer within :data:`PATIENCE_S`.
        Unauthorized: it does not know the token.
        IllegalTransition: the task that is to be continued cannot be.
    """
    last = LastTasks(settings)
    server = Transport(begun.url, token, retries=0, timeout_s=PATIENCE_S)
    try:
        reached = _again(begun, request, token) or _anew(begun, request, server, last)
    finally:
        server.close()
    if not request.simulated:
        task_id = str(reached.task["id"])  # one that goes on by its id keeps its own name
        last.remember(_name(reached), task_id)
    return reached


def _again(begun: Begun, request: Request, token: str) -> Begun | None:
    """The run of a task that is named: to be continued or simulated; None where there is none."""
    if request.going_on is None and not request.simulated:
        return None
    from dray.sdk.tasks import server_again

    return server_again.begin(begun, request, token)


def _anew(begun: Begun, request: Request, server: Transport, last: LastTasks) -> Begun:
    """The run of the last task of the same name, reset, or of a new one."""
    candidate = _candidate(request, last, _name(begun))
    if candidate and take_up(server, candidate, begun.task):
        try:
            return _started(server, candidate, begun)
        except (IllegalTransition, NotFound):
            pass  # another terminal was faster; this run gets a task of its own
    draft = begun.task
    body = {name: draft[name] for name in _SAID if name in draft}
    # By its id the server knows the task; a second one by that id is refused.
    server.call("POST", "/tasks", body, headers={"Idempotency-Key": str(draft["id"])})
    count_from = request.going_on.initial_iteration if request.going_on is not None else None
    return _started(server, str(draft["id"]), begun, count_from)


def _started(
    server: Transport, task_id: str, begun: Begun, initial_iteration: int | None = None
) -> Begun:
    """``begun`` as the run of ``task_id``, which is started; see ``Client.start``."""
    node = socket.gethostname()
    body: dict[str, Any] = {"agent": f"local:{node}", "node": node, "claim_id": begun.claim_id}
    if initial_iteration is not None:
        body["initial_iteration"] = initial_iteration
    answer = server.call("POST", f"/tasks/{quoted(task_id)}/start", body, idempotent=True)
    return replace(
        begun, task=answer["task"], epoch=int(answer["epoch"]), token=str(answer["token"])
    )


def _name(begun: Begun) -> Name:
    task = begun.task
    return Name(begun.url, str(task["project"]), str(task["name"]), str(task["type"]))


def _candidate(request: Request, last: LastTasks, name: Name) -> str:
    if request.going_on is not None:
        return ""  # there is none to go on with; nothing is to be reset instead
    if isinstance(request.reuse, str):
        return request.reuse
    found = last.find(name) if request.reuse else ""
    # A second run of one process is meant to stand beside the first, not to replace it.
    return "" if companion.closed_here(found) else found
