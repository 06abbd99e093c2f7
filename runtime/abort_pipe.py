"""How a stop reaches the abort callbacks of a run: by a pipe in its spool, one a process.

The process holds the reading end. Whoever stops the run writes the cause into the pipe, and the
reading end is closed when the callback is done, or with the process: both are told by the kernel
to whoever waits at the writing end. Nobody looks again and again, no signal is used, and a
process that died leaves a pipe that nobody reads, which is seen at once.

Both ends use this module, so it is the standard library alone.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

#: Whatever a callback asks for, a stop takes no longer than this for it.
LONGEST_S = 1800.0
#: Processes of one run whose callbacks are called.
_MOST = 256
#: Each word of a cause is cut to so many characters: a pipe takes 4 KiB in one piece.
_WORD = 300


def pipe_path(spool: str, pid: int) -> str:
    """The pipe of one process."""
    return os.path.join(spool, f"abort.{pid}.fifo")


def terms_path(spool: str, pid: int) -> str:
    """JSON with ``pid`` and ``timeout_s``; there as long as the callback is registered."""
    return os.path.join(spool, f"abort.{pid}.json")


def run_callbacks(spool: Path, cause: Mapping[str, Any]) -> list[str]:
    """Have every abort callback of a run do its work.

    Blocks until each is done, has used up its time, or its process is gone.

    Args:
        cause: why the run is stopped: ``kind``, ``message``, ``by``.

    Returns:
        What became of each, in words; empty when nobody has a callback.
    """
    began = time.monotonic()
    waiting = {fd: terms for terms in _registered(spool) if (fd := _tell(spool, terms, cause)) >= 0}
    outcomes: list[str] = []
    poller = select.poll()
    for fd in waiting:
        poller.register(fd, 0)  # an error is always told: that nobody reads any more
    try:
        while waiting:
            now = time.monotonic()
            for fd in [fd for fd, (_, limit_s) in waiting.items() if now - began >= limit_s]:
                poller.unregister(fd)
                pid, limit_s = waiting.pop(fd)
                os.close(fd)
                outcomes.append(f"abort callback of process {pid}: not done after {limit_s:g} s")
            if not waiting:
                break
            next_s = began + min(limit_s for _, limit_s in waiting.values()) - now
            for fd, _ in poller.poll(max(next_s, 0) * 1000 + 1):
                poller.unregister(fd)
                pid, _ = waiting.pop(fd)
                os.close(fd)
                took_s = time.monotonic() - began
                outcomes.append(f"abort callback of process {pid}: over after {took_s:.1f} s")
    finally:
        for fd in waiting:
            os.close(fd)
    return outcomes


def _registered(spool: Path) -> list[tuple[int, float]]:
    """Process and time limit of each callback."""
    found: list[tuple[int, float]] = []
    for file in sorted(spool.glob("abort.*.json"))[:_MOST]:
        # The run's own processes write here: what is not as it should be is nobody's callback.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            with file.open("rb") as stream:
                terms = json.loads(stream.read(256))
            # In this order, which makes a number of what is none (NaN).
            found.append((int(terms["pid"]), max(0.0, min(LONGEST_S, float(terms["timeout_s"])))))
    return found


def _tell(spool: Path, terms: tuple[int, float], cause: Mapping[str, Any]) -> int:
    """Write the cause into a pipe; its writing end, or -1 when nobody reads there."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(pipe_path(str(spool), terms[0]), flags)
    except OSError:
        return -1  # no such process any more
    words = {name: str(cause.get(name) or "")[:_WORD] for name in ("kind", "message", "by")}
    message = json.dumps(words, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a pipe")
        os.write(fd, message)
    except OSError:
        os.close(fd)
        return -1
    return fd
