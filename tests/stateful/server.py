"""A served store that a synchronous test can ask, stop and start again."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from dray.api.app import create_app
from dray.api.hub import Hub
from dray.api.orchestrator import Detached
from dray.runtime import tokens
from dray.runtime.config import Settings
from dray.runtime.paths import HomePaths
from dray.runtime.store import Store
from tests.contract.conftest import HandClock

T = TypeVar("T")

TOKEN = "the-server's-own-token"
#: No power cut is played here, so that a commit need not wait for a disk.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Server:
    """One data folder, in an event loop of its own."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.root = Path(tempfile.mkdtemp(prefix="dray-stateful-", dir=MEMORY))
        self._settings = Settings(home=self.root / "home", cache=self.root / "cache")
        self._loop = asyncio.new_event_loop()
        self.start()

    @property
    def lease_ttl_s(self) -> float:
        return self._settings.lease_ttl_s

    def start(self) -> None:
        """As a gateway starts: the store is opened, and time it was closed counts for nobody."""
        home = HomePaths(self._settings.home)
        self.store = self.run(Store.open(home, self.clock))
        self.run(self.store.attempts.extend_all())
        app = create_app(
            self.store, self._settings, Detached(), Hub(), token=TOKEN, clock=self.clock
        )
        self._client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8262/api/v1"
        )

    def stop(self) -> None:
        self.run(self._client.aclose())
        self.run(self.store.close())

    def remove(self) -> None:
        self.stop()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        shutil.rmtree(self.root)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        speaks_for: tuple[str, int] | None = None,
        **more: Any,
    ) -> httpx2.Response:
        """The answer to one request, with the server's token or that of an attempt."""
        token = tokens.mint_task_token(TOKEN, *speaks_for) if speaks_for else TOKEN
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return self.run(self._client.request(method, path, headers=headers, **content, **more))
