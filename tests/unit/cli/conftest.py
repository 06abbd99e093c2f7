"""A real server on a real socket, and the command line run against it in this process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from dray.api.app import create_app
from dray.api.hub import Hub
from dray.api.orchestrator import Detached
from dray.runtime.clock import SystemClock
from dray.runtime.config import Settings
from dray.runtime.models import AgentRecord, Task
from dray.runtime.paths import HomePaths
from dray.runtime.records import Chunk, Frame, encode_record
from dray.runtime.resources import Resources
from dray.runtime.store import Store
from dray.sdk.cli.main import main
from dray.sdk.client import Client

TOKEN = "cli-tests"


class Server(threading.Thread):
    """The application with a fresh store, in a thread with its own event loop."""

    def __init__(self, home: Path) -> None:
        super().__init__(name="server", daemon=True)
        self.settings = Settings(home=home)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.client = Client(self.url, TOKEN)
        self.ready = threading.Event()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        clock = SystemClock()
        async with await Store.open(HomePaths(self.settings.home), clock) as store:
            hub = Hub()
            app = create_app(store, self.settings, Detached(), hub, token=TOKEN, clock=clock)
            self.server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
            self.loop, self.hub, self.store = asyncio.get_running_loop(), hub, store
            self.ready.set()
            await self.server.serve(sockets=[self.listener])

    def stop(self) -> None:
        self.client.close()
        self.loop.call_soon_threadsafe(self.hub.close)
        self.server.should_exit = True
        self.join()
        self.listener.close()

    def add_agent(self, name: str, *queues: str) -> AgentRecord:
        record = AgentRecord(name, "static", Resources(cpus=2), list(queues), state="ready")
        self.do(self.store.agents.put(record))
        return record

    def do(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Something the server does by itself, in its own loop."""
        return asyncio.run_coroutine_threadsafe(call, self.loop).result(10)

    def draft(self, name: str = "train", project: str = "digits", **members: Any) -> Task:
        return self.client.create_task(project, name, **members)

    def running(self, **members: Any) -> Run:
        task = self.draft(**members)
        started = self.client.start(task.id, agent="local:here", node="here", claim_id="claim")
        return Run(self.client, task.id, started.epoch)

    def ended(self, exit_code: int = 0, stdout: str = "", **members: Any) -> Task:
        run = self.running(**members)
        if stdout:
            run.write("stdout", stdout)
        return run.end(
            {
                "kind": "exit_code",
                "message": f"exited with code {exit_code}",
                "exit_code": exit_code,
            }
        )


class Run:
    """A process of a task, as the server sees one."""

    def __init__(self, client: Client, task_id: str, epoch: int) -> None:
        self.client, self.task_id, self.epoch = client, task_id, epoch
        self.written: dict[str, bytes] = {}

    def write(self, stream: str, text: str) -> None:
        before = self.written.get(stream, b"")
        chunk = Chunk(stream, len(before), text.encode())
        self.written[stream] = before + chunk.data
        self.client.send_frame(self.task_id, self.epoch, Frame([chunk], executing=True))

    def record(self, kind: str, **members: Any) -> None:
        self.write("records", encode_record(kind, 1.0, **members).decode())

    def end(self, cause: dict[str, Any]) -> Task:
        receipt = {
            stream: {"n_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for stream, data in self.written.items()
        }
        finish = {"cause": cause, "receipt": receipt}
        self.client.send_frame(self.task_id, self.epoch, Frame(finish=finish))
        return self.client.get_task(self.task_id)


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


Cli = Callable[..., Answer]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """The command line in an empty folder, without settings of whoever runs the tests."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "home"))
    for name in ("DRAY_URL", "DRAY_TOKEN", "DRAY_PORT"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Answer:
        capfd.readouterr()
        code = main(arguments)
        said = capfd.readouterr()
        return Answer(code, said.out, said.err)

    return run


@pytest.fixture
def server(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that the command line finds by its environment."""
    running = Server(tmp_path / "server")
    running.start()
    assert running.ready.wait(30)
    monkeypatch.setenv("DRAY_URL", running.url)
    monkeypatch.setenv("DRAY_TOKEN", TOKEN)
    yield running
    running.stop()
