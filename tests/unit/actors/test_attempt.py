"""One attempt on an agent: what must be known before its process starts, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dray.actors import attempt
from dray.actors.attempt import AttemptRun
from dray.actors.ending import ProcessEnd
from dray.actors.orders import WorkOrder
from dray.runtime.causes import Cause
from dray.runtime.children import ExitStatus
from dray.runtime.clock import SystemClock
from dray.runtime.config import Settings
from dray.runtime.errors import DrayError, StaleEpoch
from dray.runtime.models import Task
from dray.runtime.paths import NodePaths


class Server:
    """In the place of the shipper: answers when the test says so.

    Attributes:
        asked: set once somebody waits for the lease to be confirmed.
        ends: the causes that it was told.
    """

    def __init__(self) -> None:
        self.last_confirmed: float | None = None
        self.asked, self._answered = asyncio.Event(), asyncio.Event()
        self.ends: list[Cause] = []
        self.refuse: Callable[[DrayError], None]

    def __call__(self, *_: object, on_refused: Callable[[DrayError], None], **__: Any) -> Server:
        self.refuse = on_refused
        return self

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def notify(self, **_: object) -> None:
        return

    def set_environment(self, _: object) -> None:
        return

    async def until_confirmed(self) -> None:
        self.asked.set()
        await self._answered.wait()

    def confirm(self) -> None:
        self.last_confirmed = SystemClock().monotonic()
        self._answered.set()

    async def finish(self, cause: Cause, _: float) -> None:
        self.ends.append(cause)


@pytest.fixture
def started() -> list[str]:
    """What was started."""
    return []


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def run(
    tmp_path: Path, server: Server, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> AttemptRun:
    """An attempt whose preparation is done at once and whose process ends at once."""

    class Child:
        def __init__(self, *_: object, **__: object) -> None:
            return

        async def run(self, plan: str, _: None) -> ProcessEnd:
            started.append(plan)
            return ProcessEnd(ExitStatus(0, None), asked=None, steps=(), fenced=False, starved=None)

    class Environment:
        report = None

        def release(self) -> None:
            return

        def __enter__(self) -> None:
            return

        def __exit__(self, *_: object) -> None:
            return

    async def prepare(*_: object) -> Any:
        return SimpleNamespace(
            plan="the plan", environment=Environment(), setup=None, report=None, box=None
        )

    monkeypatch.setattr(attempt, "Shipper", server)
    monkeypatch.setattr(attempt, "ChildRun", Child)
    monkeypatch.setattr(attempt, "prepare", prepare)
    shop: Any = SimpleNamespace(
        agent="a", node_name="n", node=NodePaths(tmp_path), settings=Settings(), clock=SystemClock()
    )
    order = WorkOrder(Task("ab" * 16, "t", "p"), 1, "c", "t", "http://127.0.0.1:1", 30.0)
    return AttemptRun(order, shop)


async def over(running: asyncio.Task[None]) -> None:
    await asyncio.wait_for(asyncio.shield(running), timeout=10)


async def test_nothing_starts_before_the_server_has_confirmed(
    run: AttemptRun, server: Server, started: list[str]
) -> None:
    running = asyncio.create_task(run.run())
    asked = asyncio.create_task(server.asked.wait())
    await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    assert started == []
    server.confirm()
    await over(running)
    assert started == ["the plan"]
    assert [cause.exit_code for cause in server.ends] == [0]


async def test_an_attempt_that_is_refused_ends_without_a_process(
    run: AttemptRun, server: Server, started: list[str]
) -> None:
    running = asyncio.create_task(run.run())
    await asyncio.wait_for(server.asked.wait(), timeout=10)
    server.refuse(StaleEpoch("attempt 1 is over"))
    await over(running)
    assert started == []
    assert run.end.result().untold == ""
