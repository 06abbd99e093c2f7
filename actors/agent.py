"""AgentActor: holds resources on a node and runs the attempts it is given."""

from __future__ import annotations

import asyncio
import logging
import platform

import anyio
from anyio.abc import TaskGroup

from dray.actors import handles
from dray.actors.attempt import AttemptRun, Workshop
from dray.actors.lifetime import log_to, run_for_life
from dray.actors.orders import AgentFacts, AttemptEnd, WorkOrder
from dray.actors.streams import remove_leftovers
from dray.actors.sweeping import sweep_for_ever
from dray.runtime.causes import Cause
from dray.runtime.clock import SystemClock
from dray.runtime.config import Settings
from dray.runtime.paths import NodePaths
from dray.runtime.subprocesses import Supervisor

log = logging.getLogger("dray.agent")

#: Ended attempts an agent remembers, so that an order that was given again runs nothing.
REMEMBERED_RUNS = 256


class AgentActor:
    """One slot (or, for services, several): Ray tracks what it holds, it runs what it is given.

    Owns: the process trees of its attempts, through one supervisor process.
    Rebuilt from: nothing; it never restarts. Its death is the proof that its attempts are
    dead, because the supervisor ends every tree when its agent goes.
    Guarantees: an order given twice runs once; ``run`` returns only when nothing of the
    attempt is left, and says so where the store does not know.
    """

    async def __init__(self, name: str, settings: Settings) -> None:
        log_to(NodePaths(settings.cache).root / "logs", name)
        self._name = name
        self._settings = settings
        #: {(task id, epoch): run}, those that are under way.
        self._runs: dict[tuple[str, int], AttemptRun] = {}
        #: {(task id, epoch): its end}, oldest first; ended ones stay for orders that come twice.
        self._ends: dict[tuple[str, int], asyncio.Future[AttemptEnd]] = {}
        self._ready = asyncio.Event()
        self._tasks: TaskGroup
        self._workshop: Workshop
        self._main = run_for_life(self._run(), f"agent {name}")

    async def facts(self) -> AgentFacts:
        """Who and where it is, as soon as it can take work."""
        await self._ready.wait()
        return AgentFacts(
            pid=handles.own_pid(),
            node=platform.node(),
            node_id=handles.own_node_id(),
            gpus=handles.own_gpu_ids(),
        )

    async def run(self, order: WorkOrder) -> AttemptEnd:
        """Run an attempt until nothing of it is left; asked again, wait for the same end."""
        await self._ready.wait()
        key = (order.task.id, order.epoch)
        if key not in self._ends:
            self._forget_oldest()
            run = self._runs[key] = AttemptRun(order, self._workshop)
            self._ends[key] = run.end
            self._tasks.start_soon(self._see_through, run, key, name=f"attempt {key[0][:8]}")
        return await asyncio.shield(self._ends[key])

    async def stop(self, task_id: str, epoch: int, cause: Cause) -> None:
        """End an attempt; nothing happens when it is not here."""
        run = self._runs.get((task_id, epoch))
        if run is not None:
            run.stop(cause)

    async def watch(self) -> None:
        """Never return: whoever awaits this hears from Ray at once when the agent is gone."""
        await asyncio.Event().wait()

    def _forget_oldest(self) -> None:
        ended = [key for key, end in self._ends.items() if end.done()]
        for key in ended[: max(0, len(ended) - REMEMBERED_RUNS)]:
            del self._ends[key]

    async def _see_through(self, run: AttemptRun, key: tuple[str, int]) -> None:
        try:
            await run.run()
        finally:
            del self._runs[key]

    async def _run(self) -> None:
        async with (
            Supervisor.start() as supervisor,
            anyio.create_task_group() as self._tasks,
        ):
            self._workshop = Workshop(
                agent=self._name,
                node_name=platform.node(),
                node=NodePaths(self._settings.cache),
                settings=self._settings,
                supervisor=supervisor,
                background=self._tasks,
                gpus=handles.own_gpu_ids(),
                clock=SystemClock(),
            )
            self._ready.set()
            self._tasks.start_soon(
                sweep_for_ever, self._settings, self._workshop.node, name="sweep containers"
            )
            removed = await asyncio.to_thread(remove_leftovers, self._workshop.node)
            if removed:
                log.info("removed what agents that are gone left: %s", ", ".join(removed))
            await anyio.sleep_forever()
