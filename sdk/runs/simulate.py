"""``Task.debug_simulate_remote_task``: a run with a stored task's values, as an agent's has."""

from __future__ import annotations

import os

from dray.runtime.models import Task
from dray.runtime.states import State
from dray.sdk import session
from dray.sdk.client import Client

#: Says which task the next ``Task.init`` of this process simulates.
VARIABLE = "DRAY_SIMULATE_TASK_ID"
#: States a run can begin from; what is in another one is copied.
_STARTS = (State.DRAFT, State.FAILED, State.ABORTED)


def asked() -> str:
    """Id of the task the next run is to simulate; empty when none is."""
    return os.environ.get(VARIABLE, "")


def ask(client: Client, task_id: str, *, reset: bool) -> str:
    """Have the next run simulate ``task_id``; its whole id.

    Raises:
        NotFound: no task has the id.
        IllegalTransition: it is to be reset, and runs or is published.
    """
    task = client.get_task(task_id)
    if reset and task.state is not State.DRAFT:
        client.reset(task.id)
    os.environ[VARIABLE] = task.id
    return task.id


def prepared(client: Client, task_id: str) -> Task:
    """The task to start: itself where its state allows a run, else a copy of it."""
    os.environ.pop(VARIABLE, None)  # this run only
    task = client.get_task(task_id)
    if task.state in _STARTS:
        return task
    clone = client.clone_task(task.id)
    session.say(
        f"task {task.id[:8]} is {task.state}, so task {clone.id[:8]}, a clone of it, is run; "
        "debug_simulate_remote_task(…, reset_task=True) would run it itself"
    )
    return clone
