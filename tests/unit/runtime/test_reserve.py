"""The reserve: what a nearly full disk still takes, asked often and at little cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from dray.runtime.errors import InsufficientStorage
from dray.runtime.store.reserve import Level, Limits, Reserve, free_bytes

GIB, MIB = 1 << 30, 1 << 20


class Disk:
    """A disk whose free space the test says, and a clock."""

    def __init__(self) -> None:
        self.free = 100 * GIB
        self.n_looks = 0
        self.time = 50.0

    def look(self, folder: Path) -> int:
        assert folder == Path("/data")
        self.n_looks += 1
        return self.free

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def reserve(disk: Disk) -> Reserve:
    return Reserve(Path("/data"), disk, free=disk.look)


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (100 * GIB, Level.PLENTY),
        (2 * GIB, Level.PLENTY),
        (2 * GIB - 1, Level.NO_BLOBS),
        (500 * MIB, Level.NO_BLOBS),
        (500 * MIB - 1, Level.NO_CONSOLE),
        (0, Level.NO_CONSOLE),
    ],
)
def test_the_level_follows_the_free_space(
    disk: Disk, reserve: Reserve, free: int, level: Level
) -> None:
    disk.free = free
    assert reserve.level() is level


def test_a_disk_is_looked_at_once_a_second_however_often_it_is_asked(
    disk: Disk, reserve: Reserve
) -> None:
    for _ in range(1000):
        reserve.level()
    assert disk.n_looks == 1
    disk.time += 1.0
    reserve.level()
    assert disk.n_looks == 2


def test_room_again_is_plenty_again(disk: Disk, reserve: Reserve) -> None:
    disk.free = 0
    assert reserve.level() is Level.NO_CONSOLE
    disk.free, disk.time = 3 * GIB, disk.time + 1.0
    assert reserve.level() is Level.PLENTY
    assert reserve.sentence() == ""
    reserve.require_room_for_blobs()


def test_a_refused_blob_names_the_folder_the_room_and_the_way_out(
    disk: Disk, reserve: Reserve
) -> None:
    disk.free = 700 * MIB
    with pytest.raises(InsufficientStorage) as refused:
        reserve.require_room_for_blobs()
    message = refused.value.message
    assert all(
        part in message for part in ("/data", "700 MiB", "2,048 MiB", "reserve_blobs_bytes", "free")
    )


def test_limits_are_settings(disk: Disk) -> None:
    reserve = Reserve(Path("/data"), disk, Limits(blobs_bytes=0, console_bytes=0), disk.look)
    disk.free = 0
    assert reserve.level() is Level.PLENTY


def test_free_space_is_what_this_user_may_write(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
