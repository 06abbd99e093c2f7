"""What an agent does with one attempt: prepare, run, renew, close."""

from __future__ import annotations

import asyncio
import logging
import shutil

import anyio

from dray.actors.child import ChildRun, StopRequest
from dray.actors.ending import preparation_cause, process_cause, start_cause
from dray.actors.orders import AttemptEnd, WorkOrder
from dray.actors.preparation import Prepared, prepare
from dray.actors.streams import AttemptSpool
from dray.actors.workshop import Workshop
from dray.runtime import causes
from dray.runtime.causes import Cause
from dray.runtime.clock import monotonic_origin
from dray.runtime.errors import DrayError, NotFound, ServerUnreachable, StaleEpoch
from dray.runtime.lease import LeaseTerms, may_start
from dray.runtime.records import PREPARE
from dray.runtime.spool_console import ConsoleBounds
from dray.sdk.client import Client
from dray.sdk.ship.shipping import Pace, Shipper

#: After this long without an answer to its end, an attempt says so in the agent's log.
FINISH_TIMEOUT_S = 60.0
#: Before the first renewal of a lease that is known to be fresh; shorter tasks need none.
RENEW_AFTER_S = 0.5

log = logging.getLogger("dray.agent")


class AttemptRun:
    """One attempt on this agent.

    ``run`` is owned by the agent's task group; ``stop`` only says why, ``run`` reacts.
    """

    def __init__(self, order: WorkOrder, shop: Workshop) -> None:
        self._order = order
        self._shop = shop
        settings = shop.settings
        self._spool = AttemptSpool(
            shop.node.attempt(order.task.id, order.epoch),
            ConsoleBounds(settings.console_burst_bytes, settings.console_rate_bytes_s),
        )
        self._stop = StopRequest()
        self._preparing: anyio.CancelScope | None = None
        self._shipper: Shipper
        self._worker_failed = False
        self._stuck_pids: list[int] = []
        #: See ``run``.
        self.end: asyncio.Future[AttemptEnd] = asyncio.get_running_loop().create_future()

    def stop(self, cause: Cause, *, at_once: bool = False) -> None:
        """Ask the attempt to end; the first cause that is given counts.

        Args:
            at_once: nothing it says any more would be kept.
        """
        if self._stop.ask(cause, at_once=at_once) and self._preparing is not None:
            self._preparing.cancel()

    async def run(self) -> None:
        """The whole attempt; what the user's code or the node does never makes this raise.

        Sets ``end`` when its processes are gone.
        """
        untold = "its agent was ended"
        try:
            untold = await self._run()
        except Exception as exc:  # a fault of this attempt must not take the agent's others along
            log.exception("task %s could not be seen through", self._order.task.id[:8])
            untold = f"its agent could not see it through: {exc!r}"
            self._worker_failed = True
        finally:
            self.end.set_result(AttemptEnd(untold, self._worker_failed, self._stuck_pids))
        await asyncio.to_thread(shutil.rmtree, self._spool.root, ignore_errors=True)

    async def _run(self) -> str:
        order = self._order
        self._spool.open(order, agent=self._shop.agent, node=self._shop.node_name)
        with self._spool, Client(order.url, order.token, retries=0) as client:
            confirmed_at = order.confirmed_at(monotonic_origin())
            self._shipper = Shipper(
                self._spool.paths,
                order.task.id,
                order.epoch,
                client,
                pace=Pace(
                    lease_ttl_s=order.lease_ttl_s,
                    renew_after_s=0.0 if confirmed_at is None else RENEW_AFTER_S,
                    renew_wait_s=self._shop.settings.heartbeat_s,
                ),
                on_stop=self.stop,
                on_refused=self._give_up,
                confirmed_at=confirmed_at,
            )
            self._spool.on_append = self._notify
            async with self._shipper:
                cause = await self._cause(client)
                self._end_output()  # also of a preparation that failed
                # Silence of the server is not this agent's failure.
                self._worker_failed = causes.is_infrastructure(cause) and cause.by != "fence"
                return await self._close(cause)

    async def _close(self, cause: Cause) -> str:
        """Have the store take the end; why it does not, unless it knows better.

        An absent one is awaited.
        """
        while True:
            try:
                await self._shipper.finish(cause, FINISH_TIMEOUT_S)
            except ServerUnreachable as exc:
                log.warning("%s", exc)
            except (StaleEpoch, NotFound) as exc:
                log.info("task %s is no longer this agent's: %s", self._order.task.id[:8], exc)
                return ""
            except DrayError as exc:
                log.warning("the end of task %s was refused: %s", self._order.task.id[:8], exc)
                return f"the server took no more of what it put out: {exc.message}"
            else:
                return ""

    def _notify(self, stream: str) -> None:
        # What a warm preparation has to say is over at once and worth no request of its own.
        self._shipper.notify(can_wait=stream == PREPARE)

    def _give_up(self, exc: DrayError) -> None:
        """The server takes nothing more of this attempt: it must not go on."""
        self.stop(causes.aborted("the server", exc.message), at_once=True)

    def _end_output(self) -> None:
        try:
            self._spool.end_output()
        except OSError as exc:
            log.warning("task %s: its last output is not kept: %s", self._order.task.id[:8], exc)

    async def _cause(self, client: Client) -> Cause:
        prepared = await self._prepare(client)
        if isinstance(prepared, Cause):
            return prepared
        with prepared.environment:
            child = ChildRun(
                *(self._order, self._shop, self._spool, self._shipper, self._stop),
                box=prepared.box,
            )
            try:
                end = await child.run(prepared.plan, prepared.setup)
            except (OSError, DrayError) as exc:
                return start_cause(exc)
            self._stuck_pids = list(end.stuck_pids)
            cause = await asyncio.to_thread(process_cause, end, self._spool.paths)
            if cause.exit_code or cause.signal:
                prepared.environment.doubt()  # perhaps its files did it
            return cause

    async def _until_confirmed(self) -> None:
        """Wait until the server has lately said that the task is this agent's."""
        terms, clock = LeaseTerms(self._order.lease_ttl_s), self._shop.clock
        while not may_start(self._shipper.last_confirmed, clock.monotonic(), terms):
            await self._shipper.until_confirmed()

    async def _prepare(self, client: Client) -> Prepared | Cause:
        """Source and environment, or why there are none; a stop ends it at once."""
        prepared: Prepared | None = None
        with anyio.CancelScope() as self._preparing:
            if self._stop.cause is None:
                try:
                    prepared = await prepare(self._order, self._spool, self._shop, client)
                    self._shipper.set_environment(prepared.report)
                    await self._until_confirmed()
                except (DrayError, OSError) as exc:
                    return preparation_cause(exc)
        self._preparing = None
        if prepared is None or self._stop.cause is not None:
            if prepared is not None:
                prepared.environment.release()
            assert self._stop.cause is not None  # noqa: S101 - only a stop cancels the scope
            return self._stop.cause
        return prepared
