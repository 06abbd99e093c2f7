"""The order of a queue in memory: the same as in the store, whatever happens while it is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from dray.actors import handles, queue
from dray.actors.changes import Changes
from dray.actors.orders import QueueDelta
from dray.actors.queue import QueueActor
from dray.runtime.models import QueueEntry
from dray.runtime.resources import Resources


class Method:
    """A method of an actor, called as Ray's are."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.remote = call


class Store:
    """The gateway as a queue's actor sees it; a reading waits until it is let go on."""

    def __init__(self) -> None:
        self.entries: list[QueueEntry] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.is_read = asyncio.Event()
        self.pending = Method(self._pending)

    def _pending(self, *_: object) -> Awaitable[list[QueueEntry]]:
        seen = list(self.entries)
        self.is_read.set()

        async def answer() -> list[QueueEntry]:
            await self.go_on.wait()
            return seen

        return answer()


class Scheduler:
    """Remembers what it was offered."""

    def __init__(self) -> None:
        self.offered: list[str] = []
        self.offer = Method(self._offer)
        self._news = Changes()

    def _offer(self, _: str, entries: list[QueueEntry]) -> None:
        self.offered += [entry.task_id for entry in entries]
        self._news.tell()

    async def heard_of(self, task_id: str) -> None:
        await self._news.wait_until(lambda: task_id in self.offered)


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    made = Scheduler()
    monkeypatch.setattr(handles, "scheduler", lambda: made)
    return made


@pytest.fixture
async def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    monkeypatch.setattr(handles, "gateway", lambda: made)
    return made


async def start() -> QueueActor:
    """A queue's actor as Ray makes one, which awaits ``__init__``."""
    actor: Any = QueueActor.__new__(QueueActor)
    await actor.__init__("default")
    return actor


def entry(rank: int) -> QueueEntry:
    return QueueEntry(f"task-{rank}", "default", 0, rank, float(rank), Resources())


def came(*ranks: int) -> QueueDelta:
    delta = QueueDelta()
    for rank in ranks:
        delta.add(entry(rank))
    return delta


def left(*ranks: int) -> QueueDelta:
    return QueueDelta(removed={f"task-{rank}" for rank in ranks})


async def test_what_changes_while_the_store_is_read_is_not_lost(
    store: Store, scheduler: Scheduler
) -> None:
    actor = await start()
    store.entries = [entry(1), entry(2)]
    store.go_on.clear()
    store.is_read.clear()
    reading = asyncio.create_task(actor.resync())
    await store.is_read.wait()
    await actor.changed(left(1))
    await actor.changed(came(3))
    store.go_on.set()
    await reading
    assert [await actor.position(f"task-{rank}") for rank in (1, 2, 3)] == [None, 0, 1]


async def test_after_a_reading_that_failed_changes_are_taken_as_before(
    store: Store, scheduler: Scheduler
) -> None:
    actor = await start()
    store.pending = Method(lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="full"):
        await actor.resync()
    await actor.changed(came(1))
    assert await actor.depth() == 1


async def test_more_is_offered_as_the_window_empties(store: Store, scheduler: Scheduler) -> None:
    actor = await start()
    await actor.changed(came(*range(2 * queue.WINDOW)))
    assert len(scheduler.offered) == queue.WINDOW
    await actor.changed(left(*range(queue.WINDOW)))
    assert len(scheduler.offered) == 2 * queue.WINDOW


async def test_a_retry_is_offered_when_it_is_due_without_anybody_asking(
    store: Store, scheduler: Scheduler
) -> None:
    store.entries = [replace(entry(1), not_before=time.time() + 0.05), entry(2)]
    await start()
    assert scheduler.offered == ["task-2"]
    with anyio.fail_after(10):
        await scheduler.heard_of("task-1")


def test_of_a_task_that_comes_and_leaves_at_once_only_the_last_step_counts() -> None:
    delta = came(1)
    delta.remove("task-1")
    assert (delta.added, delta.removed) == ({}, {"task-1"})
    delta.add(entry(1))
    assert list(delta.added) == ["task-1"]
