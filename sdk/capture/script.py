"""A running script that is not our child: notice its end, and end it with its whole tree."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from typing import Any

from dray.runtime.children import in_words

#: How often a process is looked at where the system cannot tell of its end.
_LOOK_EVERY_S = 0.2
#: How often the rest of a tree is looked at once signals were sent.
_LOOK_AGAIN_S = 0.05
#: Longest time between TERM and KILL, as for the children of agents.
_TERM_GRACE_S = 1.0
#: How long KILL is repeated; what is there still hangs in the kernel.
_KILL_WITHIN_S = 5.0
#: Windows knows but one way to end a process.
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


class Script:
    """The process of a run started by hand, known by its pid and the time it was born.

    Args:
        pid: of the process; one that is gone already has ended.
    """

    def __init__(self, pid: int) -> None:
        import psutil

        self._psutil: Any = psutil
        self.pid = pid
        self._pidfd = -1
        self._process: Any = None
        #: {pid: process}; everything seen below the script, also after its parent has gone
        self._seen: dict[int, Any] = {}
        try:
            self._process = psutil.Process(pid)
            if hasattr(os, "pidfd_open"):
                self._pidfd = os.pidfd_open(pid)
        except (psutil.NoSuchProcess, ProcessLookupError):
            self._process = None
        except OSError:
            self._pidfd = -1  # an old kernel or a strict sandbox: look instead

    @property
    def is_running(self) -> bool:
        """Whether the process is there; one that nobody has waited for yet is not."""
        return self._process is not None and _is_alive(self._psutil, self._process)

    async def ended(self) -> None:
        """Wait for its end, however it came."""
        if self._pidfd >= 0:
            loop = asyncio.get_running_loop()
            gone = asyncio.Event()
            # Several may wait; each has its own copy of the descriptor.
            fd = os.dup(self._pidfd)
            loop.add_reader(fd, gone.set)
            try:
                await gone.wait()
            finally:
                loop.remove_reader(fd)
                os.close(fd)
        while self.is_running:  # noqa: ASYNC110  (no system tells us where there is no pidfd)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def stop(self, grace_s: float) -> list[str]:
        """End the tree: INT, ``grace_s`` seconds, TERM, at most one second, KILL.

        Returns:
            Which signals went to how many processes, and which outlived them.
        """
        steps: list[str] = []
        polite = [(signal.SIGINT, grace_s), (signal.SIGTERM, min(grace_s, _TERM_GRACE_S))]
        for number, wait_s in [] if sys.platform == "win32" else polite:
            steps += self._send(number, number.name)
            if await self._gone_within(wait_s):
                return steps
        deadline = time.monotonic() + _KILL_WITHIN_S
        steps += self._send(_KILL, "SIGKILL")
        while not await self._gone_within(_LOOK_AGAIN_S):
            if time.monotonic() > deadline:
                pids = ", ".join(str(process.pid) for process in self._tree())
                return [*steps, f"these processes outlived SIGKILL: {pids}"]
            self._send(_KILL, "SIGKILL")  # it may have forked meanwhile
        return steps

    def _send(self, number: int, name: str) -> list[str]:
        """Signal the tree; in words, when there was anything to signal."""
        tree = self._tree()
        for process in tree:
            with contextlib.suppress(self._psutil.Error):  # it has just ended
                process.send_signal(number)
                if number in (signal.SIGINT, signal.SIGTERM) and hasattr(signal, "SIGCONT"):
                    process.send_signal(signal.SIGCONT)  # one that is stopped would not act on it
        return [in_words(name, len(tree))] if tree else []

    def close(self) -> None:
        """Let go of the process; it goes on."""
        fd, self._pidfd = self._pidfd, -1
        if fd >= 0:
            os.close(fd)

    def _tree(self) -> list[Any]:
        """The script first, then all below it but us: we are started by it."""
        if self._process is None:
            return []
        with contextlib.suppress(self._psutil.Error):
            self._seen.update({p.pid: p for p in self._process.children(recursive=True)})
        ours = {os.getpid()}
        with contextlib.suppress(self._psutil.Error):
            ours |= {p.pid for p in self._psutil.Process().children(recursive=True)}
        below = [process for pid, process in self._seen.items() if pid not in ours]
        return [p for p in (self._process, *below) if _is_alive(self._psutil, p)]

    async def _gone_within(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self._tree():
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(_LOOK_AGAIN_S)
        return True


def _is_alive(psutil: Any, process: Any) -> bool:
    try:
        # `is_running` compares the time of birth, so a pid used again is not taken for it.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
