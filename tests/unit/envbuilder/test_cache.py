"""The cache keeps within its size, and never removes what somebody uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dray.envbuilder.cache.contents import size_of
from dray.envbuilder.cache.environment import (
    REMOVING,
    Ready,
    folder_of,
    lock_of,
    marker_of,
    python_of,
    write_ready,
)
from dray.envbuilder.cache.eviction import trim
from dray.envbuilder.cache.limits import CacheLimits
from dray.envbuilder.tools.locks import FileLock, try_lock
from dray.runtime.paths import NodePaths

OLDEST, MIDDLE, NEWEST = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def filled(node: NodePaths) -> NodePaths:
    """Three environments of 100 bytes, used one after the other."""
    for used_at, key in enumerate((OLDEST, MIDDLE, NEWEST), start=1_700_000_000):
        folder = folder_of(node, key)
        python_of(folder).parent.mkdir(parents=True)
        python_of(folder).touch()
        write_ready(folder, Ready("3.11.7", "cpython-311", "uv", [], n_bytes=100, seconds=1.0))
        os.utime(marker_of(folder), (used_at, used_at))
    return node


def at_most(n_bytes: int) -> CacheLimits:
    return CacheLimits(size_bytes=n_bytes, max_age_s=0.0, reserve_bytes=0)


def hold(node: NodePaths, key: str) -> FileLock:
    lock = try_lock(lock_of(node, key), shared=True)
    assert lock is not None
    return lock


def keys(node: NodePaths) -> set[str]:
    return {path.name for path in node.environments.iterdir()}


async def test_nothing_goes_while_all_fits(filled: NodePaths) -> None:
    assert await trim(filled, at_most(300)) == []
    assert keys(filled) == {OLDEST, MIDDLE, NEWEST}


async def test_the_longest_unused_goes_first(filled: NodePaths) -> None:
    assert await trim(filled, at_most(299)) == [OLDEST]
    assert await trim(filled, at_most(100)) == [MIDDLE]
    assert keys(filled) == {NEWEST}


async def test_what_somebody_uses_stays_whatever_its_age(filled: NodePaths) -> None:
    reference = hold(filled, OLDEST)
    assert await trim(filled, at_most(150)) == [MIDDLE, NEWEST]
    assert keys(filled) == {OLDEST}
    reference.release()
    assert await trim(filled, at_most(0)) == [OLDEST]


async def test_what_was_not_used_for_long_goes_by_its_age(filled: NodePaths) -> None:
    os.utime(marker_of(folder_of(filled, NEWEST)))
    reference = hold(filled, MIDDLE)
    limits = CacheLimits(size_bytes=300, max_age_s=3600.0, reserve_bytes=0)
    assert await trim(filled, limits) == [OLDEST]
    assert keys(filled) == {MIDDLE, NEWEST}
    reference.release()


async def test_the_longest_unused_make_room_for_the_reserve_of_the_disk(filled: NodePaths) -> None:
    reference = hold(filled, MIDDLE)
    limits = CacheLimits(size_bytes=300, max_age_s=0.0, reserve_bytes=1 << 60)
    assert await trim(filled, limits) == [OLDEST, NEWEST]
    reference.release()


async def test_two_users_must_both_be_done(filled: NodePaths) -> None:
    first, second = hold(filled, OLDEST), hold(filled, OLDEST)
    first.release()
    assert OLDEST not in await trim(filled, at_most(0))
    second.release()
    assert OLDEST in await trim(filled, at_most(0))


async def test_an_environment_that_cannot_be_used_any_more_goes_first(filled: NodePaths) -> None:
    marker_of(folder_of(filled, NEWEST)).unlink()
    assert await trim(filled, at_most(200)) == []
    (folder_of(filled, NEWEST) / "junk").write_bytes(b"x" * 50)
    assert await trim(filled, at_most(200)) == [NEWEST]


async def test_what_was_half_removed_is_removed(filled: NodePaths) -> None:
    (filled.environments / f"{REMOVING}{OLDEST}-999999" / "lib").mkdir(parents=True)
    await trim(filled, at_most(1000))
    assert keys(filled) == {OLDEST, MIDDLE, NEWEST}


async def test_a_node_without_environments_has_nothing_to_trim(node: NodePaths) -> None:
    assert await trim(node, at_most(0)) == []


def test_size_counts_files_in_all_depths_and_no_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x" * 10)
    (tmp_path / "file").write_bytes(b"x" * 5)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to(".")
    assert size_of(tmp_path) == 15
