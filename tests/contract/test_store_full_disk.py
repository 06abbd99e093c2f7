"""A disk that fills up: blobs and results are refused, states are written, and room heals it."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.runtime import causes
from dray.runtime.errors import InsufficientStorage
from dray.runtime.machine import Enqueue, Finish
from dray.runtime.models import Task
from dray.runtime.paths import HomePaths
from dray.runtime.states import State
from dray.runtime.store import ClaimRequest, Store
from dray.runtime.store.ballast import Ballast
from dray.runtime.store.database import Database
from dray.runtime.store.migrate import Migration, migrate
from dray.runtime.store.reserve import Level, Limits, Reserve
from dray.runtime.store.session import Session
from tests.contract.conftest import BY, TTL_S, HandClock, World
from tests.file_systems import file_system

MIB = 1 << 20
STEP = Migration(1, "0001_t.sql", "PRAGMA application_id = 1146241369; CREATE TABLE t (x BLOB);")


async def fail_as_full(session: Session) -> None:
    await session.execute("INSERT INTO t VALUES ('half')")
    raise sqlite3.OperationalError("database or disk is full")


class FullOnce:
    """A unit that finds the disk full as often as told, then room."""

    def __init__(self, n_failures: int) -> None:
        self.n_failures = n_failures
        self.n_runs = 0

    async def __call__(self, session: Session) -> str:
        self.n_runs += 1
        await session.execute("INSERT INTO t VALUES ('x')")
        if self.n_runs <= self.n_failures:
            raise sqlite3.OperationalError("database or disk is full")
        return "written"


async def n_rows(database: Database) -> int:
    (row,) = await database.rows("SELECT COUNT(*) AS n FROM t")
    return int(row["n"])


class Disk:
    """A free space that the test says."""

    def __init__(self) -> None:
        self.free = 1 << 40

    def look(self, folder: Path) -> int:
        _ = folder
        return self.free


async def test_a_full_disk_costs_the_ballast_and_no_commit(
    tmp_path: Path, clock: HandClock
) -> None:
    disk = Disk()
    reserve = Reserve(tmp_path, clock, free=disk.look)
    ballast = Ballast(tmp_path / "ballast", reserve, n_bytes=MIB)
    ballast.prepare()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= MIB, "really allocated"
    migrate(tmp_path / "t.db", [STEP], tmp_path / "snapshots")
    database = await Database.open(tmp_path / "t.db", synchronous="FULL", ballast=ballast)
    results = await Database.open(
        tmp_path / "t.db", synchronous="NORMAL", guard=ballast.require_room_for_results
    )
    try:
        unit = FullOnce(1)
        disk.free = 0
        assert await database.write(unit) == "written"
        assert unit.n_runs == 2
        assert await n_rows(database) == 1, "what the first run wrote is undone"
        assert (tmp_path / "ballast").stat().st_size == 0
        assert reserve.level() is Level.NO_CONSOLE
        with pytest.raises(InsufficientStorage, match="free some space"):
            await results.write(fail_as_full)
        await results.write(FullOnce(0), gives_room=True)

        with pytest.raises(InsufficientStorage, match=r"t\.db .* full; make room"):
            await database.write(FullOnce(1))

        disk.free, clock.time = 1 << 40, clock.time + 2
        await database.write(FullOnce(0))
        assert (tmp_path / "ballast").stat().st_size == MIB, "taken again, unaided"
        assert reserve.level() is Level.PLENTY
        await results.write(FullOnce(0))
    finally:
        await database.close()
        await results.close()


async def test_under_the_reserve_new_blobs_are_refused_half_written_ones_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, blobs = Disk(), world.store.blobs
    monkeypatch.setattr(world.store.reserve, "_free", disk.look)

    def leave(n_bytes: int) -> None:
        disk.free = n_bytes
        world.clock.pass_s(2)

    leave(3 << 30)
    known = await blobs.put(b"known")
    data = b"new"
    sha256 = hashlib.sha256(data).hexdigest()
    async with blobs.writer(sha256) as writer:
        await writer.write(data[:1])
        leave(1 << 30)
        with pytest.raises(InsufficientStorage, match="reserve_blobs_bytes"):
            await writer.write(data[1:])
        leave(3 << 30)
        await writer.write(data[1:])
    leave(1 << 30)
    with pytest.raises(InsufficientStorage):
        await blobs.put(b"another")
    assert await blobs.put(b"known") == known, "what is there costs nothing"
    assert await blobs.read(sha256) == data


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 50 MB."""
    with file_system(tmp_path / "disk", "50m") as folder:
        yield folder


def fill(folder: Path) -> Path:
    """Write until not a byte is left."""
    path = folder / "somebody-elses"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(64 << 10))
        except OSError:
            pass  # that is the point
    return path


async def run_one(store: Store, i: int) -> str:
    """A task from its creation to its end."""
    task = await store.tasks.create(Task("", f"task {i}", "full"), BY)
    await store.tasks.apply(task.id, Enqueue("gpu"), BY)
    request = ClaimRequest(task.id, "agent", "node", f"claim {i}", TTL_S)
    (assignment,) = await store.attempts.claim([request], BY)
    assert assignment is not None
    await store.attempts.renew(task.id, assignment.epoch)
    await store.tasks.apply(task.id, Finish(assignment.epoch, causes.exited(0)), BY)
    return task.id


async def test_on_a_really_full_disk_tasks_run_from_creation_to_end(
    small_disk: Path, clock: HandClock
) -> None:
    home = HomePaths(small_disk / "home")
    limits = Limits(blobs_bytes=4 * MIB, console_bytes=2 * MIB)
    async with await Store.open(home, clock, limits) as store:
        await store.queues.ensure("gpu")
        await run_one(store, 0)
        filler = await asyncio.to_thread(fill, small_disk)
        clock.pass_s(2)
        with pytest.raises(InsufficientStorage):
            await store.blobs.put(b"a new blob")
        done = [await run_one(store, i) for i in range(1, 80)]
        assert store.reserve.storage().level == "state_only"
        heads = await store.tasks.heads(done)
        assert {head.state for head in heads.values()} == {State.COMPLETED}

    # It starts on a full disk as well, and what it said is there.
    async with await Store.open(home, clock, limits) as store:
        assert (await store.tasks.head(done[-1])).state is State.COMPLETED
        await run_one(store, 1000)
        running = await store.tasks.create(Task("", "local", "full"), BY)
        local = await store.attempts.start_local(running.id, "local:me", "me", "c", TTL_S, BY)
        await store.attempts.renew(running.id, local.epoch)

        filler.unlink()
        clock.pass_s(2)
        await run_one(store, 1001)
        assert store.reserve.storage().level == "plenty"
        assert await store.blobs.put(b"a new blob")
