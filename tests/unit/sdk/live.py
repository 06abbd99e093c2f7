"""The real app behind a real socket, in a thread with a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from dray.api.app import create_app
from dray.api.hub import Hub
from dray.api.orchestrator import Detached
from dray.runtime.clock import SystemClock
from dray.runtime.config import Settings
from dray.runtime.paths import HomePaths
from dray.runtime.store import Store
from dray.sdk.client import Client

TOKEN = "the-server's-own-token"


@dataclass(frozen=True)
class Live:
    """A server that runs; ``client`` may do everything."""

    url: str
    client: Client


@contextlib.contextmanager
def serving(home: Path, port: int = 0) -> Iterator[Live]:
    """Serve the data folder ``home`` until the block is left."""
    listener = socket.create_server(("127.0.0.1", port))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    stop: list[object] = []
    started = threading.Event()

    async def serve() -> None:
        settings = Settings(home=home, heartbeat_s=2.0)
        async with await Store.open(HomePaths(home), SystemClock()) as store:
            hub = Hub()
            app = create_app(store, settings, Detached(), hub, token=TOKEN)
            server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
            loop = asyncio.get_running_loop()

            def end() -> None:
                hub.close()
                server.should_exit = True

            stop.append(lambda: loop.call_soon_threadsafe(end))
            started.set()
            await server.serve(sockets=[listener])

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(30), "the server did not start"
    with Client(url, TOKEN) as client:
        try:
            yield Live(url, client)
        finally:
            for call in stop:
                call()  # type: ignore[operator]
            thread.join(30)
            assert not thread.is_alive()
