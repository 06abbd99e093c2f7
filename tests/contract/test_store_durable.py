"""What is acknowledged is on the disk: bytes, and the names they are found by.

SQLite syncs its own files; what it was told to wait for is asked of it.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
from pathlib import Path

import pytest

from dray.runtime.paths import HomePaths
from dray.runtime.records import Chunk
from dray.runtime.store import database
from dray.runtime.store.restore import create, restore
from dray.runtime.store.session import Session
from tests.contract.conftest import World
from tests.disk import Disk


@pytest.fixture
def disk(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Where the world and all that a test makes beside it is kept."""
    return Disk(tmp_path, monkeypatch)


async def test_console_bytes_are_on_the_disk_before_they_are_acknowledged(
    world: World, disk: Disk
) -> None:
    task_id, epoch = await world.running()
    for offset, data in ((0, b"first"), (5, b" and more")):
        await world.ship(task_id, epoch, Chunk("stdout", offset, data))
        assert disk.has(world.home.console_stream(task_id, epoch, "stdout"))


async def test_no_offset_is_kept_whose_bytes_are_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id, epoch = await world.running()

    def break_down(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(world.store.console, "append", break_down)
        with pytest.raises(OSError, match="Input/output"):
            await world.ship(task_id, epoch, Chunk("stdout", 0, b"hello"))
    assert await world.store.results.offsets(task_id, epoch) == {}
    assert (await world.ship(task_id, epoch, Chunk("stdout", 0, b"hello"))).offsets["stdout"] == 5


async def test_a_blob_is_on_the_disk_before_it_is_acknowledged(world: World, disk: Disk) -> None:
    sha256 = await world.store.blobs.put(b"weights")
    assert disk.has(await world.store.blobs.path(sha256))


async def test_a_batch_of_blobs_is_on_the_disk_before_it_is_acknowledged(
    world: World, disk: Disk
) -> None:
    contents = [(hashlib.sha256(data).hexdigest(), data) for data in (b"one", b"two", b"three")]
    await world.store.blobs.put_many(contents)
    for sha256, _ in contents:
        assert disk.has(await world.store.blobs.path(sha256))


async def test_a_commit_of_the_state_waits_for_the_disk(world: World) -> None:
    async def ask(session: Session) -> list[object]:
        return [
            (await database.rows(session, f"PRAGMA {name}"))[0][0]
            for name in ("synchronous", "journal_mode")
        ]

    full = 2
    assert await world.store._state.write(ask) == [full, "wal"]  # no other way to see it


async def test_a_backup_is_on_the_disk_when_it_is_done(
    world: World, disk: Disk, tmp_path: Path
) -> None:
    await world.store.blobs.put(b"weights")
    await world.store.close()
    await asyncio.to_thread(create, world.home, tmp_path / "backup.tar")
    assert disk.has_bytes(tmp_path / "backup.tar"), "its name is the command's"


async def test_what_is_restored_is_on_the_disk_and_so_is_what_it_replaced(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id, epoch = await world.running()
    await world.store.blobs.put(b"weights")
    await world.ship(task_id, epoch, Chunk("stdout", 0, b"hello"))
    await world.store.close()
    await asyncio.to_thread(create, world.home, tmp_path / "backup.tar")
    disk = Disk(world.home.root, monkeypatch)
    report = await asyncio.to_thread(
        lambda: restore(tmp_path / "backup.tar", world.home, force=True)
    )
    kept = HomePaths(Path(report.kept))
    for home in (world.home, kept):
        assert disk.has_name(home.state_db)
        files = [f for top in (home.blobs, home.console) for f in top.rglob("*") if f.is_file()]
        assert len(files) == 2, "the blob and the console"
        assert [file for file in files if not disk.has(file)] == []
