"""A store on real files, a clock the test owns, and tasks in interesting states."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dray.runtime import causes, codec
from dray.runtime.causes import Cause
from dray.runtime.ids import new_id
from dray.runtime.machine import Enqueue, Finish, Head, Publish
from dray.runtime.models import Task
from dray.runtime.paths import HomePaths
from dray.runtime.records import Chunk, Frame, encode_record
from dray.runtime.states import State
from dray.runtime.store import Assignment, By, ClaimRequest, FrameReply, Store
from dray.runtime.store.integrity import check_store

BY = By("tester")
#: Tests name blobs that nobody has uploaded.
_FREE = ("blobs_there",)
TTL_S = 30.0


class HandClock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def pass_s(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class World:
    """A store and short ways to bring a task into each state."""

    home: HomePaths
    clock: HandClock
    store: Store
    #: A test that spoils the files on purpose says so; all others leave every invariant true.
    is_sound: bool = True

    async def draft(self, **members: Any) -> Task:
        task = Task(**{"id": "", "name": "train", "project": "vision", **members})
        return await self.store.tasks.create(task, BY)

    async def pending(self, queue: str = "gpu", priority: int | None = None, **members: Any) -> str:
        await self.store.queues.ensure(queue)
        task = await self.draft(**members)
        await self.store.tasks.apply(task.id, Enqueue(queue), BY, priority=priority)
        return task.id

    async def claim(self, task_id: str, agent: str = "agent-1", claim_id: str = "") -> Assignment:
        request = ClaimRequest(task_id, agent, "node-1", claim_id or new_id(), TTL_S)
        (assignment,) = await self.store.attempts.claim([request], BY)
        assert assignment is not None
        return assignment

    async def running(self, **members: Any) -> tuple[str, int]:
        """Claimed by an agent; returns (task id, epoch)."""
        task_id = await self.pending(**members)
        return task_id, (await self.claim(task_id)).epoch

    async def ended(self, cause: Cause, **members: Any) -> str:
        task_id, epoch = await self.running(**members)
        await self.store.tasks.apply(task_id, Finish(epoch, cause), BY)
        return task_id

    async def in_state(self, state: State) -> str:
        """A fresh task in ``state``, come to it by legal steps."""
        if state is State.DRAFT:
            return (await self.draft()).id
        if state is State.PENDING:
            return await self.pending()
        if state is State.RUNNING:
            return (await self.running())[0]
        cause = {
            State.FAILED: causes.exited(1),
            State.ABORTED: causes.aborted("user"),
        }.get(state, causes.exited(0))
        task_id = await self.ended(cause)
        if state is State.PUBLISHED:
            await self.store.tasks.apply(task_id, Publish(), BY)
        return task_id

    async def head(self, task_id: str) -> Head:
        return await self.store.tasks.head(task_id)

    async def events(self, task_id: str) -> list[str]:
        return [entry.event for entry in (await self.store.audit.list(task_id)).items]

    async def ship(self, task_id: str, epoch: int, *chunks: Chunk, **members: Any) -> FrameReply:
        frame = Frame(chunks=list(chunks), **members)
        return await self.store.ingest.accept(task_id, epoch, frame, BY)

    async def record(self, task_id: str, epoch: int, kind: str, **members: Any) -> FrameReply:
        """Ship one record after those that are there."""
        offsets = await self.store.results.offsets(task_id, epoch)
        line = encode_record(kind, self.clock.now(), **members)
        return await self.ship(task_id, epoch, Chunk("records", offsets.get("records", 0), line))


def finish_of(cause: Cause, **streams: bytes) -> dict[str, Any]:
    """What a shipper says at the end of an attempt that wrote ``streams``."""
    receipt = {
        stream: {"n_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for stream, data in streams.items()
    }
    return {"cause": codec.to_json(cause), "receipt": receipt}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def home(tmp_path: Path) -> HomePaths:
    return HomePaths(tmp_path / "home")


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an empty store, made once: making the schema waits for the disk."""
    root = tmp_path_factory.mktemp("empty") / "home"

    async def make() -> None:
        await (await Store.open(HomePaths(root), HandClock())).close()

    asyncio.run(make())
    return root


@pytest.fixture
async def world(home: HomePaths, clock: HandClock, empty_home: Path) -> AsyncIterator[World]:
    shutil.copytree(empty_home, home.root, ignore=shutil.ignore_patterns("ballast"))
    async with await Store.open(home, clock) as store:
        world = World(home, clock, store)
        yield world
    if world.is_sound:
        report = await asyncio.to_thread(check_store, home, deep=True)
        violated = [check for check in report.checks if not check.ok and check.name not in _FREE]
        assert not violated, "\n".join(f"{c.promise}: {c.violations}" for c in violated)
