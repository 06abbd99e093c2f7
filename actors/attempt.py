"""What an agent does with one attempt: prepare, start, stream, renew, close."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal

import anyio

from dray.actors.ending import preparation_cause, process_cause
from dray.actors.orders import AttemptEnd, WorkOrder
from dray.actors.preparation import Prepared, prepare
from dray.actors.streams import AttemptSpool
from dray.actors.workshop import Workshop
from dray.runtime import causes
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.clock import Clock
from dray.runtime.errors import DrayError, NotFound, ServerUnreachable, StaleEpoch
from dray.runtime.hardware import Sampler
from dray.runtime.lease import LeaseTerms, must_fence
from dray.runtime.models import OnLost
from dray.runtime.records import PREPARE
from dray.runtime.spool import SpoolWriter
from dray.runtime.spool_console import ConsoleBounds
from dray.runtime.subprocesses import ChildProcess
from dray.sdk.client import Client
from dray.sdk.shipping import Pace, Shipper

#: Between two hardware samples; a shorter task has none.
SAMPLE_EVERY_S = 10.0
#: After this long without an answer to its end, an attempt says so in the agent's log.
FINISH_TIMEOUT_S = 60.0

log = logging.getLogger("dray.agent")


class AttemptRun:
    """One attempt on this agent.

    ``run`` is owned by the agent's task group; ``stop`` only says why, ``run`` reacts.
    """

    def __init__(self, order: WorkOrder, shop: Workshop) -> None:
        self._order = order
        self._shop = shop
        self._terms = LeaseTerms(order.lease_ttl_s)
        settings = shop.settings
        self._spool = AttemptSpool(
            shop.node.attempt(order.task.id, order.epoch),
            ConsoleBounds(settings.console_burst_bytes, settings.console_rate_bytes_s),
        )
        self._stop_cause: Cause | None = None
        self._stopping = asyncio.Event()
        self._preparing: anyio.CancelScope | None = None
        self._is_deaf = False
        self._shipper: Shipper
        #: See ``run``.
        self.end: asyncio.Future[AttemptEnd] = asyncio.get_running_loop().create_future()

    def stop(self, cause: Cause) -> None:
        """Ask the attempt to end; the first cause that is given counts."""
        if self._stop_cause is not None:
            return
        self._stop_cause = cause
        self._stopping.set()
        if self._preparing is not None:
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
        finally:
            self.end.set_result(AttemptEnd(untold))
        await asyncio.to_thread(shutil.rmtree, self._spool.root, ignore_errors=True)

    async def _run(self) -> str:
        order = self._order
        self._spool.open(order, agent=self._shop.agent, node=self._shop.node_name)
        with self._spool, Client(order.url, order.token, retries=0) as client:
            self._shipper = Shipper(
                self._spool.paths,
                order.task.id,
                order.epoch,
                client,
                pace=Pace(
                    lease_ttl_s=order.lease_ttl_s, renew_wait_s=self._shop.settings.heartbeat_s
                ),
                on_stop=self.stop,
                on_refused=self._give_up,
            )
            self._spool.on_append = self._notify
            async with self._shipper:
                cause = await self._cause(client)
                self._end_output()  # also of a preparation that failed
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
        self.stop(causes.aborted("the server", exc.message))

    async def _cause(self, client: Client) -> Cause:
        prepared = await self._prepare(client)
        if isinstance(prepared, Cause):
            return prepared
        with prepared.environment:
            try:
                process = await self._shop.supervisor.spawn(
                    prepared.plan.argv,
                    cwd=prepared.plan.cwd,
                    env=prepared.plan.env,
                    on_output=self._keep,
                )
            except (OSError, DrayError) as exc:
                return preparation_cause(exc)
            return await self._see_through(process)

    async def _prepare(self, client: Client) -> Prepared | Cause:
        """Source and environment, or why there are none; a stop ends it at once."""
        prepared: Prepared | None = None
        with anyio.CancelScope() as self._preparing:
            if self._stop_cause is None:
                try:
                    prepared = await prepare(self._order, self._spool, self._shop, client)
                    self._shipper.set_environment(prepared.environment.report)
                except (DrayError, OSError) as exc:
                    return preparation_cause(exc)
        self._preparing = None
        if prepared is None or self._stop_cause is not None:
            if prepared is not None:
                prepared.environment.release()
            assert self._stop_cause is not None  # noqa: S101 - only a stop cancels the scope
            return self._stop_cause
        return prepared

    async def _see_through(self, process: ChildProcess) -> Cause:
        """Watch over a child until it and everything below it is gone."""
        self._shipper.mark_executing()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._stop_when_asked, process)
                tasks.start_soon(self._sample, process.pid)
                tasks.start_soon(self._hold_fence, process)
                await process.wait()
                # What the child left behind holds memory and GPUs: it goes before the slot is free.
                await process.stop(self._shop.settings.stop_grace_s, signal.SIGTERM)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):  # whatever happened, no process outlives this
                await process.stop(0, signal.SIGKILL)
        self._end_output()
        status = process.status
        assert status is not None  # noqa: S101 - wait() returned
        fenced = status.signal == signal.SIGKILL and self._fence_is_due(self._shop.clock)
        return await asyncio.to_thread(
            process_cause,
            status,
            self._spool.paths,
            asked=self._stop_cause,
            steps=process.steps,
            fenced=fenced,
        )

    def _keep(self, stream: str, data: bytes) -> None:
        """Put output into the spool; without room for it the attempt ends, at an exact prefix."""
        if self._is_deaf:
            return
        try:
            self._spool.append(stream, data)
        except OSError as exc:
            self._turn_deaf(exc)

    def _end_output(self) -> None:
        """Have the last bytes of a flood kept, and what each stream came to stated."""
        try:
            self._spool.end_output()
        except OSError as exc:
            self._turn_deaf(exc)

    def _turn_deaf(self, exc: OSError) -> None:
        self._is_deaf = True
        message = f"its output could not be kept on node {self._shop.node_name}: {exc}"
        self.stop(Cause(CauseKind.WORKER_LOST, message))

    async def _stop_when_asked(self, process: ChildProcess) -> None:
        await self._stopping.wait()
        await process.stop(self._shop.settings.stop_grace_s)

    async def _sample(self, pid: int) -> None:
        """Record what the child's tree and its machine use, as long as there is room for it."""
        try:
            await self._sample_for_ever(pid)
        except OSError as exc:
            log.warning("task %s is not sampled: %s", self._order.task.id[:8], exc)

    async def _sample_for_ever(self, pid: int) -> None:
        began = self._shop.clock.monotonic()
        await anyio.sleep(SAMPLE_EVERY_S)  # a short task is spared even the first look
        sampler = await asyncio.to_thread(Sampler, pid=pid)
        with SpoolWriter(self._spool.records) as writer:
            while True:
                await anyio.sleep(SAMPLE_EVERY_S)
                elapsed_s = round(self._shop.clock.monotonic() - began)
                sample = await asyncio.to_thread(sampler.sample)
                for title, values in sample.items():
                    for series, value in values.items():
                        writer.scalar(title, series, elapsed_s, value)
                self._shipper.notify()

    async def _hold_fence(self, process: ChildProcess) -> None:
        """Keep the child's dead man's switch from falling while the lease is renewed.

        The switch is in the child's keeper, so it also falls when this process hangs. Under
        the policy ``wait`` nobody else will run the task, so silence ends nothing.
        """
        if self._order.task.policy.on_lost is OnLost.WAIT:
            return
        while True:
            silent_s = self._shop.clock.monotonic() - self._shipper.last_confirmed
            process.fence(max(self._terms.fence_after_s - silent_s, 0.01))
            await anyio.sleep(self._terms.renew_every_s / 2)

    def _fence_is_due(self, clock: Clock) -> bool:
        return must_fence(self._shipper.last_confirmed, clock.monotonic(), self._terms)
