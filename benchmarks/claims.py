"""What picking and claiming costs in the store, with few and with many tasks pending."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.measure import Reading, Sample, in_words, ratio
from benchmarks.stand import Stand
from dray.runtime.clock import SystemClock
from dray.runtime.ids import new_id
from dray.runtime.machine import Enqueue
from dray.runtime.models import Task
from dray.runtime.paths import HomePaths
from dray.runtime.store import By, ClaimRequest, Store

N_ROUNDS = 300
SHALLOW, DEEP = 100, 100_000
QUEUE = "default"
_BY = By("bench")
#: The tables that hold a pending task, and the column that says which.
_TABLES = (("tasks", "id"), ("documents", "task_id"), ("queue_entries", "task_id"))


def measure(stand: Stand) -> list[Reading]:
    """Claim from both, in turns."""
    shallow, deep = asyncio.run(_measure(stand.folder / "claims"))
    against = f"{SHALLOW} pending {in_words(shallow.median)} µs"
    return [Reading("claim-cost-depth", deep, against, ratio(deep, shallow))]


async def _measure(folder: Path) -> tuple[Sample, Sample]:
    homes = [HomePaths(folder / str(depth)) for depth in (SHALLOW, DEEP)]
    for home, depth in zip(homes, (SHALLOW, DEEP), strict=True):
        await _fill(home, depth)
    seen: tuple[list[float], list[float]] = ([], [])
    async with _open(homes[0]) as shallow, _open(homes[1]) as deep:
        for n in range(-20, N_ROUNDS):
            for i, store in ((0, shallow), (1, deep)) if n % 2 else ((1, deep), (0, shallow)):
                microseconds = await _claim_one(store)
                if n >= 0:
                    seen[i].append(microseconds)
                await _enqueue_one(store)
    return Sample(tuple(seen[0])), Sample(tuple(seen[1]))


@asynccontextmanager
async def _open(home: HomePaths) -> AsyncGenerator[Store]:
    store = await Store.open(home, SystemClock())
    async with store:
        yield store


async def _claim_one(store: Store) -> float:
    began = time.perf_counter_ns()
    (entry,) = await store.queues.pending(QUEUE, 1)
    request = ClaimRequest(entry.task_id, "agent", "node", new_id(), 30.0)
    (assignment,) = await store.attempts.claim([request], _BY)
    ended = time.perf_counter_ns()
    assert assignment is not None
    return (ended - began) / 1e3


async def _enqueue_one(store: Store) -> str:
    task = await store.tasks.create(Task(id=new_id(), name="noop", project="bench"), _BY)
    await store.tasks.apply(task.id, Enqueue(QUEUE), _BY)
    return task.id


async def _fill(home: HomePaths, depth: int) -> None:
    """Enqueue one task by the store and copy its rows: through the door it would take minutes."""
    async with _open(home) as store:
        await store.queues.ensure(QUEUE)
        first = await _enqueue_one(store)
    await asyncio.to_thread(_copy, home.state_db, first, depth - 1)


def _copy(path: Path, task_id: str, n_copies: int) -> None:
    with sqlite3.connect(path) as connection:
        for table, key in _TABLES:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            columns = [column for column in columns if column != "rank"]
            values = ["printf('%032x', n)" if column == key else column for column in columns]
            connection.execute(
                "WITH RECURSIVE counted (n) AS "  # noqa: S608  (names of our own tables)
                "(SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < :n_copies) "
                f"INSERT INTO {table} ({', '.join(columns)}) "
                f"SELECT {', '.join(values)} FROM {table} JOIN counted WHERE {key} = :task_id",
                {"n_copies": n_copies, "task_id": task_id},
            )
    connection.close()
