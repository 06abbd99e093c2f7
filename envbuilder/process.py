"""Run an installer or git: own session, output streamed to the log, killed as a group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dray.envbuilder.failures import redact
from dray.envbuilder.log import LogWriter, NoLog
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
) -> Finished:
    """Run ``argv`` to its end; its output goes to ``log`` line by line.

    With ``keep_stdout`` its stdout is handed back instead. Cancelling kills its whole process
    group before the cancellation goes on.

    Raises:
        FileNotFoundError: there is no such program.
    """
    process = await asyncio.create_subprocess_exec(
        *map(str, argv),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        cwd=cwd,
        env=dict(env),
        start_new_session=True,
    )
    tail = _Tail(log or NoLog())
    answer: list[bytes] = []
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("a process that was started with pipes has none")
    readers = [
        asyncio.create_task(
            _collect(process.stdout, answer) if keep_stdout else tail.follow(process.stdout)
        ),
        asyncio.create_task(tail.follow(process.stderr)),
    ]
    try:
        code = await process.wait()
        await asyncio.wait(readers, timeout=_DRAIN_S)
    except asyncio.CancelledError:
        await _kill_group(process)
        raise
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    return Finished(code, b"".join(answer).decode("utf-8", "replace"), tail.text())


async def _collect(stream: asyncio.StreamReader, into: list[bytes]) -> None:
    while piece := await stream.read(1 << 16):
        into.append(piece)


class _Tail:
    """Passes lines on to a log, redacted, and remembers the last of them."""

    def __init__(self, log: LogWriter) -> None:
        self._log = log
        self._kept = b""

    async def follow(self, stream: asyncio.StreamReader) -> None:
        pending = b""
        try:
            while piece := await stream.read(1 << 16):
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines:
                    self._take(line + b"\n")
                if len(pending) > _LINE_LIMIT_BYTES:
                    self._take(pending)
                    pending = b""
        finally:
            if pending:
                self._take(pending + b"\n")

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")

    def _take(self, line: bytes) -> None:
        clean = redact(line.decode("utf-8", "replace")).encode()
        self._log.write(clean)
        self._kept = (self._kept + clean)[-EVIDENCE_LIMIT_BYTES:]


async def _kill_group(process: Process) -> None:
    """TERM, a moment, KILL, to the group; the leader is reaped when this returns."""
    waiting = asyncio.create_task(process.wait())
    _signal_group(process.pid, signal.SIGTERM)
    await asyncio.wait({waiting}, timeout=STOP_GRACE_S)
    _signal_group(process.pid, signal.SIGKILL)  # members that outlived the leader, too
    await waiting


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
