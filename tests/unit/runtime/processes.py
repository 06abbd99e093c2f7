"""What the tests of child processes share: programs, their output, who is alive."""

from __future__ import annotations

import asyncio
import sys

import psutil

from dray.runtime.subprocesses import ChildProcess, ExitStatus
from tests.waiting import wait_until

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
#: A chain without end: each process says its pid, has a successor and is gone.
FORKS = """
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork(): signal.pause()
os.setsid()
while True:
    os.write(1, b"%d\\n" % os.getpid())
    if os.fork(): os._exit(0)
    time.sleep(0.001)
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
