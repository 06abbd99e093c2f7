"""Whether the server is there, and whether it can do its work; no token needed."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from dray.api.context import Ctx

router = APIRouter(tags=["health"])


@dataclass(frozen=True)
class Health:
    """All is well; anything else is answered as a problem."""

    status: str = "ok"


@dataclass(frozen=True)
class Readiness:
    """The server can do its work.

    Attributes:
        storage: ``plenty``, or what a nearly full disk no longer takes; ``GET /server`` says
            how to end it.
    """

    status: str
    storage: str


@router.get("/healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health()


@router.get("/readyz")
async def readyz(context: Ctx) -> Readiness:
    """The store answers too."""
    await context.store.queues.list()
    return Readiness("ready", context.store.reserve.storage().level)
