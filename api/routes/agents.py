"""Agents: who takes tasks, and taking them out of work."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter

from dray.api import auth, bodies
from dray.api.addresses import API_PREFIX
from dray.api.context import Context, Ctx
from dray.api.paging import whole
from dray.runtime.answers import Page
from dray.runtime.errors import Conflict
from dray.runtime.models import AgentRecord

router = APIRouter(prefix=f"{API_PREFIX}/agents", tags=["agents"])


@router.get("", dependencies=[auth.READS])
async def list_agents(context: Ctx) -> Page[AgentRecord]:
    """Every agent by name, and what runs on it."""
    return whole(await context.store.agents.list())


@router.get("/{name:path}", dependencies=[auth.READS])
async def get_agent(context: Ctx, name: str) -> AgentRecord:
    """One agent by its name."""
    return await context.store.agents.get(name)


@router.post("/{name:path}/drain")
async def drain_agent(
    body: bodies.DrainBody, context: Ctx, name: str, by: auth.Admin
) -> AgentRecord:
    """Give an agent no more work; what it runs ends by itself, what it holds stays held."""
    reason = body.reason.strip() or f"drained by {by.who}"
    found = await context.orchestrator.drain_agent(name, reason)
    return await _agent(context, name, found=found)


@router.post("/{name:path}/resume")
async def resume_agent(context: Ctx, name: str, by: auth.Admin) -> AgentRecord:
    """Give a drained agent work again."""
    _ = by
    found = await context.orchestrator.resume_agent(name)
    return await _agent(context, name, found=found)


@router.post("/{name:path}/stop")
async def stop_agent(context: Ctx, name: str, by: auth.Admin) -> AgentRecord:
    """End an agent and free what it holds; what it runs is stopped and goes back to its queue."""
    # An idle one may be gone, and the store's record of it, before this can be answered.
    agent = await context.store.agents.get(name)
    _require(name, found=await context.orchestrator.stop_agent(name, by.who))
    return replace(agent, state="drained", reason=f"being stopped by {by.who}")


async def _agent(context: Context, name: str, *, found: bool) -> AgentRecord:
    agent = await context.store.agents.get(name)
    _require(name, found=found)
    return agent


def _require(name: str, *, found: bool) -> None:
    if not found:
        raise Conflict(
            f"agent {name} is known but not in the cluster; what is left of it is removed "
            "when the scheduler next looks",
            name=name,
        )
