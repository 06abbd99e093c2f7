"""``Task.init(continue_last_task=…)``: go on with a failed or aborted task, outputs kept.

Unlike reuse (``sdk/runs/reuse.py``), which resets a task, this takes one up where it ended. A
completed task is final and is refused, with the ways out (docs/decisions/0018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dray.runtime.answers import Started
from dray.runtime.errors import IllegalTransition, InvalidInput, ServerUnreachable
from dray.runtime.models import Task
from dray.runtime.states import Phase, State
from dray.sdk.client import Client
from dray.sdk.session import Session
from dray.sdk.tasks.handle import RunningHandle
from dray.sdk.tasks.iterations import whole

#: Tasks of one name that are looked at for the one that ran last; changed last, first.
_LOOKED_AT = 50
#: What ``Task.init`` says of the execution; all else of it is captured, or stays.
_SAID = ("bootstrap", "output_uri")


@dataclass(frozen=True)
class Wanted:
    """Which task is to go on.

    Attributes:
        task_id: id or unique prefix; empty: the last one of the run's project and name.
        initial_iteration: count from there; None: from the last iteration reported, plus one.
    """

    task_id: str = ""
    initial_iteration: int | None = None


@dataclass(frozen=True)
class Claimant:
    """The run that is to go on with it, as ``Client.start`` wants to know it."""

    agent: str
    node: str
    claim_id: str


def wanted(continue_last_task: bool | str | int, reuse_last_task_id: bool | str) -> Wanted | None:
    """What the arguments of ``Task.init`` ask for; None when nothing is to go on.

    Raises:
        InvalidInput: neither a switch, the id of a task, nor an iteration.
    """
    if continue_last_task is False:
        return None
    named = reuse_last_task_id if isinstance(reuse_last_task_id, str) else ""
    if continue_last_task is True:
        return Wanted(named)
    if isinstance(continue_last_task, str):
        if not continue_last_task.strip():
            raise InvalidInput(
                "continue_last_task is empty: give the id of a task, or True for your last one",
                field="continue_last_task",
                value=continue_last_task,
            )
        return Wanted(continue_last_task.strip())
    return Wanted(named, whole(continue_last_task, "continue_last_task"))


def go_on(client: Client, asked: Wanted, draft: Task, claimant: Claimant) -> Started | None:
    """Start the task again that ``asked`` means; None when there is no last one.

    Raises:
        NotFound: no task has the id.
        IllegalTransition: it is no draft and has not failed or been aborted.
    """
    task = client.get_task(asked.task_id) if asked.task_id else _last(client, draft)
    if task is None:
        return None
    _check(task)
    return client.start(
        task.id,
        agent=claimant.agent,
        node=claimant.node,
        claim_id=claimant.claim_id,
        initial_iteration=asked.initial_iteration,
    )


def tell(attempt: Session, draft: Mapping[str, Any]) -> None:
    """Record how this run differs from the one before, but for its code, which is captured."""
    handle = RunningHandle(attempt)
    standing: dict[str, Any] = attempt.task.get("execution") or {}
    now: dict[str, Any] = draft["execution"]
    said = {name: now[name] for name in _SAID if now[name] != standing.get(name)}
    if not now["output_uri"]:
        said.pop("output_uri", None)  # nothing was said: it stays as it is
    if said:
        handle.put_execution(said)
    tags: list[str] = attempt.task.get("tags") or []
    handle.put_tags([*tags, *(tag for tag in draft["tags"] if tag not in tags)])


def announced(started: Started) -> str:
    """How its run is announced."""
    task = started.task
    return (
        f"continuing task {task.id[:8]} ({task.project}/{task.name}) as attempt {started.epoch} "
        f"from iteration {task.initial_iteration}"
    )


def without_server(why: str) -> ServerUnreachable:
    """The refusal to go on with a task that nobody can be asked about."""
    return ServerUnreachable(
        f"continue_last_task needs the server, which knows the task and how far it came: {why}. "
        "Start again when it answers, or leave continue_last_task out to record a new task"
    )


def _last(client: Client, draft: Task) -> Task | None:
    page = client.list_tasks(
        project=draft.project,
        name_exact=draft.name,
        owner=draft.owner,
        order="-updated_at",
        limit=_LOOKED_AT,
    )
    same = [task for task in page.items if task.project == draft.project]  # not of a sub-project
    return max(same, key=lambda task: task.started_at or task.created_at, default=None)


def _check(task: Task) -> None:
    """Refuse what cannot go on, with the ways out.

    Raises:
        IllegalTransition: it is pending, running, completed or published.
    """
    refusal = _REFUSALS.get(task.state)
    if refusal is None:
        return
    agent = task.attempt.agent if task.attempt is not None else "nobody"
    where = f"on {agent}" + (", unreachable" if task.phase is Phase.UNREACHABLE else "")
    raise IllegalTransition(
        f"continue_last_task: task {task.id[:8]} ({task.project}/{task.name}) "
        + refusal.format(id=task.id[:8], queue=task.queue, where=where),
        task_id=task.id,
        state=str(task.state),
        event="start",
    )


_REFUSALS: Mapping[State, str] = {
    State.COMPLETED: (
        "is completed, which is final. Clone it (Task.clone, `dray task clone {id}`), reset it, "
        "which deletes its outputs (`dray task reset {id}`), or leave continue_last_task out: "
        "then reuse_last_task_id decides whether this run overwrites it"
    ),
    State.PUBLISHED: (
        "is published, which is read-only for ever: clone it (Task.clone, `dray task clone {id}`), "
        "or leave continue_last_task out"
    ),
    State.PENDING: (
        "waits in queue {queue!r}, where an agent goes on with it: take it out with "
        "`dray task dequeue {id}` to go on here"
    ),
    State.RUNNING: (
        "still runs {where}: wait for its end or stop it with `dray task abort {id}`; if that "
        "machine is gone for good, `dray task mark {id} aborted`"
    ),
}
