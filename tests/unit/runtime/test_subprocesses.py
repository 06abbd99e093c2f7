"""Children of an agent: how they start, stream and end, and that nothing of them ever stays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
import uvloop

from dray.runtime.errors import DrayError
from dray.runtime.subprocesses import ChildProcess, ExitStatus, Supervisor, stop_tree
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="agents run on Linux")

#: Ignores what is polite, says its pid once it does, and waits for the end.
STUBBORN = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, b"%d\\n" % os.getpid())
while True: signal.pause()
"""
#: Double-forks a stubborn process into a session of its own, as daemons do; both say their pid.
DAEMONISES = f"""
import os, signal
polite = (signal.SIGINT, signal.SIGTERM)
before = [signal.signal(n, signal.SIG_IGN) for n in polite]
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        exec({STUBBORN!r})
    os._exit(0)
os.wait()
for n, handler in zip(polite, before): signal.signal(n, handler)
os.write(1, b"%d\\n" % os.getpid())
"""
WAITS = "\nimport signal\nwhile True: signal.pause()\n"


class Output:
    """Collects what a child writes and wakes whoever waits for it."""

    def __init__(self) -> None:
        self.streams = {"stdout": b"", "stderr": b""}
        self._news = asyncio.Event()

    def __call__(self, stream: str, data: bytes) -> None:
        self.streams[stream] += data
        self._news.set()

    async def lines(self, n: int = 1) -> list[str]:
        """The first ``n`` lines of stdout, once they are there."""
        while self.streams["stdout"].count(b"\n") < n:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 20)
        return self.streams["stdout"].decode().splitlines()[:n]

    async def pids(self, n: int) -> set[int]:
        return {int(line) for line in await self.lines(n)}

    async def daemon_of(self, process: ChildProcess) -> int:
        """The daemon, once its parent is ready too."""
        (daemon,) = await self.pids(2) - {process.pid}
        return daemon


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with Supervisor.start() as supervisor:
        yield supervisor


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


async def ended(process: ChildProcess) -> ExitStatus:
    return await asyncio.wait_for(process.wait(), 20)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_dead(*pids: int) -> None:
    wait_until(lambda: [pid for pid in pids if is_alive(pid)], lambda alive: not alive)


def keeper_of(process: ChildProcess) -> psutil.Process:
    parent = psutil.Process(process.pid).parent()
    assert parent is not None
    return parent


# How it ends.


@pytest.mark.parametrize("code", [0, 3])
async def test_a_child_that_exits_reports_its_code(supervisor: Supervisor, code: int) -> None:
    process = await supervisor.spawn(python(f"raise SystemExit({code})"))
    status = await ended(process)
    assert (status.exit_code, status.signal, status.lost) == (code, None, False)
    assert process.steps == []


async def test_a_child_ended_by_a_signal_reports_the_signal(supervisor: Supervisor) -> None:
    process = await supervisor.spawn(python(WAITS))
    process.send_signal(signal.SIGUSR1)
    status = await ended(process)
    assert (status.exit_code, status.signal) == (None, signal.SIGUSR1)


async def test_the_status_tells_what_the_child_used(supervisor: Supervisor) -> None:
    process = await supervisor.spawn(python("x = b'x' * (64 << 20); sum(range(300_000))"))
    status = await ended(process)
    assert status.max_rss_bytes > 64 << 20
    assert status.cpu_s > 0


async def test_a_small_child_is_not_charged_with_the_memory_of_the_agent(
    supervisor: Supervisor,
) -> None:
    ballast = b"x" * (96 << 20)
    status = await ended(await supervisor.spawn(["true"]))
    assert status.max_rss_bytes < len(ballast) / 4


@pytest.mark.parametrize(
    ("argv", "cwd", "error", "path"),
    [
        (["/no/such/program"], "/", FileNotFoundError, "/no/such/program"),
        (["no-such-program"], "/", FileNotFoundError, "no-such-program"),
        (["true"], "/no/such/folder", FileNotFoundError, "/no/such/folder"),
        (["/etc/passwd"], "/", PermissionError, "/etc/passwd"),
        (["true", "a\0b"], "/", OSError, None),
    ],
)
async def test_what_cannot_be_started_raises_as_popen_does(
    supervisor: Supervisor, argv: list[str], cwd: str, error: type[OSError], path: str | None
) -> None:
    with pytest.raises(error) as caught:
        await supervisor.spawn(argv, cwd=cwd)
    assert caught.value.filename in (path, None) or path in str(caught.value.filename)
    assert (await ended(await supervisor.spawn(["true"]))).exit_code == 0


# What it finds.


async def test_a_child_starts_in_a_clean_state(supervisor: Supervisor, tmp_path: Path) -> None:
    output = Output()
    code = """
import json, os
fds = [int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
print(json.dumps({
    "session": os.getsid(0) == os.getpid(), "input": os.read(0, 1).decode(), "fds": fds,
    "cwd": os.getcwd(), "env": dict(os.environ), "nice": os.getpriority(os.PRIO_PROCESS, 0)}))
"""
    environment = {"A": "1", "BYTES": "\udcff", "LC_ALL": "C.UTF-8"}
    process = await supervisor.spawn(python(code), cwd=tmp_path, env=environment, on_output=output)
    assert (await ended(process)).exit_code == 0
    found = json.loads(output.streams["stdout"])
    assert found["session"] is True
    assert found["input"] == ""
    assert sorted(found["fds"]) == [0, 1, 2]
    assert found["cwd"] == str(tmp_path)
    assert found["nice"] == 0
    assert found["env"] == environment


async def test_no_signal_is_ignored_or_blocked_in_a_child_though_python_ignores_some(
    supervisor: Supervisor,
) -> None:
    output = Output()
    argv = ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]
    await ended(await supervisor.spawn(argv, on_output=output))
    values = [line.split()[1] for line in output.streams["stdout"].decode().splitlines()]
    of_the_c_library = 1 << 31 | 1 << 32  # 32 and 33, which it lets nobody else touch
    assert [int(value, 16) & ~of_the_c_library for value in values] == [0, 0]


async def test_a_child_is_as_nice_as_asked(supervisor: Supervisor) -> None:
    output = Output()
    await ended(await supervisor.spawn(["nice"], niceness=7, on_output=output))
    assert await output.lines() == ["7"]


async def test_an_environment_larger_than_a_socket_buffer_arrives(supervisor: Supervisor) -> None:
    output = Output()
    environment = {f"NAME_{n}": str(n) * 10_000 for n in range(60)}
    code = "import os; print(sum(map(len, os.environ.values())))"
    process = await supervisor.spawn(python(code), env=environment, on_output=output)
    await ended(process)
    total = sum(map(len, environment.values()))
    assert total <= int((await output.lines())[0]) <= total + 100  # LC_CTYPE is Python's


# What it writes.


async def test_output_is_byte_exact_and_in_order_for_each_stream(supervisor: Supervisor) -> None:
    output = Output()
    code = """
import os, random
noise, rest = random.Random(7), {1: 5_000_000, 2: 5_000_000}
sources = {1: random.Random(1), 2: random.Random(2)}
while any(rest.values()):
    fd = noise.choice([fd for fd in rest if rest[fd]])
    data = sources[fd].randbytes(min(rest[fd], 10_000))
    rest[fd] -= len(data)
    while data: data = data[os.write(fd, data):]
"""
    await ended(await supervisor.spawn(python(code), on_output=output))
    for stream, seed in (("stdout", 1), ("stderr", 2)):
        source = random.Random(seed)
        expected = b"".join(source.randbytes(10_000) for _ in range(500))
        assert output.streams[stream] == expected


async def test_a_flood_leaves_the_loop_to_others(supervisor: Supervisor) -> None:
    flood = await supervisor.spawn(["yes"], on_output=lambda *_: None)
    status = await ended(await supervisor.spawn(["true"]))
    assert status.exit_code == 0
    assert flood.status is None
    await flood.stop(20)


async def test_paused_output_waits_in_the_child(supervisor: Supervisor) -> None:
    output = Output()
    process = await supervisor.spawn(
        python("import os; [os.write(1, b'x' * 65536) for _ in range(32)]"), on_output=output
    )
    process.pause_output()
    already = len(output.streams["stdout"])
    await ended(await supervisor.spawn(["true"]))
    assert len(output.streams["stdout"]) == already < 32 * 65536
    assert process.status is None, "its pipe is full"
    process.resume_output()
    await ended(process)
    assert output.streams["stdout"] == b"x" * 32 * 65536


async def test_what_the_callback_raises_comes_out_of_wait(supervisor: Supervisor) -> None:
    def full_disk(stream: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    process = await supervisor.spawn(
        python("import os; [os.write(1, b'x' * 65536) for _ in range(32)]"), on_output=full_disk
    )
    with pytest.raises(OSError, match="No space left"):
        await ended(process)
    assert process.status is not None
    assert process.status.exit_code == 0, "the child could write all it wanted"


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
    process.fence(0.01)
    process.fence(1000)
    assert (await ended(await supervisor.spawn(["sleep", "0.1"]))).exit_code == 0
    assert process.status is None
    process.fence(0.01)
    assert (await ended(process)).signal == signal.SIGKILL


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
    before.fence(1000)
    await before.stop(20)
    output = Output()
    after = await supervisor.spawn(python("print('ready', flush=True)" + WAITS), on_output=output)
    await output.lines()
    assert keeper_of(after).pid == keeper, "keepers are used again"
    before.fence(0)
    assert await before.stop(0) == ["SIGINT to 1 process"]
    assert after.status is None
    await after.stop(20)
    assert after.steps == ["SIGINT to 1 process"]


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


# Trees that are not ours.


def test_a_tree_started_by_somebody_else_is_stopped_as_well() -> None:
    code = f"import os\nif os.fork() == 0: os.setsid()\n{STUBBORN}"
    with subprocess.Popen(python(code), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pids = [int(process.stdout.readline()) for _ in range(2)]
        steps = stop_tree(process.pid, 0.05)
        assert steps == [f"{name} to 2 processes" for name in ("SIGINT", "SIGTERM", "SIGKILL")]
        wait_until_dead(*pids)


def test_stopping_a_tree_that_is_gone_does_nothing() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert stop_tree(process.pid, 20) == []
