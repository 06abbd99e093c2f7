"""The process of an attempt, from its start until nothing of its tree is left."""

from __future__ import annotations

import asyncio
import logging
import signal
from dataclasses import dataclass, field

import anyio

from dray.actors.ending import ProcessEnd, setup_took_too_long
from dray.actors.orders import WorkOrder
from dray.actors.streams import AttemptSpool
from dray.actors.workshop import Workshop
from dray.envbuilder.containers.box import Box, BoxEnd
from dray.envbuilder.launch.plan import LaunchPlan
from dray.envbuilder.launch.setup_script import SetupOutput
from dray.runtime import causes, codec, monitoring
from dray.runtime.abort_pipe import run_callbacks
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.cgroups import CLOSE_WITHIN_S, Cgroup, OomWatch
from dray.runtime.hardware import Sampler
from dray.runtime.lease import LeaseTerms
from dray.runtime.models import OnLost
from dray.runtime.records import PREPARE, STDERR
from dray.runtime.spool import SpoolWriter
from dray.runtime.strays import end_strays
from dray.runtime.subprocesses import ChildProcess
from dray.sdk.runs.threads import in_thread
from dray.sdk.ship.shipping import Shipper

#: Between two hardware samples; a shorter task has none.
SAMPLE_EVERY_S = 10.0

log = logging.getLogger("dray.agent")


@dataclass
class StopRequest:
    """Why an attempt shall end, once somebody asked for it; the first cause counts.

    Attributes:
        at_once: nothing it says any more would be kept, so its abort callbacks are not called.
    """

    cause: Cause | None = None
    at_once: bool = False
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self, cause: Cause, *, at_once: bool = False) -> bool:
        """Give a cause; False when there was one before."""
        if self.cause is not None:
            return False
        self.cause, self.at_once = cause, at_once
        self.asked.set()
        return True


class ChildRun:
    """One child: started, streamed, sampled, fenced, stopped."""

    def __init__(
        self,
        order: WorkOrder,
        shop: Workshop,
        spool: AttemptSpool,
        shipper: Shipper,
        stop: StopRequest,
        box: Box | None = None,
    ) -> None:
        self._task, self._shop, self._spool = order.task, shop, spool
        self._shipper, self._stop = shipper, stop
        #: The container that the process is the client of; None: the process is the task.
        self._box = box
        self._terms = LeaseTerms(order.lease_ttl_s)
        grace_s = order.task.policy.stop_grace_s
        self._grace_s = shop.settings.stop_grace_s if grace_s is None else grace_s
        self._is_deaf = False
        self._callbacks: list[str] = []
        self._setup: SetupOutput | None = None
        #: The process is the task itself, not its setup scripts.
        self._is_task = asyncio.Event()
        self._cgroup = Cgroup([])
        if shop.settings.cgroups:
            name = f"{order.task.id}.{order.epoch}"
            # A container has its limit from its engine; its client is not what it is about.
            is_engines = box is not None and box.engine.keeps_containers
            memory_bytes = 0 if is_engines else order.task.execution.resources.memory_bytes
            self._cgroup = Cgroup.make(name, memory_bytes) if memory_bytes else Cgroup.plan(name)
        # A container's memory is counted in its own cgroup: there the whole machine's count helps.
        self._oom = OomWatch(self._cgroup) if box is None else OomWatch(Cgroup([]), [])

    async def run(self, plan: LaunchPlan, setup: SetupOutput | None = None) -> ProcessEnd:
        """Start it and watch over it until it and everything below it is gone.

        Args:
            setup: tells what setup scripts, which run in it first, say; None: there are none.

        Raises:
            OSError: it could not be started.
            DrayError: the supervisor could not be started.
        """
        process: ChildProcess | None = None
        self._setup = setup
        if setup is None:
            self._is_task.set()
        try:
            process = await self._shop.supervisor.spawn(
                plan.argv,
                cwd=plan.cwd,
                env=plan.env,
                on_output=self._keep,
                cgroup=self._cgroup,
                fence_at=self._fence_at(),
            )
            await self._watch(process)
            self._end_output()
            return self._end_of(process, None if self._box is None else await self._box.end())
        finally:
            is_stuck = process is not None and bool(process.stuck_pids)
            with anyio.CancelScope(shield=True):
                await self._remove_container()
                await asyncio.to_thread(self._cgroup.close, 0.0 if is_stuck else CLOSE_WITHIN_S)

    async def _remove_container(self) -> None:
        """Nothing of a container outlives its attempt, and what it held is free."""
        if self._box is None or await self._box.remove():
            return
        log.warning("the container engine did not remove %s; it is swept later", self._box.name)
        await asyncio.to_thread(end_strays, "DRAY_SPOOL", str(self._spool.paths.root))

    async def _watch(self, process: ChildProcess) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._stop_when_asked, process)
                tasks.start_soon(self._see_it_begin)
                tasks.start_soon(self._sample, process.pid)
                tasks.start_soon(self._hold_fence, process)
                await process.wait()
                # What the child left behind holds memory and GPUs: it goes before the slot is free.
                await process.stop(self._grace_s, signal.SIGTERM)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):  # whatever happened, no process outlives this
                await process.stop(0, signal.SIGKILL)
                status = process.status
                if status is not None and status.lost and not process.stuck_pids:
                    # Nobody kept what the child had detached from itself.
                    spool = str(self._spool.paths.root)
                    await asyncio.to_thread(end_strays, "DRAY_SPOOL", spool)

    def _end_of(self, process: ChildProcess, container: BoxEnd | None) -> ProcessEnd:
        status = process.status
        assert status is not None  # noqa: S101 - wait() returned
        died_of_kill = status.signal == signal.SIGKILL or status.exit_code == 128 + signal.SIGKILL
        return ProcessEnd(
            status,
            asked=self._stop.cause,
            steps=(*self._callbacks, *process.steps),
            fenced=process.fenced,
            starved=(container.starved() if container is not None else None)
            or self._oom.verdict(
                died_of_kill=died_of_kill and not process.fenced,
                max_rss_bytes=0 if container is not None else status.max_rss_bytes,
            ),
            container=container,
            stuck_pids=tuple(process.stuck_pids),
            setup_failed=self._setup.tail() if self._is_in_setup() and self._setup else None,
        )

    def _is_in_setup(self) -> bool:
        """Whether its setup scripts have begun, and not come to their end."""
        return self._setup is not None and self._setup.began and not self._setup.passed

    def _keep(self, stream: str, data: bytes) -> None:
        """Put output into the spool; without room for it the attempt ends, at an exact prefix."""
        if self._is_deaf:
            return
        try:
            if self._setup is not None and stream == STDERR and not self._is_task.is_set():
                self._keep_parts(*self._setup.feed(data))
            else:
                self._spool.append(stream, data)
        except OSError as exc:
            self._turn_deaf(exc)

    def _keep_parts(self, said: bytes, own: bytes) -> None:
        """Keep what setup scripts said in the log of the preparation, the rest as stderr."""
        for stream, data in ((PREPARE, said), (STDERR, own)):
            if data:
                self._spool.append(stream, data)
        if self._setup is not None and self._setup.passed:
            self._is_task.set()

    def _end_output(self) -> None:
        """Have the last bytes of a flood kept, and what each stream came to stated."""
        try:
            if self._setup is not None:
                self._keep_parts(*self._setup.close())
            self._spool.end_output()
        except OSError as exc:
            self._turn_deaf(exc)

    def _turn_deaf(self, exc: OSError) -> None:
        self._is_deaf = True
        message = f"its output could not be kept on node {self._shop.node_name}: {exc}"
        self._stop.ask(Cause(CauseKind.WORKER_LOST, message), at_once=True)

    async def _stop_when_asked(self, process: ChildProcess) -> None:
        await self._stop.asked.wait()
        cause = self._stop.cause
        if cause is not None and not self._stop.at_once:
            told = codec.to_json(cause)
            root = self._spool.paths.root
            self._callbacks = await in_thread(lambda: run_callbacks(root, told))
        await process.stop(self._grace_s)

    async def _see_it_begin(self) -> None:
        """Wait for its setup scripts, within their limit; the task's own limit counts from then."""
        if not self._is_task.is_set():
            limit_s = self._shop.settings.setup_limit_s
            with anyio.move_on_after(limit_s):
                await self._is_task.wait()
            if not self._is_task.is_set():
                tail = self._setup.tail() if self._setup is not None else ""
                self._stop.ask(setup_took_too_long(limit_s, tail))
                return
        self._shipper.mark_executing()
        await self._limit_time()

    async def _limit_time(self) -> None:
        limit_s = self._task.policy.max_run_time_s
        if limit_s is not None:
            await anyio.sleep(limit_s)
            self._stop.ask(causes.time_limit(limit_s))

    async def _sample(self, pid: int) -> None:
        """Record what the child's tree and its machine use, as long as there is room for it."""
        try:
            await self._sample_for_ever(pid)
        except OSError as exc:
            log.warning("task %s is not sampled: %s", self._task.id[:8], exc)

    async def _sample_for_ever(self, pid: int) -> None:
        began = self._shop.clock.monotonic()
        await anyio.sleep(SAMPLE_EVERY_S)  # a short task is spared even the first look
        if self._box is not None:
            pid = await self._box.pid() or pid
        sampler = await asyncio.to_thread(Sampler, pid=pid)
        with SpoolWriter(self._spool.records) as writer:
            # Said by Task.init, which the script has come to by now, if ever.
            while pause_s := monitoring.every_s(self._spool.paths.root, SAMPLE_EVERY_S):
                await anyio.sleep(pause_s)
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
        while (at := self._fence_at()) is not None:
            process.fence(at)
            await anyio.sleep(self._terms.renew_every_s / 2)

    def _fence_at(self) -> float | None:
        """When the child must be dead unless the lease is renewed before; None: never."""
        confirmed = self._shipper.last_confirmed
        if confirmed is None or self._task.policy.on_lost is OnLost.WAIT:
            return None
        return confirmed + self._terms.fence_after_s
