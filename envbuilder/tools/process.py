"""Run an installer or git: own session, output streamed to the log, killed as a group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dray.envbuilder.failures import redact
from dray.envbuilder.tools.log import LogWriter, NoLog
from dray.runtime.causes import EVIDENCE_LIMIT_BYTES

T = TypeVar("T")

#: git removes its lock files on TERM and uv needs no more than this; then comes KILL.
STOP_GRACE_S = 2.0
#: A daemon that a tool left behind may hold its pipes open; it is not waited for longer.
_DRAIN_S = 1.0
#: A line longer than this is written in pieces.
_LINE_LIMIT_BYTES = 16 << 10


@dataclass(frozen=True)
class Finished:
    """How a tool ended.

    Attributes:
        code: exit code; negative for a signal.
        stdout: what it wrote there when that was asked for, else empty.
        tail: the last lines of everything else, without credentials.
    """

    code: int
    stdout: str
    tail: str


async def run_tool(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    log: LogWriter | None = None,
    keep_stdout: bool = False,
    redraws: bool = False,
) -> Finished:
    """Run ``argv`` to its end; its output goes to ``log`` line by line.

    With ``keep_stdout`` its stdout is handed back instead. With ``redraws`` each state of a line
    that is drawn again and again, as progress is, is a line. Cancelling kills its whole process
    group before the cancellation goes on.

    Raises:
        FileNotFoundError: there is no such program.
    """
    transport, output = await _start(
        _Output(log or NoLog(), keep_stdout=keep_stdout, redraws=redraws), argv, env=env, cwd=cwd
    )
    try:
        await output.exited.wait()
        await asyncio.wait({drained := asyncio.ensure_future(output.drained())}, timeout=_DRAIN_S)
        drained.cancel()
    except asyncio.CancelledError:
        await _kill_group(transport.get_pid(), output)
        raise
    finally:
        transport.close()
        output.flush()
    code = transport.get_returncode()
    return Finished(-1 if code is None else code, output.stdout(), output.tail())


async def _start(
    output: _Output, argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None
) -> tuple[asyncio.SubprocessTransport, _Output]:
    """Start ``argv``; a cancellation meanwhile waits until there is something to kill."""
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            lambda: output,
            *map(str, argv),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        if starting.exception() is None:
            transport, _ = starting.result()
            await _kill_group(transport.get_pid(), output)
            transport.close()
        raise


class _Output(asyncio.SubprocessProtocol):
    """Passes lines on to a log, redacted, and remembers the last of them.

    A protocol, because ``asyncio.subprocess.Process.wait`` of Python 3.11 waits for the pipes, too,
    and so for every daemon that inherited them (python/cpython#119710).
    """

    def __init__(self, log: LogWriter, *, keep_stdout: bool, redraws: bool) -> None:
        self.exited = asyncio.Event()
        self._log = log
        self._redraws = redraws
        self._kept_fd = 1 if keep_stdout else -1
        self._stdout: list[bytes] = []
        self._tail = b""
        self._unfinished = {1: b"", 2: b""}
        self._closed = {1: asyncio.Event(), 2: asyncio.Event()}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == self._kept_fd:
            self._stdout.append(data)
            return
        if self._redraws:
            data = data.replace(b"\r", b"\n")
        *lines, rest = (self._unfinished[fd] + data).split(b"\n")
        for line in lines:
            self._take(line + b"\n")
        if len(rest) > _LINE_LIMIT_BYTES:
            self._take(rest)
            rest = b""
        self._unfinished[fd] = rest

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        self._closed[fd].set()

    def process_exited(self) -> None:
        self.exited.set()

    async def drained(self) -> None:
        """Both pipes are at their end."""
        for closed in self._closed.values():
            await closed.wait()

    def flush(self) -> None:
        """Take last lines that were not finished."""
        for fd, rest in self._unfinished.items():
            if rest:
                self._unfinished[fd] = b""
                self._take(rest + b"\n")

    def stdout(self) -> str:
        return b"".join(self._stdout).decode("utf-8", "replace")

    def tail(self) -> str:
        return self._tail.decode("utf-8", "replace")

    def _take(self, line: bytes) -> None:
        clean = redact(line.decode("utf-8", "replace")).encode()
        self._log.write(clean)
        self._tail = (self._tail + clean)[-EVIDENCE_LIMIT_BYTES:]


async def _kill_group(pid: int, output: _Output) -> None:
    """TERM, a moment, KILL, to the group; the leader is reaped when this returns."""
    exited = asyncio.ensure_future(output.exited.wait())
    _signal_group(pid, signal.SIGTERM)
    await asyncio.wait({exited}, timeout=STOP_GRACE_S)
    _signal_group(pid, signal.SIGKILL)  # members that outlived the leader, too
    await exited


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # nobody of it is left
        os.killpg(pid, number)


async def within(limit_s: float, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` returns, unless it takes longer.

    ``asyncio.wait_for`` of Python 3.10 and 3.11 can lose a cancellation that comes as the work
    ends (python/cpython#86296); this cannot.

    Raises:
        TimeoutError: ``limit_s`` went by; the work was cancelled and has cleaned up.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=limit_s)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if not done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
        raise TimeoutError(f"took longer than {limit_s:g} s")
    return task.result()


async def finish_in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Await ``asyncio.to_thread(...)`` so that a cancellation waits for the thread's end.

    A thread cannot be stopped; what it writes must not race with the caller's clean-up.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
