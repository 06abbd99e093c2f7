"""Queues: named lines of pending tasks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from dray.api import auth, bodies, paging
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.api.idempotency import OnceOnly
from dray.api.paging import Paged, whole
from dray.runtime.answers import Page
from dray.runtime.models import Queue, QueueEntry

router = APIRouter(prefix=f"{API_PREFIX}/queues", tags=["queues"])


@router.get("", dependencies=[auth.READS])
async def list_queues(context: Ctx) -> Page[Queue]:
    """Every queue by name, how many tasks wait in it and whether some agent serves it."""
    return whole(await context.store.queues.list())


@router.post("", status_code=201, response_model=Queue)
async def create_queue(
    body: bodies.NewQueue, context: Ctx, by: auth.Admin, once: OnceOnly
) -> Response:
    """Make an empty queue."""
    _ = by

    async def make() -> Queue:
        queue = await context.store.queues.create(
            body.name, elastic=body.elastic, defaults=body.defaults
        )
        await context.orchestrator.queues_changed(await context.store.queues.list())
        return queue

    return await once(201, make)


@router.get("/{name}", dependencies=[auth.READS])
async def get_queue(context: Ctx, name: str) -> Queue:
    """One queue by its name or id."""
    return await context.store.queues.get(name)


@router.patch("/{name}")
async def edit_queue(body: bodies.QueueEdit, context: Ctx, name: str, by: auth.Admin) -> Queue:
    """Change how tasks of a queue run that do not say it; those that run go on as they are."""
    _ = by
    return await context.store.queues.edit(name, body.defaults)


@router.delete("/{name}", status_code=204)
async def delete_queue(
    context: Ctx,
    name: str,
    by: auth.Admin,
    force: Annotated[bool, Query(description="its pending tasks become drafts again")] = False,
) -> None:
    """Remove a queue; one in which tasks wait only with `force`."""
    await context.store.queues.delete(name, by, force=force)
    await context.orchestrator.queues_changed(await context.store.queues.list())


@router.get("/{name}/tasks", dependencies=[auth.READS])
async def queue_tasks(context: Ctx, name: str, paged: Paged) -> Page[QueueEntry]:
    """What waits in the queue, in the order in which it is claimed."""
    queue = await context.store.queues.get(name)
    after = paging.two_numbers(paged.cursor)
    found = await context.store.queues.pending(queue.name, paged.limit + 1, after=after)
    return paging.cut(found, paged.limit, lambda entry: f"{-entry.priority}.{entry.rank}")
