"""The HTTP application: one store behind routes, wrapped in a few rules that hold for all."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from dray import __version__
from dray.api import late_writes, middleware, problems
from dray.api.context import Context
from dray.api.hub import Hub
from dray.api.idempotency import Idempotency
from dray.api.orchestrator import Orchestrator
from dray.api.routes import (
    agents,
    artifacts,
    attempts,
    blobs,
    console,
    environments,
    health,
    models,
    projects,
    queues,
    results,
    server,
    task_actions,
    task_models,
    tasks,
    upkeep,
)
from dray.runtime.clock import Clock, SystemClock
from dray.runtime.config import Settings
from dray.runtime.errors import StaleEpoch
from dray.runtime.store import Store

#: Every route of the API; each has a rule of ``auth``, or is open to all. They are handed to
#: FastAPI as they are: including routers in one another would build each route anew.
ROUTES = tuple(
    route
    for module in (
        attempts,  # asked most, so looked at first
        health,
        tasks,
        task_actions,
        console,
        results,
        artifacts,
        models,
        task_models,
        blobs,
        queues,
        agents,
        environments,
        projects,
        server,
        upkeep,
    )
    for route in module.router.routes
)
_WEB = Path(__file__).parent / "web"
_DESCRIPTION = """
Experiments, their attempts, queues, results. Every call but the health checks carries
`Authorization: Bearer TOKEN`. Errors are `application/problem+json` with a stable `code`.
"""


def create_app(
    store: Store,
    settings: Settings,
    orchestrator: Orchestrator,
    hub: Hub,
    *,
    token: str,
    clock: Clock | None = None,
) -> FastAPI:
    """The application that serves ``store``, to be run in the event loop the store was opened in.

    The caller closes the store. Before it stops the HTTP server it closes the hub, which ends
    long polls and followed consoles; otherwise the server waits for them.

    Args:
        store: open.
        settings: limits, addresses, lease terms.
        orchestrator: what runs tasks.
        hub: told of every commit of ``store`` from now on.
        token: the server's own bearer token; task tokens are signed with it.
        clock: for the times of long polls.
    """
    own_clock = clock or SystemClock()
    app = FastAPI(
        routes=list(ROUTES),
        title="Dray",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        middleware=_middleware(settings, token),
        lifespan=_lifespan,
    )
    app.state.context = Context(
        store=store,
        settings=settings,
        orchestrator=orchestrator,
        hub=hub,
        token=token,
        clock=own_clock,
        idempotency=Idempotency(store),
        started_at=own_clock.now(),
    )
    store.subscribe(lambda change: hub.publish(change.after.task_id))
    problems.install(app)
    app.add_exception_handler(StaleEpoch, late_writes.refuse)
    app.mount("/web", StaticFiles(directory=_WEB))
    app.add_route("/", _page, include_in_schema=False)
    return app


def _middleware(settings: Settings, token: str) -> list[Middleware]:
    """Everything around a route, outermost first."""
    stack = [Middleware(middleware.Envelope), Middleware(problems.UnexpectedErrors)]
    if middleware.is_loopback(settings.host):
        stack.append(Middleware(middleware.LoopbackHosts))
    stack.append(Middleware(middleware.TokenRequired, token=token))
    stack.append(Middleware(middleware.BodyLimit, settings=settings))
    return stack


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    yield
    app.state.context.hub.close()


async def _page(request: object) -> FileResponse:
    _ = request
    return FileResponse(_WEB / "index.html")
