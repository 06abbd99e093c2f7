"""Ends coordinators that hang, so that Ray starts them again: they cannot say so themselves."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress

import anyio

from dray.actors import handles
from dray.actors.orders import Health

log = logging.getLogger("dray.actors")

#: No process of a healthy machine answers nothing for so long.
SHORTEST_HANG_S = 5.0
#: A coordinator is ended after this share of a lease, so that it is back before any fence falls.
HANG_SHARE = 1 / 3


class Watchdog:
    """Asks one coordinator now and then whether it is there.

    It only ends a process it has heard of before and that still exists: one that is being
    started takes its time. All coordinators live on the head node, so a signal reaches them.

    Args:
        name: of the coordinator, for the log.
        find: its handle; None while there is none.
        lease_ttl_s: length of a lease.
    """

    def __init__(
        self, name: str, find: Callable[[], handles.Handle | None], lease_ttl_s: float
    ) -> None:
        self._name, self._find = name, find
        self._hang_s = max(lease_ttl_s * HANG_SHARE, SHORTEST_HANG_S)
        #: The process that last answered, and a descriptor of it: pids are used again.
        self._pid, self._process = 0, -1

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            await self.look()
            await anyio.sleep(self._hang_s / 2)

    async def look(self) -> None:
        """Ask once; a process that does not answer in time is ended."""
        actor = self._find()
        if actor is None:
            self._forget()
            return
        try:
            with anyio.fail_after(self._hang_s):
                health: Health = await actor.alive.remote()
        except TimeoutError:
            self._end()
        except (handles.CallFailed, *handles.ActorTrouble) as exc:
            log.info("%s: %s", self._name, handles.first_line(exc))
        else:
            self._remember(health.pid)

    def _remember(self, pid: int) -> None:
        if pid == self._pid:
            return
        self._forget()
        try:
            self._pid, self._process = pid, os.pidfd_open(pid)
        except (OSError, AttributeError) as exc:  # Linux before 5.3, or a Python built there
            log.info("%s (pid %d) cannot be watched: %s", self._name, pid, exc)

    def _forget(self) -> None:
        if self._process >= 0:
            os.close(self._process)
        self._pid, self._process = 0, -1

    def _end(self) -> None:
        if self._process < 0:
            return
        with suppress(ProcessLookupError):  # it has ended and is being started again
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
            log.error("%s (pid %d) hung for %g s: ended", self._name, self._pid, self._hang_s)
        self._forget()
