"""Environments that nodes keep: what is there, why, building and removing them."""

from __future__ import annotations

from fastapi import APIRouter

from dray.api import auth, bodies
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.api.paging import whole
from dray.runtime.answers import Page
from dray.runtime.environments import (
    EnvironmentBuilt,
    EnvironmentDetails,
    EnvironmentRequest,
    EnvironmentWhy,
    NodeEnvironments,
    Pruned,
)

router = APIRouter(prefix=f"{API_PREFIX}/environments", tags=["environments"])


@router.get("")
async def list_environments(context: Ctx, by: auth.Admin) -> Page[NodeEnvironments]:
    """The cache of every node; one that does not answer in time says so in its ``problem``."""
    _ = by
    return whole(await context.orchestrator.caches.all())


@router.get("/{key}")
async def get_environment(
    context: Ctx, by: auth.Admin, key: str, node: str = ""
) -> EnvironmentDetails:
    """One environment by the beginning of its key, of ``node`` or of the first that has it."""
    _ = by
    return await context.orchestrator.caches.one(key, node)


@router.get("/{key}/why")
async def why_environment(
    context: Ctx, by: auth.Admin, key: str, against: str = "", node: str = ""
) -> EnvironmentWhy:
    """What differs between two keys; without ``against``, why this one had to be built."""
    _ = by
    return await context.orchestrator.caches.why(key, against, node)


@router.post("/prune")
async def prune_environments(body: bodies.PruneBody, context: Ctx, by: auth.Admin) -> Page[Pruned]:
    """Remove environments that nothing uses, on every node."""
    _ = by
    return whole(await context.orchestrator.caches.prune(body.keys, body.unused_for_s))


@router.post("/build")
async def build_environment(
    body: bodies.BuildBody, context: Ctx, by: auth.Admin
) -> EnvironmentBuilt:
    """Make the environment of a task, or of an execution; answered once it is there."""
    _ = by
    task_id = await context.store.tasks.resolve(body.task_id) if body.task_id else ""
    request = EnvironmentRequest(task_id, body.execution, body.node)
    return await context.orchestrator.build_environment(request)
