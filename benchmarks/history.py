"""What a store of a million finished tasks costs: the start to ready, lists, why and claims."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from benchmarks.measure import Reading, Sample, in_words, ratio
from benchmarks.stand import Stand
from dray.runtime import causes, codec
from dray.runtime.clock import SystemClock
from dray.runtime.ids import new_id
from dray.runtime.machine import Enqueue, Finish
from dray.runtime.models import Task
from dray.runtime.paths import HomePaths
from dray.runtime.records import RECORDS, STDOUT, Chunk, Frame, encode_record
from dray.runtime.store import By, ClaimRequest, Store, TaskQuery

N_TASKS, N_FEW = 1_000_000, 1_000
N_PENDING, N_RUNNING = 200, 50
N_STARTS, N_ROUNDS = 5, 100
QUEUE = "default"
_BY = By("bench")

#: Tables that hold a finished task, the column of its id, and the one that SQLite counts up.
_STATE = (
    ("tasks", "id", ""),
    ("documents", "task_id", ""),
    ("attempts", "task_id", ""),
    ("audit", "task_id", "seq"),
)
_RESULTS = (("offsets", "task_id", ""), ("console", "task_id", "seq"))
_COUNTED = "WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < "
#: Scattered like the ids that people's tasks get, and the same in every table.
_ID = "printf('%08x%024x', (n * 2654435761) & 0xffffffff, n)"


def measure(stand: Stand) -> list[Reading]:
    """Fill two stores, then ask both the same, in turns."""
    few, many = HomePaths(stand.folder / "few"), HomePaths(stand.folder / "many")
    for home, n_tasks in ((few, N_FEW), (many, N_TASKS)):
        fill(home, n_tasks)
    starts = [asyncio.run(_start(many)) for _ in range(N_STARTS)]
    starts_few = [asyncio.run(_start(few)) for _ in range(N_STARTS)]
    ready, ready_few = Sample(tuple(starts)), Sample(tuple(starts_few))
    against = f"{N_FEW:,} tasks {in_words(ready_few.median)} ms"
    size = sum(path.stat().st_size for path in (many.state_db, many.results_db))
    note = f"state.db and results.db have {size >> 20:,} MiB"
    readings = [Reading("history-ready", ready, against, ratio(ready, ready_few), note)]
    for name, (sample, base) in asyncio.run(_calls(many, few)).items():
        beside = f"{N_FEW:,} tasks {in_words(base.median)} µs"
        readings.append(Reading(f"history-{name}", sample, beside, ratio(sample, base)))
    return readings


def fill(home: HomePaths, n_tasks: int) -> None:
    """A store with so many finished tasks, and some that wait and run; by copies of rows."""
    task_id = asyncio.run(_begin(home))
    for path, tables in ((home.state_db, _STATE), (home.results_db, _RESULTS)):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(f"PRAGMA cache_size = -{1 << 20}")  # scattered ids touch all pages
            indexes = _drop_indexes(connection)
            for table, key, counted in tables:
                _copy(connection, table, key, counted, task_id, n_tasks)
            for sql in indexes:  # much quicker than to keep them while rows are added
                connection.execute(sql)
    asyncio.run(_add_living(home))


def _drop_indexes(connection: sqlite3.Connection) -> list[str]:
    """Every index that was made by hand goes; the statements that make them again."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    return [sql for _, sql in found]


def _copy(
    connection: sqlite3.Connection, table: str, key: str, counted: str, task_id: str, n_copies: int
) -> None:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    columns = [column for column in columns if column != counted]
    different = {key: _ID, "created_at": "created_at - n", "updated_at": "updated_at - n"}
    values = [different.get(column, column) for column in columns]
    connection.execute(
        f"{_COUNTED}{n_copies}) INSERT INTO {table} ({', '.join(columns)}) "  # noqa: S608
        f"SELECT {', '.join(values)} FROM counted JOIN {table} ON {key} = :task_id",
        {"task_id": task_id},
    )


async def _begin(home: HomePaths) -> str:
    """A new store with one finished task that has some output."""
    async with await Store.open(home, SystemClock()) as store:
        await store.queues.ensure(QUEUE)
        task_id = await _enqueue(store)
        epoch = await _claim(store, task_id)
        scalar = encode_record("scalar", 1.0, title="loss", series="train", i=1, v=0.5)
        chunks = [Chunk(STDOUT, 0, b"epoch 1\n"), Chunk(RECORDS, 0, scalar)]
        finish = {"cause": codec.to_json(causes.exited(0)), "receipt": {}}
        await store.ingest.accept(task_id, epoch, Frame(chunks, finish=finish), _BY)
    return task_id


async def _add_living(home: HomePaths) -> None:
    async with await Store.open(home, SystemClock()) as store:
        for n in range(N_PENDING + N_RUNNING):
            task_id = await _enqueue(store)
            if n < N_RUNNING:
                await _claim(store, task_id)


async def _enqueue(store: Store) -> str:
    task = await store.tasks.create(Task(id=new_id(), name="train", project="bench"), _BY)
    await store.tasks.apply(task.id, Enqueue(QUEUE), _BY)
    return task.id


async def _claim(store: Store, task_id: str) -> int:
    request = ClaimRequest(task_id, "agent", "node", new_id(), 30.0)
    (assignment,) = await store.attempts.claim([request], _BY)
    assert assignment is not None
    return assignment.epoch


async def _start(home: HomePaths) -> float:
    """Milliseconds of what a gateway does until it serves and a scheduler has read the store."""
    for path in (home.state_db, home.results_db):
        _forget_cached(path)
    began = time.perf_counter()
    async with await Store.open(home, SystemClock()) as store:
        await store.attempts.extend_all()
        await store.queues.list()
        await store.agents.list()
        attempts = await store.attempts.open()
        await store.queues.pending(QUEUE, 100)
        ready_s = time.perf_counter() - began
    assert len(attempts) == N_RUNNING
    return ready_s * 1e3


def _forget_cached(path: Path) -> None:
    """As after a reboot: the pages of the file have to be read from the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


async def _calls(many: HomePaths, few: HomePaths) -> dict[str, tuple[Sample, Sample]]:
    """Microseconds of each call, in the store of many tasks and in that of few."""
    calls: dict[str, Callable[[Store], Awaitable[object]]] = {
        "list": lambda store: store.tasks.list(TaskQuery()),
        "why": _why,
        "claim": _turn,
    }
    found: dict[str, tuple[Sample, Sample]] = {}
    async with (
        await Store.open(many, SystemClock()) as big,
        await Store.open(few, SystemClock()) as small,
    ):
        for name, call in calls.items():
            seen: tuple[list[float], list[float]] = ([], [])
            for n in range(-10, N_ROUNDS):
                for i, store in ((0, big), (1, small)) if n % 2 else ((1, small), (0, big)):
                    began = time.perf_counter()
                    await call(store)
                    if n >= 0:
                        seen[i].append((time.perf_counter() - began) * 1e6)
            found[name] = (Sample(tuple(seen[0])), Sample(tuple(seen[1])))
    return found


async def _why(store: Store) -> None:
    """What the store is asked for the reason why a task waits."""
    (entry, *_) = await store.queues.pending(QUEUE, 50)
    await store.tasks.head(entry.task_id)
    await store.queues.position(entry.task_id)


async def _turn(store: Store) -> None:
    """One task from the head of the queue to its end, and another one into the queue."""
    (entry,) = await store.queues.pending(QUEUE, 1)
    epoch = await _claim(store, entry.task_id)
    await store.tasks.apply(entry.task_id, Finish(epoch, causes.exited(0)), _BY)
    await _enqueue(store)
