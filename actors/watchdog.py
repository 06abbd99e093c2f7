"""Ends coordinators that hang, so that Ray starts them again: they cannot say so themselves."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable

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
        self._pid = 0

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            await self.look()
            await anyio.sleep(self._hang_s / 2)

    async def look(self) -> None:
        """Ask once; a process that does not answer in time is ended."""
        actor = self._find()
        if actor is None:
            self._pid = 0
            return
        try:
            with anyio.fail_after(self._hang_s):
                health: Health = await actor.alive.remote()
        except TimeoutError:
            self._end()
        except (handles.CallFailed, *handles.ActorTrouble) as exc:
            log.info("%s: %s", self._name, handles.first_line(exc))
        else:
            self._pid = health.pid

    def _end(self) -> None:
        pid, self._pid = self._pid, 0
        if not pid:
            return
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # it has ended and is being started again
        log.error("%s (pid %d) hung for %g s and was ended", self._name, pid, self._hang_s)
