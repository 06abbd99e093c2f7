"""Every invariant of a store has a forgery that its check finds, and a sound store has none."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dray.runtime import causes
from dray.runtime.errors import NotFound, StoreUnusable
from dray.runtime.execution import Execution
from dray.runtime.machine import Enqueue, Finish, Publish
from dray.runtime.paths import HomePaths
from dray.runtime.records import Chunk
from dray.runtime.snapshots import FileEntry, encode_manifest
from dray.runtime.states import State
from dray.runtime.store import Store
from dray.runtime.store.integrity import CHECKS, SHOWN, check_store
from dray.runtime.store.integrity_audit import Step, faults
from dray.runtime.store.integrity_files import index_fault
from tests.contract.conftest import BY, HandClock, World, finish_of

OUTPUT = b"line 1\nline 2\nline 3\n"


async def fill(home: HomePaths) -> dict[str, str]:
    """A store with a task in every state, one of them with every kind of output."""
    clock = HandClock()
    async with await Store.open(home, clock) as store:
        world = World(home, clock, store)
        code = await store.blobs.put(b"print('hello')\n")
        manifest = encode_manifest([FileEntry("train.py", code, 15)])
        execution = Execution(entry_point="train.py", snapshot=await store.blobs.put(manifest))
        done, epoch = await world.running(execution=execution)
        model = b"weights"
        sha256 = await store.blobs.put(model)
        await world.record(done, epoch, "scalar", title="loss", series="train", i=1, v=0.5)
        members = {"name": "model", "type": "file", "sha256": sha256, "n_bytes": len(model)}
        await world.record(done, epoch, "artifact", **members)
        members = {"name": "far", "type": "custom", "sha256": "f" * 64, "uri": "s3://bucket/far"}
        await world.record(done, epoch, "artifact", **members)
        image = await store.blobs.put(b"pixels")
        members = {"filename": "a.png", "content_type": "image/png", "sha256": image, "n_bytes": 6}
        await world.record(done, epoch, "media", title="seen", series="a", i=1, **members)
        await world.ship(done, epoch, Chunk("stdout", 0, OUTPUT[:7]))
        end = finish_of(causes.exited(0), stdout=OUTPUT)
        await world.ship(done, epoch, Chunk("stdout", 7, OUTPUT[7:]), finish=end)
        tasks = {"completed": done, "running": await world.in_state(State.RUNNING)}
        tasks |= {"pending": await world.pending(), "draft": (await world.draft()).id}
        tasks["failed"] = await world.ended(causes.exited(1))
        again = await world.ended(causes.exited(1))
        await store.tasks.apply(again, Enqueue("gpu"), BY)
        second = await world.claim(again)
        await store.tasks.apply(again, Finish(second.epoch, causes.exited(0)), BY)
        await store.tasks.apply(again, Publish(), BY)
        for state in State:
            await world.in_state(state)
    return tasks


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[HomePaths, dict[str, str]]:
    home = HomePaths(tmp_path_factory.mktemp("integrity") / "home")
    return home, asyncio.run(fill(home))


class Forge:
    """A copy of the filled store, to be spoilt."""

    def __init__(self, home: HomePaths, ids: dict[str, str]) -> None:
        self.home = home
        self.ids = ids

    def state(self, sql: str, *, check_references: bool = True) -> None:
        self._run(self.home.state_db, sql, check_references=check_references)

    def results(self, sql: str) -> None:
        self._run(self.home.results_db, sql, check_references=False)

    def _run(self, path: Path, sql: str, *, check_references: bool) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA foreign_keys = {int(check_references)}")
            cursor = connection.execute(sql, self.ids if ":" in sql else {})
            assert cursor.rowcount != 0, f"a forgery that changes nothing: {sql}"

    def console(self) -> Path:
        return self.home.console_stream(self.ids["completed"], 1, "stdout")

    def blob(self, data: bytes) -> Path:
        sha256 = hashlib.sha256(data).hexdigest()
        return self.home.blobs / sha256[:2] / sha256


@pytest.fixture
def forge(filled: tuple[HomePaths, dict[str, str]], tmp_path: Path) -> Forge:
    home, ids = filled
    copy = HomePaths(tmp_path / "home")
    shutil.copytree(home.root, copy.root, ignore=shutil.ignore_patterns("ballast"))
    return Forge(copy, ids)


def damage_page(forge: Forge, path: Path) -> None:
    """Overwrite a page of an index or table in the middle of a file."""
    with path.open("r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xff" * 2048)


def by_sql(sql: str) -> Callable[[Forge], None]:
    return lambda forge: forge.state(sql)


SET = "UPDATE tasks SET "
ATTEMPT = (
    "INSERT INTO attempts (task_id, epoch, agent, node, kind, claim_id, lease_ttl_s, claimed_at, "
    "ended_at, cause) "
)

FORGERIES: list[tuple[str, Callable[[Forge], None]]] = [
    ("state_file", lambda forge: damage_page(forge, forge.home.state_db)),
    ("results_file", lambda forge: damage_page(forge, forge.home.results_db)),
    (
        "state_references",
        lambda forge: forge.state("DELETE FROM tasks WHERE id = :draft", check_references=False),
    ),
    (
        "results_references",
        lambda forge: forge.results("INSERT INTO chunks VALUES (999, 99, 1, 0, 0, '', '', '')"),
    ),
    ("known_states", by_sql(SET + "state = 'paused' WHERE id = :draft")),
    ("known_states", by_sql(SET + "phase = 'thinking' WHERE id = :running")),
    ("known_states", by_sql(SET + "phase_before = 'executing' WHERE id = :running")),
    ("running_is_leased", by_sql(SET + "lease_expires_at = NULL WHERE id = :running")),
    ("running_is_leased", by_sql(SET + "agent = '' WHERE id = :running")),
    ("running_is_leased", by_sql(SET + "claim_id = '' WHERE id = :running")),
    ("running_is_leased", by_sql(SET + "phase = NULL WHERE id = :running")),
    ("running_is_leased", by_sql(SET + "lease_expires_at = 5 WHERE id = :failed")),
    ("running_is_leased", by_sql(SET + "agent = 'agent-1' WHERE id = :pending")),
    ("running_is_open", by_sql("UPDATE attempts SET agent = 'other' WHERE task_id = :running")),
    ("running_is_open", by_sql("UPDATE attempts SET claim_id = 'x' WHERE task_id = :running")),
    (
        "running_is_open",
        by_sql("UPDATE attempts SET ended_at = 5, cause = '{}' WHERE task_id = :running"),
    ),
    ("running_is_open", by_sql("UPDATE attempts SET ended_at = NULL WHERE task_id = :failed")),
    (
        "one_open_attempt",
        by_sql(ATTEMPT + "VALUES (:running, 2, 'a', 'n', 'agent', 'c', 30, 1, NULL, NULL)"),
    ),
    (
        "claimed_once",
        by_sql(
            ATTEMPT + "SELECT task_id, 2, agent, node, kind, claim_id, 30, 1, 2, '{}' "
            "FROM attempts WHERE task_id = :failed"
        ),
    ),
    ("pending_is_queued", by_sql("DELETE FROM queue_entries WHERE task_id = :pending")),
    (
        "pending_is_queued",
        by_sql("UPDATE queue_entries SET queue = 'other' WHERE task_id = :pending"),
    ),
    (
        "pending_is_queued",
        by_sql("UPDATE queue_entries SET priority = 9 WHERE task_id = :pending"),
    ),
    (
        "pending_is_queued",
        by_sql("UPDATE queue_entries SET task_id = :running WHERE task_id = :pending"),
    ),
    ("pending_is_queued", by_sql("DELETE FROM queues WHERE name = 'gpu'")),
    ("ends_are_caused", by_sql(SET + "cause = NULL WHERE id = :failed")),
    ("ends_are_caused", by_sql(SET + "ended_at = NULL WHERE id = :completed")),
    ("ends_are_caused", by_sql(SET + "ended_at = 5 WHERE id = :running")),
    ("ends_are_caused", by_sql("UPDATE attempts SET cause = NULL WHERE task_id = :failed")),
    (
        "drafts_are_idle",
        by_sql("UPDATE queue_entries SET task_id = :draft WHERE task_id = :pending"),
    ),
    ("epochs_are_contiguous", by_sql("DELETE FROM attempts WHERE task_id = :failed")),
    (
        "epochs_are_contiguous",
        by_sql("UPDATE attempts SET epoch = 2 WHERE task_id = :failed"),
    ),
    ("only_pending_waits", by_sql(SET + "not_before = 5 WHERE id = :running")),
    ("budgets_are_kept", by_sql(SET + "n_requeues = 4 WHERE id = :failed")),
    ("budgets_are_kept", by_sql(SET + "n_retries = 1 WHERE id = :running")),
    ("purges_spare_the_living", by_sql("INSERT INTO purges VALUES (:completed, 1)")),
    (
        "audit_chain",
        by_sql("UPDATE audit SET to_state = 'aborted' WHERE task_id = :failed AND event = 'fail'"),
    ),
    ("audit_chain", by_sql("DELETE FROM audit WHERE task_id = :completed AND event = 'claim'")),
    ("points_are_counted", lambda forge: forge.results("UPDATE chunks SET vals = x'00'")),
    ("points_are_counted", lambda forge: forge.results("UPDATE series SET n_points = 2")),
    ("points_are_counted", lambda forge: forge.results("DELETE FROM chunks")),
    ("audit_chain", by_sql("DELETE FROM audit WHERE task_id = :draft")),
    ("audit_chain", by_sql("UPDATE audit SET event = 'requeue' WHERE event = 'publish'")),
    (
        "audit_chain",
        by_sql("UPDATE audit SET epoch = 7 WHERE task_id = :failed AND event = 'claim'"),
    ),
    (
        "outputs_owned",
        lambda forge: forge.results("UPDATE offsets SET epoch = 2 WHERE task_id = :completed"),
    ),
    (
        "outputs_owned",
        lambda forge: forge.results("INSERT INTO singles VALUES ('gone', 'x', 1, 0.5, 1)"),
    ),
    (
        "console_index",
        lambda forge: forge.results(
            "UPDATE console SET n_bytes = 8 WHERE task_id = :completed AND offset = 0"
        ),
    ),
    (
        "console_index",
        lambda forge: forge.results("DELETE FROM console WHERE task_id = :completed"),
    ),
    (
        "console_index",
        lambda forge: forge.results(
            "UPDATE offsets SET n_bytes = n_bytes + 1 WHERE stream = 'stdout'"
        ),
    ),
    ("console_files", lambda forge: forge.console().write_bytes(OUTPUT[:-1])),
    ("console_files", lambda forge: forge.console().unlink()),
    ("receipts", lambda forge: forge.console().write_bytes(OUTPUT.replace(b"2", b"5"))),
    ("blobs_there", lambda forge: forge.blob(b"weights").unlink()),
    ("blobs_there", lambda forge: forge.blob(b"pixels").unlink()),
    ("blobs_there", lambda forge: forge.blob(b"print('hello')\n").unlink()),
    ("blobs_true", lambda forge: forge.blob(b"weights").write_bytes(b"weightz")),
]


def test_a_sound_store_breaks_nothing(forge: Forge) -> None:
    report = check_store(forge.home, deep=True)
    assert [check for check in report.checks if not check.ok] == []
    assert report.ok
    assert [check.name for check in report.checks] == [check.name for check in CHECKS]


@pytest.mark.parametrize(
    ("name", "spoil"), FORGERIES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(FORGERIES)]
)
def test_a_forged_store_is_found_out(
    forge: Forge, name: str, spoil: Callable[[Forge], None]
) -> None:
    spoil(forge)
    report = check_store(forge.home, deep=True)
    assert not report.ok
    (check,) = [check for check in report.checks if check.name == name]
    assert not check.ok
    assert check.n_violations >= 1
    assert check.violations


def test_every_check_has_a_forgery() -> None:
    assert {name for name, _ in FORGERIES} == {check.name for check in CHECKS}


def test_a_violation_names_the_task_and_what_was_seen(forge: Forge) -> None:
    forge.state(SET + "lease_expires_at = NULL WHERE id = :running")
    report = check_store(forge.home)
    (check,) = [check for check in report.checks if not check.ok]
    assert check.violations == [f"{forge.ids['running']}: running without lease"]


def test_many_violations_are_counted_and_the_first_are_named(forge: Forge) -> None:
    forge.state("UPDATE tasks SET cause = NULL")
    forge.state(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) "
        "INSERT INTO tasks (id, name, project_id, type, state, created_at, updated_at) "
        "SELECT printf('%032x', i), 't', (SELECT id FROM projects), 'training', 'failed', 1, 1 "
        "FROM n"
    )
    (check,) = [c for c in check_store(forge.home).checks if c.name == "ends_are_caused"]
    assert check.n_violations > 100
    assert len(check.violations) == SHOWN


def test_blobs_are_read_on_demand_only(forge: Forge) -> None:
    forge.blob(b"weights").write_bytes(b"weightz")
    assert check_store(forge.home).ok
    assert not check_store(forge.home, deep=True).ok


async def test_a_store_that_is_served_is_checked_beside_it(world: World) -> None:
    task_id, _ = await world.running()
    report = await asyncio.to_thread(check_store, world.home)
    assert report.ok
    await world.store.tasks.delete(task_id, BY, force=True)


def test_no_store_and_another_schema_are_refused(forge: Forge, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no store"):
        check_store(HomePaths(tmp_path / "nothing"))
    forge.state("PRAGMA user_version = 1")
    with pytest.raises(StoreUnusable, match="start it once"):
        check_store(forge.home)
    forge.state("PRAGMA user_version = 99")
    with pytest.raises(StoreUnusable, match="update Dray"):
        check_store(forge.home)
    forge.home.state_db.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreUnusable, match="dray backup restore"):
        check_store(forge.home)


CREATED = Step("create", "draft", "draft", 0)


@pytest.mark.parametrize(
    ("steps", "state", "epoch", "fault"),
    [
        ([CREATED], "draft", 0, None),
        ([CREATED, Step("hand_over", "running", "pending", 1)], "pending", 1, "began running"),
        ([CREATED, Step("start", "draft", "running", 1)], "running", 1, None),
        (
            [
                CREATED,
                Step("start", "draft", "running", 1),
                Step("hand_over", "running", "pending", 1),
            ],
            "pending",
            1,
            None,
        ),
        ([CREATED, Step("claim", "draft", "running", 1)], "running", 1, "no step there is"),
        ([CREATED, Step("reset", "completed", "draft", 1)], "draft", 1, "began completed"),
        ([Step("fail", "running", "failed", 1)], "failed", 1, "begins running"),
        ([CREATED], "pending", 0, "last step ended draft"),
        ([CREATED], "draft", 1, "its last step was at attempt 0"),
        ([], "draft", 0, "nothing was written down"),
    ],
)
def test_the_story_of_a_task(steps: list[Step], state: str, epoch: int, fault: str | None) -> None:
    found = list(faults(steps, state, epoch))
    assert found == [] if fault is None else any(fault in one for one in found)


@pytest.mark.parametrize(
    ("pieces", "accepted", "fault"),
    [
        ([(0, 5, 0, None), (5, 5, 0, None)], 10, ""),
        ([(0, 5, 0, None), (105, 5, 100, 5)], 110, ""),
        ([(0, 5, 0, None), (10, 0, 5, 5)], 10, ""),
        ([(0, 5, 0, None), (6, 4, 0, None)], 10, "begins at 6, expected was 5"),
        ([(0, 5, 0, None), (4, 6, 0, None)], 10, "begins at 4"),
        ([(0, 5, 0, None), (105, 5, 100, 105)], 110, "lies at 105, expected was 5"),
        ([(0, 5, 0, None)], 6, "end at 5, accepted are 6"),
    ],
)
def test_the_pieces_of_a_stream(
    pieces: list[tuple[int, int, int, int | None]], accepted: int, fault: str
) -> None:
    found = index_fault(pieces, accepted)
    assert found == fault if not fault else fault in found
