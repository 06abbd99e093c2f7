"""A store whose folder, clock or files turn against it, and one that was made by an older Dray."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dray.runtime import causes
from dray.runtime.errors import StoreUnusable
from dray.runtime.machine import Enqueue, Finish
from dray.runtime.models import OnLost
from dray.runtime.paths import HomePaths
from dray.runtime.states import State
from dray.runtime.store import Store, StoredReply
from dray.runtime.store.integrity import check_store
from dray.runtime.store.migrate import Migration, migrate, migrations
from tests.contract.conftest import BY, HandClock, World
from tests.file_systems import file_system

DAY_S = 24 * 3600.0


# A folder that cannot be written.


@pytest.fixture
def own_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that can be made read-only; a folder's mode would not stop root."""
    with file_system(tmp_path / "disk", "200m") as folder:
        yield folder


def remount(folder: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


async def test_a_read_only_folder_is_refused_with_the_way_out(
    own_disk: Path, clock: HandClock
) -> None:
    home = HomePaths(own_disk / "home")
    async with await Store.open(home, clock) as store:
        await store.queues.ensure("gpu")
    remount(own_disk, "ro")
    with pytest.raises(StoreUnusable, match=r"cannot be written .*DRAY_HOME"):
        await Store.open(home, clock)
    remount(own_disk, "rw")
    async with await Store.open(home, clock) as store:
        assert [queue.name for queue in await store.queues.list()] == ["gpu"]


# A wall clock that jumps.


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S])
async def test_a_clock_that_jumps_a_day_keeps_order_and_stories(
    world: World, jump_s: float
) -> None:
    """Order is by number, not by time: of a queue, of an audit, of a console."""
    first = await world.pending()
    running, epoch = await world.running()
    world.clock.pass_s(jump_s)
    second = await world.pending()
    entries = await world.store.queues.pending("gpu")
    assert [entry.task_id for entry in entries] == [first, second]
    assert [await world.store.queues.position(i) for i in (first, second)] == [1, 2]
    await world.store.attempts.renew(running, epoch)
    await world.store.tasks.apply(running, Finish(epoch, causes.exited(1)), BY)
    await world.store.tasks.apply(running, Enqueue("gpu"), BY)
    world.clock.pass_s(-2 * jump_s)
    again = await world.claim(running)
    await world.store.tasks.apply(running, Finish(again.epoch, causes.exited(0)), BY)
    assert await world.events(running) == [
        "create",
        "enqueue",
        "claim",
        "fail",
        "enqueue",
        "claim",
        "complete",
    ]
    assert (await world.head(running)).state is State.COMPLETED
    pages: list[str] = []
    cursor: str | None = None
    while cursor is not None or not pages:
        page = await world.store.audit.list(running, cursor, limit=2)
        pages += [entry.event for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(pages) == 7, "a page goes on where the one before ended"


async def test_a_clock_that_jumps_never_answers_a_key_with_something_else(world: World) -> None:
    """At worst an answer is forgotten early or kept longer; it is never another's."""
    reply = StoredReply("print-1", 201, "{}")
    await world.store.idempotency.put("key", reply)
    world.clock.pass_s(-DAY_S)
    assert await world.store.idempotency.get("key") == reply
    await world.store.idempotency.put("other", StoredReply("print-2", 201, "[]"))
    assert await world.store.idempotency.get("key") == reply
    world.clock.pass_s(2 * DAY_S + 1)
    assert await world.store.idempotency.get("key") is None
    await world.store.idempotency.put("key", StoredReply("print-3", 200, "{}"))
    world.clock.pass_s(-DAY_S)
    assert (await world.store.idempotency.get("key")) == StoredReply("print-3", 200, "{}")


# Files that are damaged.


@pytest.mark.parametrize("name", ["state.db", "results.db"])
async def test_a_damaged_database_is_refused_with_the_command_that_restores(
    world: World, name: str
) -> None:
    world.is_sound = False
    await world.running()
    await world.store.close()
    path = world.home.state_db.with_name(name)
    data = bytearray(path.read_bytes())
    data[100:2000] = b"\xff" * 1900  # the page that says which tables there are
    path.write_bytes(data)
    with pytest.raises(StoreUnusable, match="dray backup restore FILE --force"):
        await Store.open(world.home, world.clock)
    assert path.read_bytes() == bytes(data), "nobody makes it worse"


async def test_damage_that_is_found_later_is_told_with_the_same_command(world: World) -> None:
    world.is_sound = False
    task_id = (await world.draft()).id
    await world.store.close()
    with closing(sqlite3.connect(world.home.state_db)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'documents'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    data = bytearray(world.home.state_db.read_bytes())
    data[(page - 1) * size : page * size] = b"\xff" * size
    world.home.state_db.write_bytes(data)
    async with await Store.open(world.home, world.clock) as store:
        with pytest.raises(StoreUnusable, match=r"damaged .*dray backup restore FILE --force"):
            await store.tasks.get(task_id)
    assert not (await asyncio.to_thread(check_store, world.home)).ok


# A store that an older Dray made.

ID = "{:032x}"
V1_TASKS = [
    # id, state, phase, epoch, agent, claim, lease, queue, n_requeues, on_lost, cause, ended
    (1, "running", "executing", 1, "agent-1", "c1", 50.0, "gpu", 2, "wait", None, None),
    (2, "pending", None, 0, "", "", None, "gpu", 0, "requeue", None, None),
    (3, "completed", None, 1, "", "", None, "gpu", 0, "requeue", "CAUSE", 40.0),
    (4, "draft", None, 0, "", "", None, "", 0, "requeue", None, None),
]
V1_AUDIT = {
    1: [("create", "draft", "draft", 0), ("enqueue", "draft", "pending", 0),
        ("claim", "pending", "running", 1)],
    2: [("create", "draft", "draft", 0), ("enqueue", "draft", "pending", 0)],
    3: [("create", "draft", "draft", 0), ("start", "draft", "running", 1),
        ("complete", "running", "completed", 1)],
    4: [("create", "draft", "draft", 0)],
}  # fmt: skip
CAUSE = json.dumps({"kind": "exit_code", "message": "exited with code 0", "exit_code": 0})


def make_version_1(home: HomePaths) -> None:
    """A state.db as the first Dray left it, with a task in each of four states."""
    home.state_db.parent.mkdir(parents=True)
    first = [step for step in migrations("state") if step.version == 1]
    migrate(home.state_db, first, home.snapshots)
    with closing(sqlite3.connect(home.state_db)) as db, db:
        db.execute("INSERT INTO projects VALUES ('p', 'vision', 1.0, 'kept')")
        db.execute("INSERT INTO queues VALUES ('q', 'gpu', 1.0, 1)")
        for n, state, phase, epoch, agent, claim, lease, queue, lost, policy, why, end in V1_TASKS:
            cause = CAUSE if why else None
            head = (state, phase, epoch, agent, claim, lease, queue, lost, policy, cause, end)
            db.execute(
                "INSERT INTO tasks (id, name, project_id, type, state, phase, epoch, agent, "
                "claim_id, lease_expires_at, queue, n_requeues, on_lost, max_requeues, cause, "
                "created_at, updated_at, ended_at) "
                "VALUES (?, ?, 'p', 'training', ?, ?, ?, ?, ?, ?, ?, ?, ?, 5, ?, 1.0, 2.0, ?)",
                (ID.format(n), f"task {n}", *head),
            )
            db.execute(
                "INSERT INTO documents (task_id, execution) VALUES (?, ?)",
                (ID.format(n), json.dumps({"entry_point": "train.py", "resources": {}})),
            )
            db.execute("INSERT INTO tags VALUES (?, 'kept', 0)", (ID.format(n),))
            if epoch:
                db.execute(
                    "INSERT INTO attempts (task_id, epoch, agent, node, kind, claim_id, "
                    "lease_ttl_s, claimed_at, ended_at, cause) "
                    "VALUES (?, 1, 'agent-1', 'node', 'agent', 'c1', 30, 20.0, ?, ?)",
                    (ID.format(n), end, cause),
                )
            for event, before, after, at in V1_AUDIT[n]:
                db.execute(
                    "INSERT INTO audit (at, task_id, event, from_state, to_state, by, epoch, "
                    "request_id) VALUES (1.0, ?, ?, ?, ?, 'user', ?, '')",
                    (ID.format(n), event, before, after, at),
                )
        db.execute(
            "INSERT INTO queue_entries (task_id, queue, priority, enqueued_at, resources, owner) "
            "VALUES (?, 'gpu', 0, 2.0, '{}', '')",
            (ID.format(2),),
        )


async def test_a_version_1_store_is_saved_and_brought_up_with_nothing_lost(
    home: HomePaths, clock: HandClock
) -> None:
    make_version_1(home)
    async with await Store.open(home, clock) as store:
        running = await store.tasks.get(ID.format(1))
        assert (running.state, running.epoch, running.n_requeues) == (State.RUNNING, 1, 2)
        assert (running.policy.on_lost, running.policy.max_requeues) == (OnLost.WAIT, 5)
        assert (running.policy.retries, running.tags, running.project) == (0, ["kept"], "vision")
        (attempt,) = await store.attempts.open()
        assert (attempt.task_id, attempt.agent) == (ID.format(1), "agent-1")
        (entry,) = await store.queues.pending("gpu")
        assert (entry.task_id, entry.not_before) == (ID.format(2), None)
        done = await store.tasks.get(ID.format(3))
        assert done.cause is not None
        assert done.cause.exit_code == 0
        assert len((await store.audit.list(ID.format(1))).items) == 3
        await store.attempts.renew(ID.format(1), 1)
        await store.tasks.apply(ID.format(1), Finish(1, causes.exited(1)), BY)
        assert (await store.tasks.head(ID.format(1))).state is State.FAILED
    report = await asyncio.to_thread(check_store, home)
    assert report.ok, [check for check in report.checks if not check.ok]

    (saved,) = home.snapshots.glob("state-v1-*.db")
    with closing(sqlite3.connect(saved)) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (1,)
        assert old.execute("SELECT COUNT(*) FROM tasks").fetchone() == (4,)
        assert old.execute("SELECT on_lost FROM tasks WHERE state = 'running'").fetchone() == (
            "wait",
        )


async def test_a_step_that_fails_leaves_the_old_schema_and_all_data(home: HomePaths) -> None:
    make_version_1(home)
    broken = Migration(
        2, "0002_broken.sql", "UPDATE tasks SET name = 'lost'; INSERT INTO nowhere VALUES (1);"
    )
    steps = [migrations("state")[0], broken]
    with pytest.raises(StoreUnusable, match="no such table"):
        await asyncio.to_thread(migrate, home.state_db, steps, home.snapshots)
    with closing(sqlite3.connect(home.state_db)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        names = {name for (name,) in connection.execute("SELECT name FROM tasks")}
    assert names == {f"task {n}" for n in range(1, 5)}
