"""Whoever dies or gives up half way, no process, no descriptor and no zombie of it stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
import uvloop

from dray.runtime.cgroups import Cgroup
from dray.runtime.errors import DrayError
from dray.runtime.subprocesses import ExitStatus, Supervisor
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
    wait_until_dead,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="agents run on Linux")

# Deaths around it.


AGENT = """
import asyncio, os, signal, sys, time
from pathlib import Path
from dray.runtime.cgroups import Cgroup
from dray.runtime.subprocesses import Supervisor
async def main():
    supervisor = await Supervisor.start()
    say = lambda stream, data: os.write(1, data)
    child = await supervisor.spawn([sys.executable, "-c", {child!r}], on_output=say, {options})
    {then}
    await asyncio.sleep(1000)
asyncio.run(main())
"""
#: Holds copies of every socket of the agent.
HAS_A_FORK = 'if os.fork() == 0: os.write(1, b"%d\\n" % os.getpid()); time.sleep(1000)'
#: What hangs for good and still has to be ended in time.
FENCED = "import time; child.fence(time.monotonic() + 0.5)"


@contextlib.contextmanager
def agent(child: str, then: str = "pass", options: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """An agent in a process of its own whose child runs ``child``; it prints what that prints."""
    command = [sys.executable, "-c", AGENT.format(child=child, then=then, options=options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def pids_of(agent: subprocess.Popen[bytes], n: int) -> set[int]:
    assert agent.stdout is not None
    return {int(agent.stdout.readline()) for _ in range(n)}


def below(process: subprocess.Popen[bytes]) -> set[int]:
    return {child.pid for child in psutil.Process(process.pid).children(recursive=True)}


@pytest.mark.parametrize("first", ["agent", "supervisor"])
def test_killing_the_agent_ends_its_child_and_what_is_below(first: str) -> None:
    """Ray kills the direct children of a worker that it ends, so the supervisor may go first."""
    with agent(DAEMONISES + STUBBORN, HAS_A_FORK) as process:
        pids, all_below = pids_of(process, 4), below(process)
        fork = {pid for pid in pids if psutil.Process(pid).ppid() == process.pid}
        assert len(all_below) == 5, "supervisor, keeper, child, daemon; and the fork: not ours"
        (helper,) = {child.pid for child in psutil.Process(process.pid).children()} - fork
        if first == "supervisor":
            os.kill(helper, signal.SIGKILL)
        process.kill()
        try:
            wait_until_dead(*(all_below - fork))
        finally:
            for pid in fork:
                os.kill(pid, signal.SIGKILL)


def test_killing_the_agent_leaves_no_cgroup_behind() -> None:
    group = Cgroup.make(f"test-{os.getpid()}-{uuid4().hex}")
    if not group.procs_files:
        pytest.skip("no cgroup can be made here")
    options = f"cgroup=Cgroup([Path(p).parent for p in {group.procs_files!r}])"
    with agent(STUBBORN, options=options) as process:
        (child,) = pids_of(process, 1)
        folders = [Path(file).parent for file in group.procs_files]
        for folder in folders:
            wait_until((folder / "cgroup.procs").read_text, lambda pids: pids == f"{child}\n")
        process.kill()
        wait_until(lambda: [folder for folder in folders if folder.exists()], lambda left: not left)


def test_killing_the_agent_ends_a_child_that_is_stopped() -> None:
    with agent(STUBBORN) as process:
        (child,), all_below = pids_of(process, 1), below(process)
        os.kill(child, signal.SIGSTOP)
        process.kill()
        wait_until_dead(*all_below)


def test_killing_the_agent_ends_what_forks_without_end() -> None:
    with agent(FORKS) as process:
        pids_of(process, 20)
        (helper,) = psutil.Process(process.pid).children()
        process.kill()
        wait_until_dead(helper.pid)  # the supervisor ends after its keeper, that after its tree
        assert process.stdout is not None
        process.stdout.read()  # its end: nobody is left who could write


@pytest.mark.parametrize("stopped", [["agent"], ["keeper"], ["agent", "keeper"]], ids=str)
def test_the_fence_falls_though_agent_or_keeper_are_stopped(stopped: list[str]) -> None:
    """The keeper holds the clock of the fence; the supervisor wakes a keeper that is stopped."""
    with agent(STUBBORN, FENCED) as process:
        (child,) = pids_of(process, 1)
        keeper = psutil.Process(child).parent()
        assert keeper is not None
        pid_by_name = {"agent": process.pid, "keeper": keeper.pid}
        for name in stopped:
            os.kill(pid_by_name[name], signal.SIGSTOP)
        wait_until_dead(child)


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
