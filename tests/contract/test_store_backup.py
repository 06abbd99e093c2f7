"""Backups: one file of one moment, made while the store works; tried, refused, restored."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dray.runtime import causes, tokens
from dray.runtime.causes import CauseKind
from dray.runtime.errors import (
    Conflict,
    DrayError,
    InsufficientStorage,
    InvalidInput,
    NotFound,
    StaleEpoch,
    StoreUnusable,
)
from dray.runtime.machine import Finish, Reset
from dray.runtime.models import OnLost, Policy
from dray.runtime.paths import HomePaths
from dray.runtime.records import Chunk
from dray.runtime.states import State
from dray.runtime.store import Store, TaskQuery, series
from dray.runtime.store import backup as backup_module
from dray.runtime.store.backup_format import FORMAT, Manifest
from dray.runtime.store.console import Console
from dray.runtime.store.restore import create, restore, verify
from tests.contract.conftest import BY, TTL_S, HandClock, World, finish_of

OUTPUT = b"first\nsecond\n"


async def finished(world: World) -> str:
    """A task with console, scalar and artifact."""
    task_id, epoch = await world.running()
    sha256 = await world.store.blobs.put(b"weights")
    await world.record(task_id, epoch, "scalar", title="loss", series="train", i=1, v=0.5)
    members = {"name": "model", "type": "file", "sha256": sha256, "n_bytes": 7}
    await world.record(task_id, epoch, "artifact", **members)
    end = finish_of(causes.exited(0), stdout=OUTPUT)
    await world.ship(task_id, epoch, Chunk("stdout", 0, OUTPUT), finish=end)
    return task_id


def read(path: str) -> bytes:
    return Path(path).read_bytes()


async def back_up(store: Store, target: Path) -> Path:
    async with store.backup() as blocks:
        await asyncio.to_thread(lambda: target.write_bytes(b"".join(blocks)))
    return target


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backup.tar"


@pytest.fixture
def other(tmp_path: Path) -> HomePaths:
    return HomePaths(tmp_path / "other")


async def test_a_restored_store_is_the_one_that_was_backed_up(
    world: World, file: Path, other: HomePaths
) -> None:
    done = await finished(world)
    pending, draft = await world.pending(), (await world.draft()).id
    before = {i: await world.store.tasks.get(i) for i in (done, pending, draft)}
    await back_up(world.store, file)
    report = await asyncio.to_thread(verify, file)
    assert report.integrity.ok
    assert (report.n_blobs, report.n_streams) == (1, 1)

    restored = await asyncio.to_thread(restore, file, other)
    assert (restored.kept, restored.n_closed) == ("", 0)
    assert restored.backup.integrity.ok
    async with await Store.open(other, world.clock) as store:
        assert {i: await store.tasks.get(i) for i in before} == before
        console = await store.console.raw(done, 1, "stdout")
        assert (read(console.path), console.n_bytes) == (OUTPUT, len(OUTPUT))
        assert (await store.results.scalars(done))["loss"]["train"].values == [0.5]
        assert (await store.blobs.path(before[done].artifacts[0].sha256)).read_bytes() == b"weights"
        assert [e.task_id for e in await store.queues.pending("gpu")] == [pending]


async def test_a_backup_shows_one_moment_whatever_happens_while_it_is_written(
    world: World, file: Path, other: HomePaths
) -> None:
    """Work goes on between any two blocks: bytes, ends, new attempts, a reset."""
    reset = await finished(world)
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"before"))
    data = bytearray()
    async with world.store.backup() as blocks:
        for i, block in enumerate(blocks):
            data += block
            if i == 0:
                await world.store.tasks.apply(reset, Reset(), BY)
                end = finish_of(causes.exited(0), stdout=b"before, after")
                await world.ship(task_id, epoch, Chunk("stdout", 6, b", after"), finish=end)
                later, _ = await world.running()
                await world.store.blobs.put(b"later")
    assert await world.store.results.scalars(reset) == {}, "what was given up went afterwards"
    await asyncio.to_thread(file.write_bytes, data)
    assert (await asyncio.to_thread(verify, file)).integrity.ok
    await asyncio.to_thread(restore, file, other)
    async with await Store.open(other, world.clock) as store:
        assert (await store.tasks.get(reset)).state is State.COMPLETED
        console = await store.console.raw(task_id, epoch, "stdout")
        assert read(console.path) == b"before", "not a byte beyond the moment"
        with pytest.raises(NotFound):
            await store.tasks.get(later)


async def test_backups_of_a_busy_store_are_sound(world: World, tmp_path: Path) -> None:
    stop = asyncio.Event()

    async def work() -> None:
        while not stop.is_set():
            task_id = await finished(world)
            await world.store.tasks.apply(task_id, Reset(), BY)
            await finished(world)

    workers = [asyncio.create_task(work()) for _ in range(3)]
    for i in range(3):
        made = await back_up(world.store, tmp_path / f"{i}.tar")
        assert (await asyncio.to_thread(verify, made)).integrity.ok, i
    stop.set()
    await asyncio.gather(*workers)


async def test_a_backup_waits_for_what_is_half_deleted(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id, moments = await finished(world), backup_module.Moment
    deleting, opened, removed = (threading.Event() for _ in range(3))
    drop_points, open_moment, remove = series.drop_points, moments.open, Console.remove

    async def slowly(*arguments: Any) -> None:
        deleting.set()
        opened.wait(0.3)  # a backup that does not wait has come by now
        await drop_points(*arguments)

    def note(home: Any) -> backup_module.Moment:
        moment = open_moment(home)
        opened.set()
        assert removed.wait(10)  # its databases would still name files that are gone
        return moment

    def note_removal(self: Console, *arguments: Any) -> None:
        remove(self, *arguments)
        removed.set()

    monkeypatch.setattr(series, "drop_points", slowly)
    monkeypatch.setattr(moments, "open", note)
    monkeypatch.setattr(Console, "remove", note_removal)
    resetting = asyncio.create_task(world.store.tasks.apply(task_id, Reset(), BY))
    assert await asyncio.to_thread(deleting.wait, 10)
    made = await back_up(world.store, tmp_path / "made.tar")
    await resetting
    assert (await asyncio.to_thread(verify, made)).integrity.ok


async def test_writers_go_on_while_a_backup_is_under_way(world: World) -> None:
    async with world.store.backup() as blocks:
        next(blocks)
        task_id, epoch = await world.running()
        await world.store.attempts.renew(task_id, epoch)
        await world.store.tasks.apply(task_id, Finish(epoch, causes.exited(0)), BY)


async def test_a_backup_that_is_broken_off_leaves_nothing(world: World) -> None:
    async with world.store.backup() as blocks:
        next(blocks)
    assert list(world.home.state_db.parent.glob("backup-*")) == []
    (world.home.state_db.parent / "backup-crashed").mkdir()
    await world.store.close()
    async with await Store.open(world.home, world.clock):
        assert list(world.home.state_db.parent.glob("backup-*")) == []


async def test_what_ran_on_agents_is_not_believed_to_run_after_a_restore(
    world: World, file: Path, other: HomePaths
) -> None:
    requeued, _ = await world.running()
    failed, _ = await world.running(policy=Policy(on_lost=OnLost.WAIT))
    local = await world.draft()
    await world.store.attempts.start_local(local.id, "local:me", "me", "claim", TTL_S, BY)
    await back_up(world.store, file)
    report = await asyncio.to_thread(restore, file, other)
    assert report.n_closed == 2
    async with await Store.open(other, world.clock) as store:
        heads = await store.tasks.heads([requeued, failed, local.id])
        assert heads[requeued].state is State.PENDING
        assert heads[requeued].n_requeues == 1
        assert heads[failed].state is State.FAILED
        cause = heads[failed].cause
        assert cause is not None
        assert cause.kind is CauseKind.WORKER_LOST
        assert "restored from a backup of" in str(cause.evidence)
        assert heads[local.id].state is State.RUNNING, "`dray sync` can still bring it"
        entry = (await store.audit.list(requeued)).items[-1]
        assert (entry.event, entry.by) == ("requeue", "dray backup restore")
        # The attempt from before the backup comes back late, with a token or by hand.
        with pytest.raises(StaleEpoch):
            await store.attempts.renew(requeued, 1)
        with pytest.raises(StaleEpoch):
            await store.tasks.apply(requeued, Finish(1, causes.exited(0)), BY)


async def test_tokens_of_the_old_store_are_worth_nothing_after_a_restore(
    world: World, file: Path
) -> None:
    """An attempt claimed after the backup may have the epoch that the restored store gives next."""
    secret = tokens.read_or_create(world.home.token)
    task_id, _ = await world.running()
    await back_up(world.store, file)
    await world.store.close()
    report = await asyncio.to_thread(lambda: restore(file, world.home, force=True))
    later = tokens.mint_task_token(secret, task_id, 2)
    anew = tokens.read_or_create(world.home.token)
    assert anew != secret
    assert tokens.verify(anew, later) is None
    assert (Path(report.kept) / "token").read_text().strip() == secret, "kept, as all of the old"


async def test_a_store_is_replaced_by_force_only_and_kept(
    world: World, file: Path, clock: HandClock
) -> None:
    await back_up(world.store, file)
    later = await finished(world)
    spool = world.home.spool(later)
    spool.mkdir(parents=True)
    with pytest.raises(StoreUnusable, match=f"pid {os.getpid()}"):
        restore(file, world.home, force=True)
    await world.store.close()
    with pytest.raises(Conflict, match="--force"):
        restore(file, world.home)
    report = await asyncio.to_thread(lambda: restore(file, world.home, force=True))
    kept = Path(report.kept)
    assert kept.parent == world.home.root
    assert kept.name.startswith("before-restore-2")
    assert spool.is_dir(), "runs started here can still be brought"
    async with await Store.open(world.home, clock) as store:
        assert (await store.tasks.list(TaskQuery())).items == []
    async with await Store.open(HomePaths(kept), clock) as old:
        assert (await old.tasks.get(later)).state is State.COMPLETED
    assert sorted(p.name for p in world.home.root.iterdir() if p.name.startswith("unp")) == []


async def test_an_exchange_that_was_broken_off_is_seen_and_done_again(
    world: World, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = await finished(world)
    await back_up(world.store, file)
    await world.store.close()
    rename, n_left = Path.rename, 4

    def fail_halfway(self: Path, target: Path) -> Path:
        nonlocal n_left
        n_left -= 1
        if n_left < 0:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail_halfway)
        with pytest.raises(StoreUnusable, match="run the same command again"):
            await asyncio.to_thread(lambda: restore(file, world.home, force=True))
    with pytest.raises(StoreUnusable, match="being restored"):
        await Store.open(world.home, world.clock)
    await asyncio.to_thread(lambda: restore(file, world.home, force=True))
    async with await Store.open(world.home, world.clock) as store:
        assert (await store.tasks.get(task_id)).state is State.COMPLETED
    kept = list(world.home.root.glob("before-restore-*/store/state.db"))
    assert len(kept) == 1, "nothing was lost on the way"


async def test_a_store_that_nobody_serves_is_backed_up_as_well(
    world: World, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnusable, match="in use"):
        create(world.home, file)
    await finished(world)
    await world.store.close()
    create(world.home, file)
    assert verify(file).integrity.ok
    with pytest.raises(FileExistsError):
        create(world.home, file)
    with pytest.raises(NotFound, match="no store"):
        create(HomePaths(tmp_path / "nothing"), tmp_path / "nothing.tar")


async def test_no_room_for_the_copies_is_told_before_a_byte_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_module, "free_bytes", lambda _: 1000)
    with pytest.raises(InsufficientStorage, match="make room"):
        async with world.store.backup():
            pass


async def test_a_console_file_that_is_too_short_is_told_before_a_byte_is_sent(
    world: World,
) -> None:
    world.is_sound = False
    task_id = await finished(world)
    world.home.console_stream(task_id, 1, "stdout").write_bytes(b"first")
    with pytest.raises(StoreUnusable, match="dray doctor --store"):
        async with world.store.backup():
            pass
    await world.store.close()


# Files that are no whole backup.


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    home = HomePaths(folder / "home")
    clock = HandClock()

    async def make() -> None:
        async with await Store.open(home, clock) as store:
            await finished(World(home, clock, store))
            await back_up(store, folder / "sound.tar")

    asyncio.run(make())
    return folder / "sound.tar"


Members = list[tuple[tarfile.TarInfo, bytes]]


def read_members(file: Path) -> Members:
    with tarfile.open(file) as archive:
        found: Members = []
        for info in archive:
            content = archive.extractfile(info)
            assert content is not None
            found.append((info, content.read()))
    return found


def write_members(file: Path, members: Members) -> None:
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data))


def extra(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> Callable[[Members], None]:
    def add(members: Members) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        members.insert(2, (info, b"x"))

    return add


def change_manifest(change: Callable[[dict[str, object]], None]) -> Callable[[Members], None]:
    def apply(members: Members) -> None:
        info, data = members.pop()
        document = json.loads(data)
        change(document)
        members.append((info, json.dumps(document).encode()))

    return apply


def change_database(members: Members) -> None:
    info, data = members[1]
    members[1] = (info, data[:-1] + bytes([data[-1] ^ 1]))


def twice(members: Members) -> None:
    members.insert(2, members[2])


def without(i: int) -> Callable[[Members], None]:
    return lambda members: members.pop(i) and None


BLOB = "blobs/aa/" + 64 * "a"


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (without(-1), InvalidInput, "cut off"),
        (without(0), InvalidInput, "no backup of Dray"),
        (without(1), InvalidInput, r"no store/state\.db"),
        (without(3), InvalidInput, "missing or one too many"),
        (twice, InvalidInput, "twice"),
        (change_database, InvalidInput, r"'store/state\.db' is not what was backed up"),
        (extra("../../etc/cron.d/x"), InvalidInput, "which no backup has"),
        (extra("/etc/passwd"), InvalidInput, "which no backup has"),
        (extra("store/../../x"), InvalidInput, "which no backup has"),
        (extra("token"), InvalidInput, "which no backup has"),
        (extra(BLOB), InvalidInput, "one too many"),
        (extra(BLOB, tarfile.SYMTYPE, "/etc/passwd"), InvalidInput, "which no backup has"),
        (extra(BLOB, tarfile.LNKTYPE, "/etc/passwd"), InvalidInput, "which no backup has"),
        (extra("store", tarfile.DIRTYPE), InvalidInput, "which no backup has"),
        (extra(BLOB, tarfile.FIFOTYPE), InvalidInput, "which no backup has"),
        (extra(BLOB, tarfile.CHRTYPE), InvalidInput, "which no backup has"),
        (change_manifest(lambda m: m.update(format=FORMAT + 1)), StoreUnusable, "newer Dray"),
        (
            change_manifest(lambda m: m.update(schemas={"state": 99, "results": 1})),
            StoreUnusable,
            "newer Dray.* schema 99",
        ),
        (change_manifest(lambda m: m.pop("members") and None), InvalidInput, "cannot be read"),
    ],
)
def test_what_is_no_whole_backup_is_refused_and_nothing_is_touched(
    sound: Path,
    file: Path,
    other: HomePaths,
    spoil: Callable[[Members], None],
    error: type[DrayError],
    message: str,
) -> None:
    members = read_members(sound)
    spoil(members)
    write_members(file, members)
    with pytest.raises(error, match=message):
        verify(file)
    with pytest.raises(error, match=message):
        restore(file, other)
    left = {path.name for path in other.root.rglob("*")}
    assert left <= {"store", "lock"}


@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_off_is_refused(
    sound: Path, file: Path, other: HomePaths, part: float
) -> None:
    data = sound.read_bytes().rstrip(b"\0")
    file.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InvalidInput, match="make or copy it again"):
        restore(file, other)


def test_what_is_no_archive_or_not_there_is_refused(file: Path, other: HomePaths) -> None:
    with pytest.raises(InvalidInput, match="there is no backup"):
        restore(file, other)
    file.write_bytes(b"these are my notes" * 1000)
    with pytest.raises(InvalidInput, match="no whole backup"):
        restore(file, other)


def test_a_backup_of_an_older_schema_is_brought_up(
    sound: Path, file: Path, other: HomePaths, tmp_path: Path
) -> None:
    """As it would be by a start; the newest step of results.db is undone here by hand."""
    members = read_members(sound)
    database = tmp_path / "results.db"
    database.write_bytes(members[2][1])
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(
            "DROP TABLE media; DROP TABLE chunks; ALTER TABLE series DROP COLUMN first; "
            "ALTER TABLE series DROP COLUMN min_iteration; ALTER TABLE series DROP COLUMN total; "
            "ALTER TABLE series DROP COLUMN max_iteration; "
            "ALTER TABLE series DROP COLUMN n_finite; "
            "CREATE TABLE points (series_id, iteration, epoch, position, value, at); "
            "INSERT INTO points SELECT id, last_iteration, 1, 0, last, 1.0 FROM series; "
            "PRAGMA user_version = 2"
        )
    members[2] = (members[2][0], database.read_bytes())
    manifest = Manifest.decode(members.pop()[1], file)
    name = members[2][0].name
    assert name == "store/results.db"
    digest = hashlib.sha256(members[2][1]).hexdigest()
    member = type(manifest.members[name])(len(members[2][1]), digest)
    older = Manifest(
        manifest.made_at,
        "0.0.1",
        {**manifest.schemas, "results": 2},
        {**manifest.members, name: member},
    )
    members.append((tarfile.TarInfo("manifest.json"), older.encode()))
    write_members(file, members)
    assert verify(file).integrity.ok
    assert restore(file, other).backup.dray == "0.0.1"
