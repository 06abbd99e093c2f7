"""Agents: who takes tasks."""

from __future__ import annotations

from fastapi import APIRouter

from dray.api import auth
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.api.paging import whole
from dray.runtime.answers import Page
from dray.runtime.models import AgentRecord

router = APIRouter(prefix=f"{API_PREFIX}/agents", tags=["agents"], dependencies=[auth.READS])


@router.get("")
async def list_agents(context: Ctx) -> Page[AgentRecord]:
    """Every agent by name, and what runs on it."""
    return whole(await context.store.agents.list())


@router.get("/{name:path}")
async def get_agent(context: Ctx, name: str) -> AgentRecord:
    """One agent by its name."""
    return await context.store.agents.get(name)
