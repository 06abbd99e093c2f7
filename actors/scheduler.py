"""SchedulerActor: matches pending tasks with agents, commits the claims, minds the attempts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import anyio
from anyio.abc import TaskGroup

from dray.actors import handles
from dray.actors.ahead import Ahead, builder_on
from dray.actors.changes import Changes
from dray.actors.fleet import Fleet, Member
from dray.actors.insisting import insist
from dray.actors.lifetime import log_to, run_for_life, stop_patience_s
from dray.actors.orders import AttemptEnd, ClaimIntent, ClusterState, Health, WorkOrder
from dray.actors.watchdog import Watchdog
from dray.runtime import policy
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.clock import SystemClock
from dray.runtime.config import Settings
from dray.runtime.ids import new_id
from dray.runtime.models import QueueEntry
from dray.runtime.paths import HomePaths
from dray.runtime.policy import Claim, NodeView, RetireAgent, StartAgent, View
from dray.runtime.resources import Resources

log = logging.getLogger("dray.scheduler")

#: Leases are looked at this many times within one lease.
EXPIRY_CHECKS_PER_LEASE = 6
#: How long a restarted scheduler waits to hear from the agents it takes over.
ADOPTION_S = 5.0
#: Before a plan is made again whose claims the store could not take.
CLAIM_RETRY_S = 1.0
#: Why attempts are stopped when the whole cluster is.
GOING_DOWN = Cause(CauseKind.PREEMPTED, "the cluster went down", by="dray down")


class SchedulerActor:
    """Plans whenever it is told that something changed.

    Owns: nothing that is not in the store; in memory the queue windows and the fleet.
    Rebuilt from: the store (agents, open attempts) and the queue actors, when it starts.
    Guarantees: a claim is committed before its agent hears of it; an attempt whose agent is
    gone is told to the store as such; every order may be given again.
    """

    async def __init__(self, settings: Settings) -> None:
        log_to(HomePaths(settings.home).logs, handles.SCHEDULER)
        self._settings = settings
        self._clock = SystemClock()
        #: {queue: {task_id: entry}}, what the queue actors said and no claim has settled yet.
        self._heads: dict[str, dict[str, QueueEntry]] = {}
        self._nodes: tuple[NodeView, ...] = ()
        self._static_queues: frozenset[str] = frozenset()
        self._wake = asyncio.Event()
        self._changes = Changes()
        self._recovered = asyncio.Event()
        self._draining = False
        #: Of this process: what an earlier scheduler has still under way is refused.
        self._generation = new_id()
        self._tasks: TaskGroup
        self._fleet: Fleet
        self._ahead = Ahead(settings, self._clock, self._begin, self._wake.set)
        self._main = run_for_life(self._run(), "scheduler")

    async def alive(self) -> Health:
        """That it does not hang."""
        return handles.own_health()

    async def ping(self) -> Health:
        """That it is there and has read the store."""
        await self._recovered.wait()
        return await self.alive()

    async def offer(self, queue: str, entries: list[QueueEntry]) -> None:
        """Entries at the head of a queue, pushed by its actor."""
        window = self._heads.setdefault(queue, {})
        window.update((entry.task_id, entry) for entry in entries)
        self._wake.set()

    async def withdraw(self, task_ids: list[str]) -> None:
        """Tasks that left their queue otherwise than by a claim."""
        for window in self._heads.values():
            for task_id in task_ids:
                window.pop(task_id, None)
        self._ahead.withdraw(task_ids)
        self._wake.set()

    async def queues_changed(self, static_queues: list[str]) -> None:
        """Which queues only agents started by hand serve."""
        self._static_queues = frozenset(static_queues)
        self._wake.set()

    async def why(self, task_id: str) -> str:
        """One sentence: why a pending task is not running."""
        if self._draining:
            return "the cluster is going down"
        reasons = (policy.why(self._view(), task_id), self._ahead.note(task_id))
        return "; ".join(filter(None, reasons))

    async def warm_up(self, timeout_s: float) -> int:
        """Wait until a first agent is ready; how many there are then, 0 when none has room."""
        await self._recovered.wait()
        with anyio.move_on_after(timeout_s):
            await self._changes.wait_until(lambda: all(m.ready for m in self._fleet))
        return sum(member.ready for member in self._fleet)

    async def drain(self, timeout_s: float) -> int:
        """Tell every running attempt to end and give its task back; how many were told."""
        self._draining = True
        running = [(member, key) for member in self._fleet for key in member.running]
        for member, key in running:
            member.handle.stop.remote(*key, GOING_DOWN)
        with anyio.move_on_after(timeout_s):
            await self._changes.wait_until(lambda: not any(m.running for m in self._fleet))
        return len(running)

    async def doubt(self, agent: str) -> None:
        """An attempt of this agent was given up because it was silent: see whether it hangs."""
        member = self._fleet.get(agent)
        if member is not None:
            self._tasks.start_soon(self._fleet.doubt, member, name=f"doubt {agent}")

    async def drain_agent(self, name: str, reason: str) -> bool:
        """Give an agent no more work; False when there is none of that name."""
        member = self._fleet.get(name)
        if member is not None:
            await self._fleet.drain(member, reason)
        return member is not None

    async def resume_agent(self, name: str) -> bool:
        """Give a drained agent work again; False when there is none of that name."""
        member = self._fleet.get(name)
        if member is not None:
            await self._fleet.resume(member)
        return member is not None

    async def make_builder(self, node_id: str) -> None:
        """Have the builder of a node made, where there is none."""
        await asyncio.to_thread(builder_on, node_id, self._settings)

    async def stop_agent(self, name: str, by: str) -> bool:
        """End an agent; what it runs goes back to its queue. False when there is none."""
        member = self._fleet.get(name)
        if member is None:
            return False
        await self._fleet.drain(member, f"being stopped by {by}")
        self._tasks.start_soon(self._stop_agent, member, by, name=f"stop {name}")
        return True

    async def _stop_agent(self, member: Member, by: str) -> None:
        cause = Cause(CauseKind.PREEMPTED, "its agent was stopped", by=by)
        for key in list(member.running):
            member.handle.stop.remote(*key, cause)
        with anyio.move_on_after(stop_patience_s(self._settings)):
            await self._changes.wait_until(lambda: not member.running)
        await self._fleet.retire(member.record.name, f"stopped by {by}")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        async def done() -> None:
            await work

        self._tasks.start_soon(done, name=work.__name__)

    def _changed(self) -> None:
        self._wake.set()
        self._changes.tell()

    async def _run(self) -> None:
        async with anyio.create_task_group() as self._tasks:
            self._fleet = Fleet(self._settings, self._clock, self._tasks, self._changed)
            watchdog = Watchdog(handles.GATEWAY, handles.gateway, self._settings.lease_ttl_s)
            self._tasks.start_soon(watchdog.watch, name="watch the gateway")
            await self._recover()
            self._recovered.set()
            self._tasks.start_soon(self._expire_leases, name="expire leases")
            self._tasks.start_soon(self._safety_tick, name="safety tick")
            while True:
                await self._wake.wait()
                self._wake.clear()
                if not self._draining:
                    await self._plan_once()

    async def _recover(self) -> None:
        """Take over what the store says is there, then ask the queues for their windows."""
        state: ClusterState = await handles.gateway().cluster_state.remote(self._generation)
        self._static_queues = frozenset(state.static_queues)
        self._nodes = await handles.live_nodes()
        for record in state.agents:
            await self._fleet.adopt(record)
        with anyio.move_on_after(ADOPTION_S):
            await self._changes.wait_until(lambda: all(m.ready for m in self._fleet))
        for entry in state.orders:
            member = self._fleet.get(entry.agent)
            if member is None:
                node_id = next((a.node_id for a in state.agents if a.name == entry.agent), "")
                await self._agent_gone(entry.order, node_id, "its agent is not in the cluster")
            else:
                self._follow(member, entry.order)
        if not any(member.record.kind == "elastic" for member in self._fleet):
            await self._start_first_agent()
        for queue in state.queues:
            actor = handles.find(handles.queue_actor_name(queue))
            if actor is not None:
                actor.resync.remote()
        self._wake.set()

    async def _start_first_agent(self) -> None:
        shape = Resources()
        for node in self._nodes:
            if policy.has_room(shape, node, self._fleet.views()):
                await self._fleet.start(StartAgent(shape, node.node_id, "elastic", ""))
                return

    def _view(self) -> View:
        return View(
            now=self._clock.monotonic(),
            heads=tuple(entry for window in self._heads.values() for entry in window.values()),
            agents=self._fleet.views(),
            nodes=self._nodes,
            static_queues=self._static_queues,
            agent_idle_s=self._settings.agent_idle_s,
        )

    async def _plan_once(self) -> None:
        claims: list[Claim] = []
        view = self._view()
        decisions = policy.plan(view)
        for decision in decisions:
            match decision:
                case Claim():
                    claims.append(decision)
                case StartAgent():
                    await self._fleet.start(decision)
                case RetireAgent():
                    await self._fleet.retire(decision.agent, decision.reason)
                case _:
                    continue
        if claims:
            await self._commit(claims)
        self._ahead.look(view, decisions)

    async def _commit(self, claims: list[Claim]) -> None:
        """Claim in one transaction, then give out what was really claimed."""
        members = {claim.agent: self._fleet.get(claim.agent) for claim in claims}
        intents = [
            ClaimIntent(claim.task_id, claim.agent, member.record.node, new_id())
            for claim in claims
            if (member := members[claim.agent]) is not None
        ]
        try:
            orders: list[WorkOrder | None] = await handles.gateway().claim.remote(
                self._generation, intents
            )
        except handles.CallFailed as exc:  # the store could not take them: they are pending still
            log.warning("nothing could be claimed: %s", handles.first_line(exc))
            await anyio.sleep(CLAIM_RETRY_S)
            self._wake.set()
            return
        for intent, order in zip(intents, orders, strict=True):
            for window in self._heads.values():
                window.pop(intent.task_id, None)
            member = members[intent.agent]
            if order is not None and member is not None:
                self._ahead.claimed(intent.task_id, member.node_id)
                self._follow(member, order)
        self._wake.set()

    def _follow(self, member: Member, order: WorkOrder) -> None:
        member.running.add((order.task.id, order.epoch))
        self._tasks.start_soon(
            self._see_through, member, order, name=f"attempt {order.task.id[:8]}.{order.epoch}"
        )
        if self._draining:  # its claim was under way when the others were told
            member.handle.stop.remote(order.task.id, order.epoch, GOING_DOWN)

    async def _see_through(self, member: Member, order: WorkOrder) -> None:
        """Give an agent an order and wait until the attempt is closed or the agent is gone."""
        try:
            while True:
                try:
                    end: AttemptEnd = await member.handle.run.remote(order)
                    if end.untold:
                        await self._prove_dead(order, end.untold)
                    await self._fleet.judge(member, order.task.id, end)
                    return
                except handles.ActorGone as exc:
                    await self._agent_gone(order, member.node_id, str(exc))
                    return
                except handles.ActorTrouble:
                    await anyio.sleep(0.2)
                except handles.CallFailed as exc:
                    # A fault of ours in the agent. Its death is what proves the attempt dead, and
                    # the next call hears of that.
                    await self._fleet.give_up(member, str(exc))
                    await anyio.sleep(0.2)
        finally:
            self._fleet.settle(member, (order.task.id, order.epoch))
            self._changed()

    async def _prove_dead(self, order: WorkOrder, evidence: str) -> None:
        task_id, epoch = order.task.id, order.epoch
        await insist(
            f"giving up task {task_id[:8]}",
            lambda: handles.gateway().prove_dead.remote(task_id, epoch, evidence),
        )

    async def _agent_gone(self, order: WorkOrder, node_id: str, evidence: str) -> None:
        """Ray says that an agent is gone, with its node or without."""
        self._nodes = await handles.live_nodes()
        node_is_alive = any(node.node_id == node_id for node in self._nodes)
        task_id, epoch = order.task.id, order.epoch
        await insist(
            f"giving up task {task_id[:8]}",
            lambda: handles.gateway().agent_gone.remote(
                task_id, epoch, evidence, node_is_alive=node_is_alive
            ),
        )

    async def _expire_leases(self) -> None:
        while True:
            await anyio.sleep(self._settings.lease_ttl_s / EXPIRY_CHECKS_PER_LEASE)
            await insist("looking at leases", handles.gateway().expire_leases.remote)

    async def _safety_tick(self) -> None:
        """Derive again what pushes should have told: nodes that came or went, idle agents."""
        while True:
            await anyio.sleep(self._settings.safety_tick_s)
            self._nodes = await handles.live_nodes()
            for queue in list(self._heads):
                actor = handles.find(handles.queue_actor_name(queue))
                if actor is not None:
                    actor.push_again.remote()
            self._wake.set()
