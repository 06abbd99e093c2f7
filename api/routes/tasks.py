"""Tasks: make, list, read, edit, delete, clone, and what happened to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from dray.api import auth, bodies
from dray.api.addresses import API_PREFIX
from dray.api.context import Context, Ctx
from dray.api.idempotency import OnceOnly
from dray.api.paging import Paged, whole
from dray.runtime import ids
from dray.runtime.answers import Page, Why
from dray.runtime.machine import Head
from dray.runtime.models import Attempt, AuditEntry, OnLost, Task, TaskType
from dray.runtime.states import Phase, State, is_terminal
from dray.runtime.store.contract import TaskQuery

router = APIRouter(prefix=f"{API_PREFIX}/tasks", tags=["tasks"])


@router.post("", status_code=201, response_model=Task)
async def create_task(
    body: bodies.NewTaskBody, context: Ctx, by: auth.Creator, once: OnceOnly
) -> Response:
    """Make a draft. Give an `id` or an `Idempotency-Key` to repeat the call safely."""

    async def make() -> Task:
        if made := await _made_before(context, once.new_id):
            return made
        task = body.task(body.id or once.new_id or ids.new_id())
        if once.new_id and (made := await _made_before(context, body.id)) and _is_same(made, task):
            return made
        return await context.store.tasks.create(task, by)

    return await once(201, make)


@router.get("", dependencies=[auth.READS])
async def list_tasks(
    context: Ctx,
    paged: Paged,
    project: Annotated[str, Query(description="full name; its sub-projects are included")] = "",
    name: Annotated[str, Query(description="part of the name, any case")] = "",
    name_exact: Annotated[str, Query(description="the whole name")] = "",
    state: Annotated[list[State] | None, Query(description="any of these")] = None,
    type: Annotated[list[TaskType] | None, Query(description="any of these")] = None,
    tag: Annotated[list[str] | None, Query(description="all of these")] = None,
    queue: str = "",
    parent: Annotated[str, Query(description="whole id of the parent task")] = "",
    owner: str = "",
    search: Annotated[str, Query(description="part of name, comment or id")] = "",
    order: Annotated[
        str, Query(description="created_at, updated_at or name; a leading - is descending")
    ] = "-created_at",
) -> Page[Task]:
    """List tasks, newest first; metrics and diffs are left out."""
    query = TaskQuery(
        project=project or None,
        name=name or None,
        name_exact=name_exact or None,
        states=state or [],
        types=type or [],
        tags=tag or [],
        queue=queue or None,
        parent_id=parent or None,
        owner=owner or None,
        search=search or None,
        order=order,
        limit=paged.limit,
        cursor=paged.cursor,
    )
    return await context.store.tasks.list(query)


@router.post("/search", dependencies=[auth.READS])
async def search_tasks(body: bodies.SearchBody, context: Ctx) -> Page[Task]:
    """Find tasks by a `filter` as ClearML's programs write it; it changes nothing.

    Names are patterns; tags and system tags know `-tag`, `__$all`, `__$any`, `__$not`; `_all_` and
    `_any_` look for a pattern in fields; times take operators (`[">=2024-01-01"]`); `order_by` is
    a list, `-` in front is descending. `include` says how much of each task is answered: `ids`
    (all other members are empty), `tasks` (as lists have them), `whole` (with diffs and metrics).
    """
    return await context.store.searches.run(body)


@router.get("/{id}", dependencies=[auth.READS])
async def get_task(context: Ctx, task_id: auth.TaskId) -> Task:
    """One task with everything but its high-rate results."""
    return await context.store.tasks.get(task_id)


@router.patch("/{id}")
async def edit_task(
    body: bodies.EditBody, context: Ctx, task_id: auth.TaskId, by: auth.TaskWriter
) -> Task:
    """Edit a draft; in any state: name, project, comment, tags and user properties.

    Until it has ended also: type, parent, labels, and whether it is published on completion.

    Members that are left out stay. `properties`, `parameters`, `configuration` and `execution`
    are merged; null deletes an entry. A changed repository, commit, branch or diff drops the
    snapshot of the code.
    """
    return await context.store.tasks.edit(task_id, body, by)


@router.delete("/{id}", status_code=204)
async def delete_task(
    context: Ctx,
    task_id: auth.TaskId,
    by: auth.TaskWriter,
    force: Annotated[bool, Query(description="also when it is running")] = False,
    keep_models: Annotated[bool, Query(description="leave the models it made")] = False,
) -> None:
    """Delete a task and its outputs; models that are published, or that others use, stay."""
    await context.store.tasks.delete(task_id, by, force=force, keep_models=keep_models)


@router.post("/{id}/clone", status_code=201, response_model=Task)
async def clone_task(
    body: bodies.CloneBody, context: Ctx, task_id: auth.TaskId, by: auth.Creator, once: OnceOnly
) -> Response:
    """Make a draft with a task's code, parameters and settings, without its outputs."""

    async def make() -> Task:
        if made := await _made_before(context, once.new_id):
            return made
        new_id = body.id or once.new_id or ids.new_id()
        return await context.store.tasks.clone(task_id, replace(body, id=new_id), by)

    return await once(201, make)


@router.get("/{id}/why", dependencies=[auth.READS])
async def why(context: Ctx, task_id: auth.TaskId) -> Why:
    """Why the task is where it is: what it waits for, where it runs, how it ended."""
    head = await context.store.tasks.head(task_id)
    if head.state is State.PENDING:
        return Why(head.state, await context.orchestrator.why(task_id))
    if head.state is State.RUNNING:
        return Why(head.state, _where(head))
    if is_terminal(head.state) and head.cause is not None:
        return Why(head.state, head.cause.message)
    return Why(head.state, "it is not in a queue; enqueue it to have it run")


@router.get("/{id}/history", dependencies=[auth.READS])
async def history(context: Ctx, task_id: auth.TaskId, paged: Paged) -> Page[AuditEntry]:
    """What happened to the task, who did it and by which request; oldest first."""
    return await context.store.audit.list(task_id, paged.cursor, paged.limit)


@router.get("/{id}/attempts", dependencies=[auth.READS])
async def attempts(context: Ctx, task_id: auth.TaskId) -> Page[Attempt]:
    """Every go at running the task, first first."""
    return whole(await context.store.attempts.list(task_id))


def _where(head: Head) -> str:
    """Where a task runs; of one that is unreachable, what becomes of it and the way out."""
    if head.phase is not Phase.UNREACHABLE or head.lease_expires_at is None:
        return f"{head.phase} on {head.agent} as attempt {head.epoch}"
    since = datetime.fromtimestamp(head.lease_expires_at, timezone.utc).isoformat(" ", "seconds")
    silent = f"unreachable since {since}: attempt {head.epoch} on {head.agent} is silent"
    way_out = f"if it is gone for good, `dray task mark {head.task_id[:8]} aborted` ends the task"
    if not head.queue:
        return f"{silent}. It was started by hand and goes on when it is heard again; {way_out}"
    if head.policy.on_lost is OnLost.WAIT:
        return f"{silent}, and its policy is to wait for it; {way_out}"
    return f"{silent}; it runs again elsewhere as soon as it is sure to be dead"


async def _made_before(context: Context, id: str) -> Task | None:
    """What a request with the same key made before the server died and its answer was lost."""
    found = await context.store.tasks.heads([id]) if id else {}
    return await context.store.tasks.get(id) if found else None


def _is_same(made: Task, wanted: Task) -> bool:
    """Whether a task with an id of the caller's choice is the one that a request asks for."""
    members = ("name", "project", "type", "parent_id", "execution", "parameters", "configuration")
    return all(getattr(made, name) == getattr(wanted, name) for name in members)
