"""The cgroup of an attempt: what it tells, what it ends, and that nothing depends on it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.runtime.cgroups import Cgroup, Home, MemoryUse, OomWatch, find_homes, own_oom_kills
from dray.runtime.strays import end_strays, find_strays
from dray.runtime.subprocesses import Supervisor
from tests.unit.runtime.processes import (
    DAEMONISES,
    FORKS,
    WAITS,
    Output,
    ended,
    is_alive,
    keeper_of,
    python,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="agents run on Linux")

MIB = 1 << 20
GLUTTON = "held = []\nwhile True: held.append(bytearray(1 << 20))"


@pytest.fixture
def group() -> Iterator[Cgroup]:
    made = Cgroup.make(f"test-{os.getpid()}", 64 * MIB)
    yield made
    made.close()


@pytest.fixture
def limited(group: Cgroup) -> Cgroup:
    use = group.memory()
    if use is None or use.limit_bytes != 64 * MIB:
        pytest.skip("no memory cgroup can be made here")
    return group


@pytest.fixture
def killable(group: Cgroup) -> Cgroup:
    if not group.kill_file:
        pytest.skip("no cgroup v2 can be made here")
    return group


# With the kernel's own.


async def test_a_child_that_outgrows_its_memory_is_told_with_figures(
    supervisor: Supervisor, limited: Cgroup
) -> None:
    watch = OomWatch(limited)
    status = await ended(await supervisor.spawn(python(GLUTTON), cgroup=limited))
    assert status.signal == signal.SIGKILL
    said = watch.verdict(died_of_kill=True, max_rss_bytes=status.max_rss_bytes)
    assert said == "oom_kill 1, peak 64.0 MiB, limit 64.0 MiB"


async def test_a_child_whose_child_outgrew_its_memory_is_told_too(
    supervisor: Supervisor, limited: Cgroup
) -> None:
    watch = OomWatch(limited)
    code = f"import subprocess, sys; sys.exit(subprocess.run({python(GLUTTON)!r}).returncode != 0)"
    status = await ended(await supervisor.spawn(python(code), cgroup=limited))
    assert status.exit_code == 1
    assert "oom_kill 1" in (watch.verdict(died_of_kill=False, max_rss_bytes=0) or "")


async def test_a_child_that_was_killed_by_hand_did_not_outgrow_anything(
    supervisor: Supervisor, limited: Cgroup
) -> None:
    watch = OomWatch(limited)
    process = await supervisor.spawn(["sleep", "1000"], cgroup=limited)
    process.send_signal(signal.SIGKILL)
    await ended(process)
    assert watch.verdict(died_of_kill=True, max_rss_bytes=0) is None


async def test_the_last_rung_kills_a_whole_cgroup_at_once(
    supervisor: Supervisor, killable: Cgroup
) -> None:
    output = Output()
    process = await supervisor.spawn(python(FORKS), cgroup=killable, on_output=output)
    await output.lines(20)
    await asyncio.wait_for(process.stop(0), 20)
    assert process.tree_gone.is_set()
    killable.close()
    assert not Path(killable.kill_file).exists()  # noqa: ASYNC240


async def test_closing_ends_what_lost_its_keeper(group: Cgroup) -> None:
    """Supervisor and keeper killed at once: nobody else is left who knows of the daemon."""
    if not group.procs_files:
        pytest.skip("no cgroup can be made here")
    async with Supervisor.start() as supervisor:
        daemon = await lose(supervisor, group)
        group.close()
        assert not is_alive(daemon)
    assert not Path(group.procs_files[0]).exists()  # noqa: ASYNC240


async def test_without_a_cgroup_the_lost_are_found_by_their_environment() -> None:
    async with Supervisor.start() as supervisor:
        daemon = await lose(supervisor, None, DRAY_SPOOL="/spool/of/one")
        assert find_strays("DRAY_SPOOL", "/spool/of/another") == []
        assert daemon in find_strays("DRAY_SPOOL", "/spool/of/one")
        end_strays("DRAY_SPOOL", "/spool/of/one")
        assert not is_alive(daemon)


async def lose(supervisor: Supervisor, group: Cgroup | None, **variables: str) -> int:
    """A daemon that nobody keeps any more."""
    output = Output()
    process = await supervisor.spawn(
        python(DAEMONISES + WAITS), cgroup=group, on_output=output, env={**os.environ, **variables}
    )
    daemon = await output.daemon_of(process)
    keeper = keeper_of(process)
    helper = keeper.parent()
    assert helper is not None
    helper.suspend()
    keeper.kill()
    helper.kill()
    assert (await ended(process)).lost
    assert is_alive(daemon)
    return daemon


async def test_a_planned_cgroup_is_made_when_its_process_is_there_and_goes_with_it(
    supervisor: Supervisor,
) -> None:
    group = Cgroup.plan(f"planned-{os.getpid()}")
    folders = [Path(file).parent for file in group.procs_files]
    assert not any(folder.exists() for folder in folders)
    output = Output()
    process = await supervisor.spawn(python(FORKS), cgroup=group, on_output=output)
    await output.lines(20)
    if not any(folder.exists() for folder in folders):
        await process.stop(0)
        pytest.skip("no cgroup can be made here")
    joined = [f for f in group.procs_files if str(process.pid) in Path(f).read_text().split()]  # noqa: ASYNC240
    assert joined
    await asyncio.wait_for(process.stop(0), 20)
    group.close()
    assert not any(folder.exists() for folder in folders)


# Wherever it runs.


async def test_a_child_runs_where_no_cgroup_can_be_made(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    nowhere = Home(tmp_path / "not" / "there", tmp_path)
    group = Cgroup.make("one", 64 * MIB, [nowhere])
    assert (group.procs_files, group.kill_file, group.memory()) == ([], "", None)
    assert (await ended(await supervisor.spawn(["true"], cgroup=group))).exit_code == 0
    group.close()


async def test_a_child_that_may_not_move_runs_where_it_is(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    group = Cgroup([tmp_path / "removed meanwhile"])
    assert (await ended(await supervisor.spawn(["true"], cgroup=group))).exit_code == 0


def version_2(folder: Path, *, kills: int, peak: int, limit: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.events").write_text(f"low 0\noom 1\noom_kill {kills}\noom_group_kill 0\n")
    (folder / "memory.peak").write_text(f"{peak}\n")
    (folder / "memory.max").write_text(f"{limit}\n")


def test_version_2_counts_memory_by_other_names(tmp_path: Path) -> None:
    version_2(tmp_path, kills=2, peak=5 * MIB, limit="max")
    assert Cgroup([tmp_path]).memory() == MemoryUse(2, 5 * MIB, None)


def test_the_kernels_word_on_our_own_cgroup_counts_when_there_is_no_other(tmp_path: Path) -> None:
    """And only for who died by a KILL that nobody here sent."""
    version_2(tmp_path, kills=3, peak=0, limit="max")
    before = own_oom_kills([Home(tmp_path, tmp_path)])
    assert before == 3
    watch = OomWatch(Cgroup([]), [Home(tmp_path, tmp_path)])
    assert watch.verdict(died_of_kill=True, max_rss_bytes=7 * MIB) is None
    version_2(tmp_path, kills=4, peak=0, limit="max")
    assert watch.verdict(died_of_kill=False, max_rss_bytes=7 * MIB) is None
    assert watch.verdict(died_of_kill=True, max_rss_bytes=7 * MIB) == (
        "oom_kill rose by 1 while it ran, its largest process had 7.0 MiB"
    )


def test_the_places_found_are_ours() -> None:
    assert all(home.own.is_dir() for home in find_homes())
