"""The scheduler and its fleet; mirrors ``actors/scheduler.py`` and ``actors/fleet.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dray.actors.orders import ClaimIntent
from dray.runtime import policy
from dray.runtime.lease import RayWord
from dray.runtime.models import AgentRecord, QueueEntry
from dray.runtime.policy import AgentView, Claim, NodeView, RetireAgent, StartAgent, View
from tests.simulation.agents import Agent
from tests.simulation.gateway import Order, State_
from tests.simulation.timeline import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Mirrors ``EXPIRY_CHECKS_PER_LEASE``.
LOOKS_PER_LEASE = 6
ADOPTION_S = 2.0
SAFETY_TICK_S = 4.0
AGENT_IDLE_S = 15.0
#: How long an order is waited for before it is given again; the real call waits, and is
#: repeated when the connection breaks.
ORDER_AGAIN_S = 2.0


@dataclass
class Member:
    """Mirrors ``fleet.Member``."""

    record: AgentRecord
    node_id: str
    ready: bool = False
    idle_since: float = 0.0
    running: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    is_gone: bool = False

    def view(self) -> AgentView:
        """This agent as the plan sees it."""
        return AgentView(
            name=self.record.name,
            kind=self.record.kind,
            resources=self.record.resources,
            node_id=self.node_id,
            ready=self.ready,
            n_running=len(self.running),
            idle_since=self.idle_since,
        )


class Scheduler(Process):
    """Mirrors ``SchedulerActor``: nothing it knows survives it."""

    def __init__(self, world: World) -> None:
        super().__init__(world.time, "scheduler")
        self._world = world
        self._n_names = 0
        self._start()

    # Life and death.

    def _start(self) -> None:
        """Mirrors ``_recover``."""
        self._heads: dict[str, dict[str, QueueEntry]] = {}
        self._nodes: tuple[NodeView, ...] = ()
        self._members: dict[str, Member] = {}
        #: Agents that are gone while the store has not been told of all their attempts: what
        #: those hold in the store's eyes is not free.
        self._leaving: list[Member] = []
        self._orders: dict[tuple[str, int], Order] = {}
        self._is_recovered = False
        self._is_planning = False
        self._must_plan = False
        gateway = self._world.gateway
        self._world.net.call(
            self, gateway, gateway.cluster_state, then=self._take_over, by_ray=True
        )

    def on_death(self) -> None:
        """Ray restarts it."""
        self.time.count("scheduler killed")
        self.time.at(self.time.random.uniform(0.2, 3.0), None, self.revive)

    def revive(self) -> None:
        """The next life."""
        if not self.is_alive:
            self.is_alive = True
            self.time.say("scheduler starts")
            self.do(self._start, ())

    def _take_over(self, state: State_) -> None:
        self._nodes = self._world.cluster.views()
        for record in state.agents:
            if self._world.cluster.find(record.name) is None:
                self._remove_agent(record.name)
            else:
                self._enlist(Member(record, record.node))
        self.after(ADOPTION_S if self._members else 0.0, self._follow_all, state.orders)

    def _follow_all(self, orders: list[Order]) -> None:
        if not orders:
            self._begin()
            return
        order, *others = orders
        member = self._members.get(order.agent)
        if member is None:
            self._give_up(order, then=lambda: self._follow_all(others))
        else:
            self.time.count("attempt adopted")
            self._follow(member, order)
            self._follow_all(others)

    def _begin(self) -> None:
        self._is_recovered = True
        for queue in self._world.queues.values():
            self._world.net.tell(queue, queue.resync)
        self.after(self._world.scenario.lease_ttl_s / LOOKS_PER_LEASE, self._expire_leases)
        self.after(SAFETY_TICK_S, self._safety_tick)
        self._plan_soon()

    # What it is told.

    def offer(self, queue: str, entries: list[QueueEntry]) -> None:
        """Mirrors ``SchedulerActor.offer``."""
        self._heads.setdefault(queue, {}).update((entry.task_id, entry) for entry in entries)
        self._plan_soon()

    def withdraw(self, task_ids: list[str]) -> None:
        """Mirrors ``SchedulerActor.withdraw``."""
        for window in self._heads.values():
            for task_id in task_ids:
                window.pop(task_id, None)
        self._plan_soon()

    def hear_of(self, name: str) -> None:
        """Ray says that an agent is gone; a stopped scheduler hears of it when it goes on."""
        if self.is_stopped:
            self.backlog.append((self.hear_of, (name,)))
        elif self.is_alive:
            member = self._members.get(name)
            if member is not None:
                self._lose(member)

    def _lose(self, member: Member) -> None:
        """Mirrors ``Fleet._mind`` and each ``_see_through`` of that agent, side by side."""
        self._drop(member)
        for key in list(member.running):
            self._see_off(member, self._orders[key])

    # Planning.

    def _plan_soon(self) -> None:
        """Mirrors the loop of ``_run``: one plan at a time, and again if something changed."""
        self._must_plan = True
        if self._is_recovered and not self._is_planning:
            self._is_planning = True
            self.after(0.0, self._plan)

    def _view(self) -> View:
        return View(
            now=self.time.now,
            heads=tuple(entry for window in self._heads.values() for entry in window.values()),
            agents=tuple(m.view() for m in (*self._members.values(), *self._leaving)),
            nodes=self._nodes,
            agent_idle_s=AGENT_IDLE_S,
        )

    def why(self, task_id: str) -> str:
        """Mirrors ``SchedulerActor.why``."""
        return policy.why(self._view(), task_id)

    def _plan(self) -> None:
        self._must_plan = False
        claims: list[Claim] = []
        for decision in policy.plan(self._view()):
            if isinstance(decision, Claim):
                claims.append(decision)
            elif isinstance(decision, StartAgent):
                self._start_agent(decision)
            elif isinstance(decision, RetireAgent):
                self._retire(decision.agent)
        if claims:
            self._commit(claims)
        else:
            self._planned()

    def _planned(self) -> None:
        self._is_planning = False
        if self._must_plan:
            self._plan_soon()

    def _commit(self, claims: list[Claim]) -> None:
        """Mirrors ``_commit``: the same claim ids until there is an answer."""
        members = {claim.agent: self._members.get(claim.agent) for claim in claims}
        intents = [
            ClaimIntent(claim.task_id, claim.agent, member.node_id, self._new_name("claim"))
            for claim in claims
            if (member := members[claim.agent]) is not None
        ]

        for intent in intents:
            self.time.say(
                "scheduler: claims %s for %s as %s", intent.task_id, intent.agent, intent.claim_id
            )

        def settle(orders: list[Order | None]) -> None:
            for intent, order in zip(intents, orders, strict=True):
                for window in self._heads.values():
                    window.pop(intent.task_id, None)
                member = members[intent.agent]
                if order is not None and member is not None:
                    self._follow(member, order)
            self._must_plan = True
            self._planned()

        gateway = self._world.gateway
        self._world.net.call(self, gateway, gateway.claim, intents, then=settle, by_ray=True)

    # Attempts.

    def _follow(self, member: Member, order: Order) -> None:
        """Mirrors ``_follow`` and ``_see_through``."""
        key = (order.task_id, order.epoch)
        member.running.add(key)
        self._orders[key] = order
        if member.is_gone:
            if member not in self._leaving:
                self._leaving.append(member)
            self._see_off(member, order)
        else:
            self._give(member, order)

    def _give(self, member: Member, order: Order) -> None:
        """Give an order until its end is heard of, or that of its agent."""
        if (order.task_id, order.epoch) not in member.running or member.is_gone:
            return
        agent = self._world.cluster.agents[member.record.name]
        self._world.net.send(agent, agent.run, order, cable=agent.node.ray_cable)
        self.after(ORDER_AGAIN_S, self._give, member, order)

    def attempt_ended(self, agent: str, task_id: str, epoch: int) -> None:
        """What ``run`` of an agent returns."""
        member = self._members.get(agent)
        if member is not None:
            self._let_go(member, task_id, epoch)

    def _see_off(self, member: Member, order: Order) -> None:
        self._give_up(order, lambda: self._let_go(member, order.task_id, order.epoch))

    def _let_go(self, member: Member, task_id: str, epoch: int) -> None:
        member.running.discard((task_id, epoch))
        self._orders.pop((task_id, epoch), None)
        self._leaving = [m for m in self._leaving if m.running]
        member.idle_since = self.time.now
        self._plan_soon()

    def _give_up(self, order: Order, then: Callable[[], None]) -> None:
        """Its agent is gone: tell the store what Ray said, which is not always proof."""
        task_id, epoch = order.task_id, order.epoch
        word = self._world.cluster.words.get(order.agent)
        if word is None:
            known = {view.node_id for view in self._world.cluster.views()}
            word = RayWord.AGENT_DIED if order.node in known else RayWord.NODE_GONE

        def settled(_: object) -> None:
            then()

        gateway = self._world.gateway
        if word is RayWord.AGENT_DIED:
            evidence = f"Ray says that agent {order.agent} died"
            self._world.net.call(
                self,
                gateway,
                gateway.prove_dead,
                task_id,
                epoch,
                evidence,
                True,
                then=settled,
                by_ray=True,
            )
        else:
            evidence = f"Ray lost node {order.node}"
            self._world.net.call(
                self,
                gateway,
                gateway.lose_node,
                task_id,
                epoch,
                evidence,
                then=settled,
                by_ray=True,
            )

    # The fleet.

    def _start_agent(self, wanted: StartAgent) -> None:
        """Mirrors ``Fleet.start``: written down first."""
        name = self._new_name("agent")
        record = AgentRecord(name, wanted.kind, wanted.resources, node=wanted.node_id)
        member = Member(record, wanted.node_id)
        self._members[name] = member

        def create(_: object) -> None:
            self._world.cluster.create(name, wanted.node_id, wanted.resources)
            self._mind(member)

        gateway = self._world.gateway
        self._world.net.call(
            self, gateway, gateway.store.put_agent, record, then=create, by_ray=True
        )

    def _enlist(self, member: Member) -> None:
        self._members[member.record.name] = member
        self._mind(member)

    def _mind(self, member: Member) -> None:
        """Mirrors ``Fleet._mind``: ask until it is ready."""
        name = member.record.name
        if member.is_gone or member.ready:
            return
        if name in self._world.cluster.words:
            self._lose(member)
            return
        agent: Agent = self._world.cluster.agents[name]

        def heard(is_ready: bool) -> None:
            if is_ready and not member.is_gone and not member.ready:
                member.ready, member.idle_since = True, self.time.now
                self._plan_soon()

        cable = agent.node.ray_cable
        self._world.net.call(self, agent, agent.facts, then=heard, timeout_s=None, cable=cable)
        self.after(0.3, self._mind, member)

    def _retire(self, name: str) -> None:
        """Mirrors ``Fleet.retire``."""
        member = self._members.get(name)
        if member is not None:
            self.time.count("agent retired")
            self._drop(member)

    def _drop(self, member: Member) -> None:
        member.is_gone, member.ready = True, False
        self._members.pop(member.record.name, None)
        if member.running:
            self._leaving.append(member)
        self._world.cluster.kill(member.record.name)
        self._remove_agent(member.record.name)
        self._plan_soon()

    def _remove_agent(self, name: str) -> None:
        gateway = self._world.gateway
        self._world.net.call(self, gateway, gateway.store.remove_agent, name, by_ray=True)

    # Ticks.

    def _expire_leases(self) -> None:
        """Mirrors ``_expire_leases``: the next look waits for the answer of this one."""
        gateway = self._world.gateway
        wait_s = self._world.scenario.lease_ttl_s / LOOKS_PER_LEASE
        self._world.net.call(
            self,
            gateway,
            gateway.expire_leases,
            then=lambda _: self.after(wait_s, self._expire_leases),
            by_ray=True,
        )

    def _safety_tick(self) -> None:
        """Mirrors ``_safety_tick``."""
        self._nodes = self._world.cluster.views()
        for queue in self._world.queues.values():
            self._world.net.tell(queue, queue.push_again)
        self._plan_soon()
        self.after(SAFETY_TICK_S, self._safety_tick)

    def _new_name(self, kind: str) -> str:
        self._n_names += 1
        return f"{kind}-{self.life}-{self._n_names}"
