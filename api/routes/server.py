"""The server as it describes itself."""

from __future__ import annotations

from fastapi import APIRouter

from dray import __version__
from dray.api import auth
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.runtime.answers import ServerInfo

router = APIRouter(prefix=f"{API_PREFIX}/server", tags=["server"], dependencies=[auth.READS])


@router.get("")
async def server(context: Ctx) -> ServerInfo:
    """Version, data folder, address, start, and the parts of the cluster behind it."""
    settings = context.settings
    url = settings.url or f"http://{settings.host}:{settings.port}"
    components = await context.orchestrator.components()
    return ServerInfo(
        __version__,
        str(settings.home),
        url,
        context.started_at,
        context.store.fencing.n_refused,
        components,
        context.store.reserve.storage(),
    )
