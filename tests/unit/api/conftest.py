"""A server in the test's own loop: in process for most tests, on a real socket for streams."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI

from dray.api.app import create_app
from dray.api.hub import Hub
from dray.runtime import causes, records, tokens
from dray.runtime.answers import Component
from dray.runtime.causes import Cause
from dray.runtime.clock import SystemClock
from dray.runtime.config import Settings
from dray.runtime.machine import Finish
from dray.runtime.models import AgentRecord, Queue, Task
from dray.runtime.paths import HomePaths
from dray.runtime.records import Frame
from dray.runtime.resources import Resources
from dray.runtime.store import By, ClaimRequest, Store

TOKEN = "the-server's-own-token"
BY = By("tester")


@dataclass
class Recorder:
    """An orchestrator that remembers what it was told."""

    queues: list[list[str]] = field(default_factory=list)

    async def why(self, task_id: str) -> str:
        return f"{task_id[:4]} waits for a GPU"

    async def queues_changed(self, queues: list[Queue]) -> None:
        self.queues.append([queue.name for queue in queues])

    async def components(self) -> list[Component]:
        return [Component("scheduler", "alive", 7, 0)]


@dataclass
class Api:
    """The parts of a served app, and clients of it."""

    app: FastAPI
    store: Store
    hub: Hub
    orchestrator: Recorder
    settings: Settings
    admin: httpx2.AsyncClient
    connect: Callable[..., httpx2.AsyncClient]

    def as_task(self, task_id: str, epoch: int = 1) -> httpx2.AsyncClient:
        """A client with the token of one attempt."""
        return self.connect(tokens.mint_task_token(TOKEN, task_id, epoch))

    async def draft(self, **members: Any) -> Task:
        """A new task."""
        members = {"id": "", "name": "train", "project": "demo", **members}
        return await self.store.tasks.create(Task(**members), BY)

    async def running(self, **members: Any) -> Task:
        """A task that an agent has claimed as attempt 1."""
        task = await self.draft(**members)
        await self.store.queues.ensure("gpu")
        await self.admin.post(f"/tasks/{task.id}/enqueue", json={"queue": "gpu"})
        request = ClaimRequest(task.id, "agent-1", "node", "claim", 30.0)
        assert await self.store.attempts.claim([request], BY) != [None]
        return await self.store.tasks.get(task.id)

    async def end(self, task: Task, cause: Cause | None = None) -> None:
        """Its open attempt ends, as its agent says; by default well."""
        finish = Finish(task.epoch, cause or causes.exited(0))
        await self.store.tasks.apply(task.id, finish, BY)

    async def send(self, task_id: str, frame: Frame, epoch: int = 1) -> httpx2.Response:
        """Post one frame with the server's token."""
        return await self.admin.post(
            f"/tasks/{task_id}/attempts/{epoch}/frames",
            content=records.encode_frame(frame),
            headers={"Content-Type": records.FRAME_TYPE},
        )


def static_agent(*queues: str) -> AgentRecord:
    return AgentRecord("agent-1", "static", Resources(), list(queues), state="ready")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache", upload_limit_bytes=8 << 20)


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        store = await stack.enter_async_context(await Store.open(HomePaths(settings.home), clock))
        hub, orchestrator = Hub(), Recorder()
        app = create_app(store, settings, orchestrator, hub, token=TOKEN, clock=clock)
        clients: list[httpx2.AsyncClient] = []

        def connect(token: str = TOKEN, base: str = "/api/v1") -> httpx2.AsyncClient:
            transport = httpx2.ASGITransport(app)
            client = httpx2.AsyncClient(
                transport=transport,
                base_url=f"http://127.0.0.1:8262{base}",
                headers={"Authorization": f"Bearer {token}"} if token else {},
            )
            clients.append(client)
            return client

        yield Api(app, store, hub, orchestrator, settings, connect(), connect)
        for client in clients:
            await client.aclose()


@pytest.fixture
async def socket_client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the same app over a real socket: it streams, and hangs up like one."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api.app, log_level="error"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        yield client
    api.hub.close()
    server.should_exit = True
    await serving
