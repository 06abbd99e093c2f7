"""What every route works with, handed from ``create_app`` to the routes by dependency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from dray.api.hub import Hub
from dray.api.orchestrator import Orchestrator
from dray.runtime.clock import Clock
from dray.runtime.config import Settings
from dray.runtime.store import Store

if TYPE_CHECKING:
    from dray.api.idempotency import Idempotency


@dataclass(frozen=True)
class Context:
    """The parts of one running server.

    Attributes:
        token: the server's bearer token, which is also what task tokens are signed with.
        started_at: when this app was made.
    """

    store: Store
    settings: Settings
    orchestrator: Orchestrator
    hub: Hub
    token: str
    clock: Clock
    idempotency: Idempotency
    started_at: float


async def context(request: Request) -> Context:
    """The context of the app that serves ``request``."""
    return cast("Context", request.app.state.context)


Ctx = Annotated[Context, Depends(context)]
