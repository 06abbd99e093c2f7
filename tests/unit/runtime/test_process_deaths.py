"""Whoever dies or gives up half way, no process, no descriptor and no zombie of it stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
import uvloop

from dray.runtime.errors import DrayError
from dray.runtime.subprocesses import ExitStatus, Supervisor
from tests.unit.runtime.processes import (
    DAEMONISES,
    STUBBORN,
    WAITS,
    Output,
    ended,
    is_alive,
    keeper_of,
    python,
    wait_until_dead,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="agents run on Linux")

# Deaths around it.


@pytest.fixture
def agent() -> Iterator[subprocess.Popen[bytes]]:
    """An agent in a process of its own, with a child that has a daemon; it prints their pids."""
    code = f"""
import asyncio, os, sys
from dray.runtime.subprocesses import Supervisor
async def main():
    supervisor = await Supervisor.start()
    say = lambda stream, data: os.write(1, data)
    child = await supervisor.spawn([sys.executable, "-c", {DAEMONISES + STUBBORN!r}], on_output=say)
    if os.fork() == 0:  # holds copies of every socket of the agent
        os.write(1, b"%d\\n" % os.getpid())
    await asyncio.sleep(1000)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("first", ["agent", "supervisor"])
def test_killing_the_agent_ends_its_child_and_what_is_below(
    agent: subprocess.Popen[bytes], first: str
) -> None:
    """Ray kills the direct children of a worker that it ends, so the supervisor may go first."""
    assert agent.stdout is not None
    pids = {int(agent.stdout.readline()) for _ in range(4)}
    below = {process.pid for process in psutil.Process(agent.pid).children(recursive=True)}
    fork = {pid for pid in pids if psutil.Process(pid).ppid() == agent.pid}
    assert len(below) == 5, "supervisor, keeper, child, daemon; and the fork, which is not ours"
    (helper,) = {child.pid for child in psutil.Process(agent.pid).children()} - fork
    if first == "supervisor":
        os.kill(helper, signal.SIGKILL)
    agent.kill()
    try:
        wait_until_dead(*(below - fork))
    finally:
        for pid in fork:
            os.kill(pid, signal.SIGKILL)


async def test_killing_the_keeper_ends_its_child_and_what_is_below(supervisor: Supervisor) -> None:
    output = Output()
    process = await supervisor.spawn(python(DAEMONISES + STUBBORN), on_output=output)
    pids = await output.pids(3)
    keeper_of(process).kill()
    status = await ended(process)
    assert status == ExitStatus(None, None, lost=True)
    assert not [pid for pid in pids if is_alive(pid)], "the end is told only when all are dead"
    assert process.tree_gone.is_set()
    assert (await ended(await supervisor.spawn(["true"]))).exit_code == 0


async def test_killing_the_supervisor_leaves_children_be_and_another_one_is_started(
    supervisor: Supervisor,
) -> None:
    output = Output()
    process = await supervisor.spawn(python(STUBBORN), on_output=output)
    await output.lines()
    first = keeper_of(process).parent()
    assert first is not None
    first.kill()
    wait_until_dead(first.pid)
    other = await supervisor.spawn(["sleep", "1000"])
    assert keeper_of(other).parent() != first
    assert process.status is None
    await asyncio.gather(process.stop(0), other.stop(0))
    assert (await ended(process)).signal == signal.SIGKILL


async def test_killing_supervisor_and_keeper_at_once_ends_the_child(
    supervisor: Supervisor,
) -> None:
    process = await supervisor.spawn(python(WAITS))
    keeper = keeper_of(process)
    helper = keeper.parent()
    assert helper is not None
    helper.suspend()
    keeper.kill()
    helper.kill()
    assert (await ended(process)).lost
    wait_until_dead(process.pid)


# What stays: nothing.


async def test_cancelling_wait_leaves_the_child_be(supervisor: Supervisor) -> None:
    output = Output()
    process = await supervisor.spawn(python(STUBBORN), on_output=output)
    await output.lines()
    waiting = asyncio.create_task(process.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert process.status is None
    await process.stop(0)
    assert (await ended(process)).signal == signal.SIGKILL


@pytest.mark.parametrize("environment", [{}, {str(n): "x" * 100_000 for n in range(9)}])
async def test_cancelling_spawn_ends_what_was_started(
    supervisor: Supervisor, environment: dict[str, str]
) -> None:
    me = psutil.Process()
    for n_steps in range(12):
        spawning = asyncio.create_task(supervisor.spawn(python(STUBBORN), env=environment))
        for _ in range(n_steps):
            await asyncio.sleep(0)
        spawning.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await spawning).stop(0)
    await supervisor.close()
    assert me.children(recursive=True) == []


async def test_no_descriptor_and_no_process_stays_after_fifty_children(
    supervisor: Supervisor,
) -> None:
    async def one() -> None:
        process = await supervisor.spawn(["true"], on_output=lambda *_: None)
        await ended(process)
        await process.tree_gone.wait()

    await asyncio.gather(one(), one())
    n_before = len(os.listdir("/proc/self/fd"))
    for _ in range(25):
        await asyncio.gather(one(), one())
    with pytest.raises(FileNotFoundError):
        await supervisor.spawn(["/no/such/program"])
    assert len(os.listdir("/proc/self/fd")) == n_before
    below = psutil.Process().children(recursive=True)
    assert len(below) <= 3, "a supervisor and two idle keepers"
    assert psutil.STATUS_ZOMBIE not in {process.status() for process in below}


async def test_idle_keepers_are_few(supervisor: Supervisor) -> None:
    processes = await asyncio.gather(*(supervisor.spawn(["sleep", "1000"]) for _ in range(5)))
    await asyncio.gather(*(process.stop(20) for process in processes))
    me = psutil.Process()
    wait_until(lambda: len(me.children(recursive=True)), lambda n: n == 3)


async def test_closing_kills_every_tree_and_is_harmless_when_repeated() -> None:
    n_before = len(os.listdir("/proc/self/fd"))
    supervisor = await Supervisor.start()
    outputs = Output(), Output()
    processes = [
        await supervisor.spawn(python(DAEMONISES + STUBBORN), on_output=output)
        for output in outputs
    ]
    pids = [pid for output in outputs for pid in await output.pids(3)]
    await supervisor.close()
    await supervisor.close()
    assert not [pid for pid in pids if is_alive(pid)]
    assert [(await ended(process)).signal for process in processes] == [signal.SIGKILL] * 2
    assert psutil.Process().children(recursive=True) == []
    assert len(os.listdir("/proc/self/fd")) == n_before
    with pytest.raises(DrayError, match="closed"):
        await supervisor.spawn(["true"])


def test_it_runs_on_uvloop_as_agents_do() -> None:
    async def scenario() -> None:
        async with Supervisor.start() as supervisor:
            output = Output()
            process = await supervisor.spawn(python(DAEMONISES + WAITS), on_output=output)
            daemon = await output.daemon_of(process)
            process.pause_output()
            process.resume_output()
            await process.stop(0.1)
            assert not (await ended(process)).lost
            assert not is_alive(daemon)

    uvloop.run(scenario())


async def test_elsewhere_than_on_linux_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DrayError, match="on Linux only"):
        await Supervisor.start()
