"""The process beside a run started by hand (``sdk/ship/shipper.py``), as its script sees it.

It is told when the run is over while its process goes on, and can be waited for, so that what a
closed task is asked for is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping

#: How long a question waits for what a closed run recorded; then the server answers as it can.
SETTLE_WITHIN_S = 15.0


class _Beside(subprocess.Popen[bytes]):
    """A process that outlives this one on purpose: not waiting for it is no leak."""

    def __del__(self) -> None:
        pass


class Companion:
    """One such process.

    Attributes:
        task_id: of its run.
    """

    def __init__(self, task_id: str, spool: str, environment: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            OSError: the system cannot.
        """
        self.task_id = task_id
        command = [sys.executable, "-m", "dray.sdk.ship.shipper", spool, "--pid", str(os.getpid())]
        # The spool as working directory: the user's may hold a queue.py that would shadow Python's.
        self._process = _Beside(
            [*command, "--told"],
            cwd=spool,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def is_running(self) -> bool:
        """Whether it is there."""
        return self._process.poll() is None

    def tell_over(self) -> bool:
        """Say that the run is over, its process not; whether there was anybody to hear it."""
        pipe = self._process.stdin
        if pipe is None or not self.is_running:
            return False
        try:
            os.write(pipe.fileno(), b".")
        except OSError:
            return False
        pipe.close()
        _over.append(self)
        return True

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; whether it came."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True


#: Those of runs that are over and perhaps not shipped.
_over: list[Companion] = []


def settle(timeout_s: float = SETTLE_WITHIN_S) -> None:
    """Wait until what closed runs of this process recorded is at the server, or is given up."""
    deadline = time.monotonic() + timeout_s
    while _over:
        _over.pop(0).wait(max(0.0, deadline - time.monotonic()))


def reap() -> None:
    """Forget those that have ended; waits for nothing."""
    _over[:] = [companion for companion in _over if companion.is_running]


def closed_here(task_id: str) -> bool:
    """Whether a run of that task was closed by this process."""
    return task_id in _closed


#: Ids of tasks whose run this process closed.
_closed: set[str] = set()


def note_closed(task_id: str) -> None:
    """A run of that task was closed by this process."""
    _closed.add(task_id)
