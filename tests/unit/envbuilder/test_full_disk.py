"""A disk that is full or read-only: what nobody uses makes room, or an error says what to do."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.eviction import prune
from dray.envbuilder.cache.limits import CacheLimits
from dray.envbuilder.spec import EnvironmentSpec
from dray.runtime.errors import PreparationFailed
from dray.runtime.paths import NodePaths
from tests.file_systems import file_system
from tests.unit.envbuilder.conftest import Log
from tests.unit.envbuilder.indexes import make_wheel

MIB = 1 << 20
BARE = EnvironmentSpec()
NO_RESERVE = CacheLimits(reserve_bytes=0)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodePaths]:
    """The cache of a node on a disk of 10 MB; uv's cache is elsewhere."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with file_system(tmp_path / "disk", "10m") as folder:
        yield NodePaths(folder)


def large(folder: Path, name: str, n_mib: int) -> EnvironmentSpec:
    """An environment of one package of that size."""
    wheel = make_wheel(folder, name, "1.0", {f"{name}_data.bin": "x" * (n_mib * MIB)})
    return EnvironmentSpec(requirements=(f"{name} @ file://{wheel}",))


async def test_a_disk_that_fills_up_during_a_build_leaves_nothing_and_says_so(
    small: NodePaths, log: Log, tmp_path: Path
) -> None:
    with pytest.raises(
        PreparationFailed, match=r"no room for another environment \(it ran full\)"
    ) as caught:
        await ensure_environment(large(tmp_path, "toolarge", 20), small, log, limits=NO_RESERVE)
    assert "os error 28" in caught.value.details["evidence"]
    assert "10 MiB are free" in str(caught.value)
    assert list(small.environments.iterdir()) == []
    assert (await ensure_environment(BARE, small, log, limits=NO_RESERVE)).reused is False


async def test_what_nobody_uses_makes_room_for_a_build_that_ran_full(
    small: NodePaths, log: Log, tmp_path: Path
) -> None:
    with await ensure_environment(large(tmp_path, "old", 6), small, log, limits=NO_RESERVE) as old:
        with pytest.raises(PreparationFailed, match="no environment is unused"):
            await ensure_environment(large(tmp_path, "new", 6), small, log, limits=NO_RESERVE)
        assert old.folder.is_dir()
    new = await ensure_environment(large(tmp_path, "new", 6), small, log, limits=NO_RESERVE)
    assert not old.folder.exists()
    assert list(small.environments.iterdir()) == [new.folder]
    assert f"removed environments that nobody uses ({old.key[:12]})" in log.text


async def test_below_the_reserve_nothing_is_built_and_what_is_there_is_used(
    small: NodePaths, log: Log, tmp_path: Path
) -> None:
    made = await ensure_environment(BARE, small, log, limits=NO_RESERVE)
    limits = CacheLimits(reserve_bytes=100 * MIB)
    assert (await ensure_environment(BARE, small, log, limits=limits)).reused is True
    with pytest.raises(PreparationFailed, match="at least 100 MiB are kept free"):
        await ensure_environment(large(tmp_path, "new", 1), small, log, limits=limits)
    assert made.folder.is_dir()


async def test_packages_that_cannot_be_linked_are_said_to_be_copied(
    small: NodePaths, node: NodePaths, log: Log, tmp_path: Path
) -> None:
    spec = large(tmp_path, "sample", 1)
    await ensure_environment(spec, small, log, limits=NO_RESERVE)
    assert f"packages are copied, not linked: uv's cache {tmp_path / 'uv'}" in log.text
    beside = Log()
    made = await ensure_environment(spec, node, beside)
    assert "copied" not in beside.text
    (data,) = made.folder.glob("lib/python*/site-packages/sample_data.bin")
    assert data.stat().st_nlink == 2, "uv's and ours"


async def test_a_read_only_cache_is_used_and_takes_nothing_new(
    small: NodePaths, log: Log, tmp_path: Path
) -> None:
    with await ensure_environment(BARE, small, log, limits=NO_RESERVE) as made:
        pass
    remount = ["mount", "-o", "remount,ro", str(small.root)]
    await asyncio.to_thread(subprocess.run, remount, check=True)
    with await ensure_environment(BARE, small, log, limits=NO_RESERVE) as found:
        assert (found.reused, found.folder) == (True, made.folder)
    with pytest.raises(PreparationFailed, match="set DRAY_CACHE to a folder that agents"):
        await ensure_environment(large(tmp_path, "new", 1), small, log, limits=NO_RESERVE)


async def test_a_person_prunes_what_is_not_in_use(node: NodePaths, log: Log) -> None:
    used = await ensure_environment(BARE, node, log)
    with await ensure_environment(
        dataclasses.replace(BARE, torch_backend="cpu"), node, log
    ) as idle:
        pass
    assert (await prune(node, "me", unused_for_s=3600)).removed == []
    done = await prune(node, "me")
    assert (done.node, done.removed, done.n_in_use) == ("me", [idle.key], 1)
    assert used.folder.is_dir()
    used.release()
    assert (await prune(node, keys=[used.key])).removed == [used.key]
