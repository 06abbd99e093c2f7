"""Start a task again that ``Task.init`` was told of: to be continued, or run as an agent would."""

from __future__ import annotations

import socket
from dataclasses import replace

from dray.runtime.answers import Started
from dray.runtime.codec import from_json, to_json
from dray.runtime.models import Task
from dray.sdk import session
from dray.sdk.client import Client
from dray.sdk.runs import companion, continuing, simulate
from dray.sdk.runs.local_run import Begun, Request
from dray.sdk.tasks import server_run


def begin(begun: Begun, request: Request, token: str) -> Begun | None:
    """``begun`` as the run of the task that ``request`` names; None where there is none.

    Raises:
        NotFound: no task has the id.
        IllegalTransition: it cannot be started again.
    """
    if request.going_on is not None:
        companion.settle()  # it may be a run that was just closed here
    with Client(begun.url, token, retries=0, timeout_s=server_run.PATIENCE_S) as client:
        if request.simulated:
            task = simulate.prepared(client, request.simulated)
            agent, node = _here()
            return _taken(
                begun, client.start(task.id, agent=agent, node=node, claim_id=begun.claim_id)
            )
        return _going_on(client, request, begun)


def _going_on(client: Client, request: Request, begun: Begun) -> Begun | None:
    claimant = continuing.Claimant(*_here(), begun.claim_id)
    draft = from_json(Task, begun.task)
    found = continuing.go_on(client, request.going_on, draft, claimant)
    if found is None:
        session.say("continue_last_task: there is no earlier task of this name, so one begins")
        return None
    return replace(_taken(begun, found), goes_on=continuing.announced(found))


def _taken(begun: Begun, found: Started) -> Begun:
    return replace(begun, task=to_json(found.task), epoch=found.epoch, token=found.token)


def _here() -> tuple[str, str]:
    """Agent and node of a run started by hand."""
    node = socket.gethostname()
    return f"local:{node}", node
