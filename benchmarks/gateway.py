"""A gateway without a cluster, a process of its own: ``python -m benchmarks.gateway HOME PORT``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvicorn

from dray.api.app import create_app
from dray.api.hub import Hub
from dray.api.orchestrator import Detached
from dray.runtime import tokens
from dray.runtime.clock import SystemClock
from dray.runtime.config import Settings
from dray.runtime.paths import HomePaths
from dray.runtime.store import Store


async def serve(home: Path, port: int) -> None:
    """Serve a store until the process is ended."""
    paths, clock = HomePaths(home), SystemClock()
    settings = Settings(home=home, port=port)
    async with await Store.open(paths, clock) as store:
        token = tokens.read_or_create(paths.token)
        app = create_app(store, settings, Detached(), Hub(), token=token, clock=clock)
        config = uvicorn.Config(
            app, host=settings.host, port=port, log_level="warning", access_log=False
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
