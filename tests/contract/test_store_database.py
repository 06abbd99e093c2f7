"""The files under the store: grouped commits, crashes, migrations, and refusals in clear words."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.errors import InsufficientStorage, InvalidInput, NotFound, StoreUnusable
from dray.runtime.machine import Reset
from dray.runtime.ordering import sort_key
from dray.runtime.paths import HomePaths
from dray.runtime.states import State
from dray.runtime.store import Store, TaskQuery, database
from dray.runtime.store.database import Database
from dray.runtime.store.migrate import Migration, migrate, migrations
from dray.runtime.store.session import Session
from tests.contract.conftest import BY, HandClock, World

STEP = Migration(
    1, "0001_t.sql", "PRAGMA application_id = 1146241369; CREATE TABLE t (x INTEGER UNIQUE);"
)


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    migrate(tmp_path / "t.db", [STEP], tmp_path / "snapshots")
    database = await Database.open(tmp_path / "t.db", synchronous="FULL")
    yield database
    await database.close()


async def insert(db: Database, *values: int) -> None:
    async def unit(connection: Session) -> None:
        for value in values:
            await connection.execute("INSERT INTO t VALUES (?)", (value,))

    await db.write(unit)


async def values(db: Database) -> list[int]:
    return [row["x"] for row in await db.rows("SELECT x FROM t ORDER BY x")]


class Held:
    """A unit that is under way until it is let go on."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._go_on = threading.Event()

    async def unit(self, session: Session) -> None:
        await session.execute("INSERT INTO t VALUES (1)")
        self._begun.set()
        assert self._go_on.wait(10)

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 10)

    def go_on(self) -> None:
        self._go_on.set()


async def test_what_waits_together_is_committed_together(db: Database) -> None:
    async def break_off(session: Session) -> None:
        await session.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    held = Held()
    running = asyncio.create_task(db.write(held.unit))
    await held.begun()
    waiting = [asyncio.create_task(insert(db, i)) for i in range(2, 50)]
    waiting.append(asyncio.create_task(db.write(break_off)))
    await asyncio.sleep(0)
    held.go_on()
    await running
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(o, InsufficientStorage) for o in outcomes), "one commit for all"
    assert await values(db) == [1]


async def test_a_unit_that_awaits_something_else_is_refused(db: Database) -> None:
    async def wait(session: Session) -> None:
        await session.execute("INSERT INTO t VALUES (1)")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="something else"):
        await db.write(wait)
    assert await values(db) == []


async def test_one_that_fails_in_a_group_undoes_only_itself(db: Database) -> None:
    await insert(db, 7)

    async def refuse(connection: Session) -> None:
        await connection.execute("INSERT INTO t VALUES (100)")
        raise InvalidInput("no")

    outcomes = await asyncio.gather(
        insert(db, 1),
        insert(db, 2, 7),
        db.write(refuse),
        insert(db, 3),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        StoreUnusable,
        InvalidInput,
        type(None),
    ]
    assert await values(db) == [1, 3, 7]


async def test_a_caller_that_is_cancelled_before_its_turn_changes_nothing(db: Database) -> None:
    held = Held()
    running = asyncio.create_task(db.write(held.unit))
    await held.begun()
    waiting = asyncio.create_task(insert(db, 2))
    await asyncio.sleep(0)
    waiting.cancel()
    running.cancel()
    held.go_on()
    for task in (running, waiting):
        with pytest.raises(asyncio.CancelledError):
            await task
    await insert(db, 3)
    assert await values(db) == [1, 3], "what had begun is committed all the same"


async def test_when_the_commit_fails_everybody_hears_of_it(db: Database) -> None:
    async def break_off(connection: Session) -> None:
        await connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    outcomes = await asyncio.gather(
        insert(db, 1), db.write(break_off), insert(db, 2), return_exceptions=True
    )
    assert all(isinstance(outcome, InsufficientStorage) for outcome in outcomes)
    assert await values(db) == []
    await insert(db, 4)
    assert await values(db) == [4], "the writer goes on"


async def test_a_commit_that_fails_is_acknowledged_to_nobody(tmp_path: Path) -> None:
    late = "CREATE TABLE u (x INTEGER REFERENCES t (x) DEFERRABLE INITIALLY DEFERRED);"
    migrate(tmp_path / "t.db", [STEP, Migration(2, "0002_u.sql", late)], tmp_path / "snapshots")
    db = await Database.open(tmp_path / "t.db", synchronous="FULL")

    async def orphan(session: Session) -> str:
        await session.execute("INSERT INTO u VALUES (404)")  # found out by the commit alone
        return "done"

    try:
        with pytest.raises(StoreUnusable, match="FOREIGN KEY"):
            await db.write(orphan)
        await insert(db, 1)
        assert await values(db) == [1], "the writer goes on"
    finally:
        await db.close()


async def test_what_was_undone_is_told_to_nobody(db: Database) -> None:
    heard: list[object] = []
    db.subscribe(heard.append)

    async def announce_and_fail(session: Session) -> None:
        await session.execute("INSERT INTO t VALUES (1)")
        database.announce("a row")
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        await db.write(announce_and_fail)
    assert heard == []


async def test_nobody_writes_between_what_a_unit_reads_and_what_it_writes(
    db: Database, tmp_path: Path
) -> None:
    refusals: list[str] = []

    async def unit(session: Session) -> None:
        assert await database.rows(session, "SELECT x FROM t") == []
        with closing(sqlite3.connect(tmp_path / "t.db", timeout=0)) as other:
            try:
                other.execute("INSERT INTO t VALUES (1)")
                other.commit()
            except sqlite3.OperationalError as exc:
                refusals.append(str(exc))

    await db.write(unit)
    assert refusals == ["database is locked"]


async def test_readers_cannot_write(db: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await db.rows("INSERT INTO t VALUES (1)")


async def test_readers_go_on_while_a_transaction_is_open(db: Database) -> None:
    held = Held()
    running = asyncio.create_task(db.write(held.unit))
    await held.begun()
    assert await values(db) == [], "nobody sees what is not committed"
    held.go_on()
    await running
    assert await values(db) == [1]


async def test_closing_finishes_what_was_handed_in_and_refuses_the_rest(db: Database) -> None:
    handed_in = [asyncio.create_task(insert(db, i)) for i in range(5)]
    await asyncio.sleep(0)
    await db.close()
    await db.close()
    await asyncio.gather(*handed_in)
    with pytest.raises(StoreUnusable, match="closed"):
        await insert(db, 9)
    with pytest.raises(StoreUnusable, match="closed"):
        await values(db)


async def test_a_store_opens_again_where_it_was_left(world: World) -> None:
    task_id, epoch = await world.running()
    before = await world.store.tasks.get(task_id)
    await world.store.close()
    async with await Store.open(world.home, world.clock) as store:
        assert await store.tasks.get(task_id) == before
        (attempt,) = await store.attempts.open()
        assert attempt.epoch == epoch


async def test_a_store_opens_as_a_crash_left_it(world: World, tmp_path: Path) -> None:
    """The files are taken away while they are open: nothing was checkpointed or closed."""
    task_id, _ = await world.running()
    before = await world.store.tasks.get(task_id)
    crashed = HomePaths(tmp_path / "crashed")
    shutil.copytree(world.home.root, crashed.root)
    async with await Store.open(crashed, world.clock) as store:
        assert await store.tasks.get(task_id) == before
        await store.tasks.delete(task_id, BY, force=True)


KILLED_WRITER = """
import asyncio, sys
from pathlib import Path
from dray.runtime.clock import SystemClock
from dray.runtime.models import Task
from dray.runtime.paths import HomePaths
from dray.runtime.store import By, Store

async def main():
    store = await Store.open(HomePaths(Path(sys.argv[1])), SystemClock())
    while True:
        task = await store.tasks.create(Task("", "n", "p"), By("w"))
        print(task.id, flush=True)

asyncio.run(main())
"""


async def test_what_a_killed_server_acknowledged_is_there(
    home: HomePaths, clock: HandClock
) -> None:
    with subprocess.Popen(  # noqa: ASYNC220  (its output is a few lines, read to their end)
        [sys.executable, "-c", KILLED_WRITER, str(home.root)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
    async with await Store.open(home, clock) as store:
        found = {t.id for t in (await store.tasks.list(TaskQuery(limit=1000))).items}
    assert set(acknowledged) <= found


async def test_outputs_given_up_before_a_crash_are_deleted_at_the_next_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id, epoch = await world.running()
    await world.record(task_id, epoch, "scalar", title="t", series="s", i=1, v=1.0)
    frame_end = {"cause": {"kind": "exit_code", "message": "m", "exit_code": 1}}
    await world.ship(task_id, epoch, finish=frame_end)

    async def crash() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.store.tasks, "_purge", crash)
    with pytest.raises(KeyboardInterrupt):
        await world.store.tasks.apply(task_id, Reset(), BY)
    await world.store.close()
    async with await Store.open(world.home, world.clock) as store:
        assert (await store.tasks.get(task_id)).state is State.DRAFT
        assert await store.results.scalars(task_id) == {}


async def test_a_second_server_is_refused_and_told_who_holds_the_folder(world: World) -> None:
    with pytest.raises(StoreUnusable, match=f"pid {os.getpid()} .*dray down"):
        await Store.open(world.home, world.clock)
    await world.store.close()
    async with await Store.open(world.home, world.clock):
        pass


async def test_a_folder_that_cannot_be_written_is_refused_with_the_way_out(
    tmp_path: Path, clock: HandClock
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnusable, match="DRAY_HOME"):
        await Store.open(HomePaths(tmp_path / "file"), clock)


@pytest.mark.parametrize("name", ["state.db", "results.db"])
async def test_a_newer_file_is_refused_and_left_as_it_is(
    world: World, name: str, clock: HandClock
) -> None:
    world.is_sound = False
    await world.store.close()
    path = world.home.state_db.with_name(name)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match=r"newer Dray .*99"):
        await Store.open(world.home, clock)
    assert path.read_bytes() == before


async def test_what_is_no_database_is_refused(home: HomePaths, clock: HandClock) -> None:
    home.state_db.parent.mkdir(parents=True)
    home.state_db.write_bytes(b"these are my notes, not a database" * 100)
    with pytest.raises(StoreUnusable, match="not a database"):
        await Store.open(home, clock)
    assert home.state_db.read_bytes().startswith(b"these are my notes")


async def test_a_database_of_another_program_is_refused(home: HomePaths, clock: HandClock) -> None:
    home.state_db.parent.mkdir(parents=True)
    with sqlite3.connect(home.state_db) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    connection.close()
    with pytest.raises(StoreUnusable, match="another program"):
        await Store.open(home, clock)


async def test_a_refused_folder_can_be_opened_once_it_is_put_right(
    home: HomePaths, clock: HandClock
) -> None:
    home.state_db.parent.mkdir(parents=True)
    home.state_db.write_bytes(b"x" * 5000)
    with pytest.raises(StoreUnusable):
        await Store.open(home, clock)
    home.state_db.unlink()
    async with await Store.open(home, clock) as store:
        with pytest.raises(NotFound):
            await store.tasks.get("0" * 32)


def test_a_migration_runs_after_a_snapshot_and_only_once(tmp_path: Path) -> None:
    path, snapshots = tmp_path / "t.db", tmp_path / "snapshots"
    migrate(path, [STEP], snapshots)
    assert not snapshots.exists(), "a new file needs no snapshot"
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    second = Migration(2, "0002_u.sql", "ALTER TABLE t ADD COLUMN y INTEGER DEFAULT 5;")
    for _ in range(2):
        migrate(path, [STEP, second], snapshots)
    (copy,) = snapshots.iterdir()
    with sqlite3.connect(copy) as old, sqlite3.connect(path) as new:
        assert old.execute("SELECT * FROM t").fetchall() == [(1,)]
        assert new.execute("SELECT * FROM t").fetchall() == [(1, 5)]
        assert new.execute("PRAGMA user_version").fetchone() == (2,)
    old.close()
    new.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    migrate(path, [STEP], tmp_path / "snapshots")
    broken = Migration(2, "0002_b.sql", "CREATE TABLE u (x); CREATE TABLE u (x);")
    with pytest.raises(StoreUnusable, match="snapshot"):
        migrate(path, [STEP, broken], tmp_path / "snapshots")
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert (
            connection.execute("SELECT name FROM sqlite_master WHERE name = 'u'").fetchall() == []
        )
    connection.close()


def test_an_old_sqlite_is_refused_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    with pytest.raises(StoreUnusable, match=r"needs 3\.35\.0"):
        migrate(tmp_path / "t.db", [STEP], tmp_path / "snapshots")


@pytest.mark.parametrize("schema", ["state", "results"])
def test_migrations_are_numbered_without_a_gap(schema: str) -> None:
    steps = migrations(schema)
    assert [step.version for step in steps] == list(range(1, len(steps) + 1))


def plans_of(path: Path, statements: list[str]) -> dict[str, list[str]]:
    """SQL → the steps SQLite takes for it, of the statements that have steps."""
    with sqlite3.connect(path) as connection:
        found = {
            sql: [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
            for sql in statements
            if sql.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT")
        }
    connection.close()
    return found


async def test_a_claim_and_a_page_of_a_queue_cost_the_same_whatever_waits(world: World) -> None:
    """No statement of theirs goes through a table: each finds its rows by an index."""
    statements: list[str] = []
    plain_open = sqlite3.connect

    task_id = await world.pending()
    await world.store.close()

    def traced_open(*args: Any, **named: Any) -> sqlite3.Connection:
        connection = plain_open(*args, **named)
        connection.set_trace_callback(statements.append)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced_open)
        world.store = await Store.open(world.home, world.clock)
    async with world.store:
        statements.clear()
        (entry,) = await world.store.queues.pending("gpu", 10)
        await world.store.queues.pending("gpu", 10, sort_key(entry))
        await world.claim(task_id)
    plans = plans_of(world.home.state_db, statements)
    assert len(plans) > 10
    for sql, plan in plans.items():
        scanned = [step for step in plan if step.startswith("SCAN") and "subquery" not in step]
        assert scanned == [], sql
