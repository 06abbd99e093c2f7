"""Stopping: a child and everything below it, politely, by force, and by somebody else."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.runtime.subprocesses import Supervisor
from tests.unit.runtime.processes import (
    DAEMONISES,
    FORKS,
    STUBBORN,
    WAITS,
    Output,
    ended,
    is_alive,
    keeper_of,
    python,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="agents run on Linux")

# How it is stopped.


async def test_a_polite_child_ends_at_the_first_signal(supervisor: Supervisor) -> None:
    process = await supervisor.spawn(["sleep", "1000"])
    assert await process.stop(20) == ["SIGINT to 1 process"]
    assert (await ended(process)).signal == signal.SIGINT


async def test_a_stubborn_child_is_killed_and_every_step_is_told(supervisor: Supervisor) -> None:
    output = Output()
    process = await supervisor.spawn(python(STUBBORN), on_output=output)
    await output.lines()
    steps = await process.stop(0.05)
    assert steps == ["SIGINT to 1 process", "SIGTERM to 1 process", "SIGKILL to 1 process"]
    assert (await ended(process)).signal == signal.SIGKILL
    assert process.tree_gone.is_set()


async def test_the_last_warning_is_short_however_long_the_grace(supervisor: Supervisor) -> None:
    output = Output()
    process = await supervisor.spawn(python(STUBBORN), on_output=output)
    await output.lines()
    steps = await asyncio.wait_for(process.stop(1000, signal.SIGTERM), 20)
    assert steps == ["SIGTERM to 1 process", "SIGKILL to 1 process"]


async def test_a_stopped_child_is_woken_to_be_stopped(supervisor: Supervisor) -> None:
    output = Output()
    code = """
import os, signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(5))
os.write(1, b"ready\\n")
while True: signal.pause()
"""
    process = await supervisor.spawn(python(code), on_output=output)
    await output.lines()
    process.send_signal(signal.SIGSTOP)
    await process.stop(20)
    assert (await ended(process)).exit_code == 5


async def test_a_second_stop_only_shortens_the_grace(supervisor: Supervisor) -> None:
    output = Output()
    process = await supervisor.spawn(python(STUBBORN), on_output=output)
    await output.lines()
    patient = asyncio.create_task(process.stop(1000))
    steps = await asyncio.wait_for(process.stop(0), 20)
    assert steps.count("SIGINT to 1 process") == 1
    assert await patient == steps


async def test_stopping_what_has_ended_does_nothing(supervisor: Supervisor) -> None:
    process = await supervisor.spawn(["true"])
    await ended(process)
    await process.tree_gone.wait()
    assert await process.stop(1000) == []


async def test_a_cancelled_stop_goes_on(supervisor: Supervisor) -> None:
    output = Output()
    process = await supervisor.spawn(python(STUBBORN), on_output=output)
    await output.lines()
    stopping = asyncio.create_task(process.stop(0.01))
    await asyncio.sleep(0)
    stopping.cancel()
    assert (await ended(process)).signal == signal.SIGKILL


async def test_the_fence_kills_unless_it_is_moved(supervisor: Supervisor) -> None:
    output = Output()
    process = await supervisor.spawn(python(STUBBORN), on_output=output)
    await output.lines()
    process.fence(time.monotonic() + 0.01)
    process.fence(time.monotonic() + 1000)
    assert (await ended(await supervisor.spawn(["sleep", "0.1"]))).exit_code == 0
    assert process.status is None
    process.fence(time.monotonic() + 0.01)
    assert (await ended(process)).signal == signal.SIGKILL


async def test_a_child_is_born_with_its_fence(supervisor: Supervisor) -> None:
    process = await supervisor.spawn(python(STUBBORN), fence_at=time.monotonic() + 0.3)
    assert (await ended(process)).signal == signal.SIGKILL
    assert process.fenced


async def test_nothing_starts_behind_a_fence_that_has_fallen(supervisor: Supervisor) -> None:
    with pytest.raises(OSError, match="fence") as caught:
        await supervisor.spawn(python(STUBBORN), fence_at=time.monotonic() - 0.1)
    assert caught.value.errno == errno.ETIME
    assert (await ended(await supervisor.spawn(["true"]))).exit_code == 0


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A cgroup whose processes the kernel can hold, so that not even KILL ends them."""
    folder = Path(f"/sys/fs/cgroup/freezer/dray-test-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no freezer cgroup (version 1) can be made here")
    yield folder
    (folder / "freezer.state").write_text("THAWED")
    wait_until((folder / "cgroup.procs").read_text, lambda pids: not pids)
    folder.rmdir()


async def test_a_process_that_outlives_kill_is_named(supervisor: Supervisor, freezer: Path) -> None:
    process = await supervisor.spawn(["sleep", "1000"])
    (freezer / "cgroup.procs").write_text(str(process.pid))
    (freezer / "freezer.state").write_text("FROZEN")
    await asyncio.wait_for(process.stop(0), 20)
    assert process.stuck_pids == [process.pid]
    assert not process.tree_gone.is_set()
    (freezer / "freezer.state").write_text("THAWED")
    await asyncio.wait_for(process.tree_gone.wait(), 20)
    assert process.stuck_pids == []


# The whole tree.


async def test_a_daemon_that_ignores_everything_dies_with_the_tree(supervisor: Supervisor) -> None:
    output = Output()
    process = await supervisor.spawn(python(DAEMONISES + WAITS), on_output=output)
    daemon = await output.daemon_of(process)
    steps = await process.stop(0.2)
    assert steps[0].startswith("SIGINT")
    assert steps[-1] == "SIGKILL to 1 process"
    assert not is_alive(daemon)


async def test_what_a_child_leaves_behind_is_ended_after_it(supervisor: Supervisor) -> None:
    output = Output()
    code = f"""
import os, signal
if os.fork() == 0:
    signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"ended\\n"), os._exit(0)))
    os.write(1, b"ready\\n")
    {WAITS.strip().replace(chr(10), chr(10) + "    ")}
while os.read(0, 1): pass
"""
    process = await supervisor.spawn(python(code), on_output=output)
    assert (await ended(process)).exit_code == 0
    await asyncio.wait_for(process.tree_gone.wait(), 20)
    assert process.steps[0] == "SIGTERM to 1 process"


async def test_a_daemon_that_keeps_the_output_open_does_not_keep_wait(
    supervisor: Supervisor,
) -> None:
    output = Output()
    process = await supervisor.spawn(python(DAEMONISES), on_output=output)
    daemon = await output.daemon_of(process)
    assert (await ended(process)).exit_code == 0
    assert process.steps == ["SIGTERM to 1 process", "SIGKILL to 1 process"]
    await process.tree_gone.wait()
    assert not is_alive(daemon)


async def test_wait_returns_though_somebody_outside_the_tree_holds_the_output(
    supervisor: Supervisor,
) -> None:
    """As whoever gets a descriptor through a socket does; here it is the test itself."""
    output = Output()
    code = "print('last words', flush=True)" + WAITS
    process = await supervisor.spawn(python(code), on_output=output)
    await output.lines()
    holder = os.open(f"/proc/{process.pid}/fd/1", os.O_WRONLY)
    await process.stop(20)
    try:
        assert (await ended(process)).signal == signal.SIGINT
    finally:
        os.close(holder)
    assert output.streams["stdout"] == b"last words\n"


async def test_what_forks_faster_than_it_can_be_counted_is_ended(supervisor: Supervisor) -> None:
    output = Output()
    process = await supervisor.spawn(python(FORKS), on_output=output)
    await output.lines(20)
    await asyncio.wait_for(process.stop(0), 20)
    assert process.tree_gone.is_set()
    assert process.stuck_pids == []


async def test_two_children_have_two_trees(supervisor: Supervisor) -> None:
    first_output, second_output = Output(), Output()
    first, second = await asyncio.gather(
        supervisor.spawn(python(DAEMONISES + WAITS), on_output=first_output),
        supervisor.spawn(python(DAEMONISES + WAITS), on_output=second_output),
    )
    first_daemon = await first_output.daemon_of(first)
    second_daemon = await second_output.daemon_of(second)
    await first.stop(0.05)
    assert not is_alive(first_daemon)
    assert is_alive(second_daemon)
    assert second.status is None
    await second.stop(0.05)
    assert not is_alive(second_daemon)


async def test_a_child_inherits_nothing_from_the_one_before(supervisor: Supervisor) -> None:
    before = await supervisor.spawn(["sleep", "1000"])
    keeper = keeper_of(before).pid
    before.fence(time.monotonic() + 1000)
    await before.stop(20)
    output = Output()
    after = await supervisor.spawn(python("print('ready', flush=True)" + WAITS), on_output=output)
    await output.lines()
    assert keeper_of(after).pid == keeper, "keepers are used again"
    before.fence(time.monotonic())
    assert await before.stop(0) == ["SIGINT to 1 process"]
    assert after.status is None
    await after.stop(20)
    assert after.steps == ["SIGINT to 1 process"]
