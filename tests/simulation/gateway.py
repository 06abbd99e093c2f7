"""The gateway: one life after the other over the same store; mirrors ``actors/gateway.py``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from types import coroutine
from typing import TYPE_CHECKING, Any

from dray.actors.leases import LeaseWatch
from dray.actors.orders import ClaimIntent, QueueDelta
from dray.runtime.causes import Cause
from dray.runtime.clock import SteadyClock
from dray.runtime.errors import DrayError
from dray.runtime.machine import Command, Enqueue, Head
from dray.runtime.models import AgentRecord, QueueEntry
from dray.runtime.ordering import Key
from dray.runtime.resources import Resources
from dray.runtime.states import Phase, State
from dray.runtime.store import By, Change, ClaimRequest, OpenAttempt
from tests.simulation.store import SimStore
from tests.simulation.timeline import Crash, Later, Process

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Removals from queues are gathered this long (``REMOVALS_S`` of the real one).
REMOVALS_S = 0.05


@dataclass(frozen=True)
class Order:
    """What an agent needs of a ``WorkOrder``."""

    task_id: str
    epoch: int
    agent: str
    node: str
    head: Head


@dataclass(frozen=True)
class State_:
    """What a scheduler that starts is told (``ClusterState``)."""

    agents: list[AgentRecord]
    orders: list[Order]


@dataclass(frozen=True)
class Reply:
    """What a shipper is told (``FrameReply``)."""

    stop: Cause | None


class _Face:
    """The store as ``LeaseWatch`` calls it, each unit after a moment."""

    def __init__(self, store: SimStore) -> None:
        self._store = store
        self.tasks = self
        self.attempts = self
        self.extended = False

    async def open(self) -> list[OpenAttempt]:
        await _moment()
        return self._store.open()

    async def extend_all(self) -> None:
        await _moment()
        self.extended = True
        self._store.extend_all()

    async def head(self, task_id: str) -> Head:
        await _moment()
        return self._store.head(task_id)

    async def apply(self, task_id: str, command: Command, _by: By) -> Change:
        await _moment()
        return self._store.apply(task_id, command)


@coroutine
def _moment() -> Generator[None, None, None]:
    """What the store takes for one of its units; others get their turn meanwhile."""
    yield


class Gateway(Process):
    """Mirrors ``GatewayActor``, with the routes of the API that matter here.

    The wall clock of its machine may be set, the monotonic one runs true.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world.time, "gateway")
        self._world = world
        self.wall_offset_s = 1_700_000_000.0
        self._clock = SteadyClock(self)
        self.store = SimStore(
            self._steady_now,
            world.checker,
            world.cluster.capacity,
            self._crash_point,
            self._on_change,
        )
        self._stopped_at = 0.0
        self._start()

    # The ``Clock`` of its machine.

    def now(self) -> float:
        """The wall clock, which may be set."""
        return self.time.now + self.wall_offset_s

    def monotonic(self) -> float:
        """The monotonic clock."""
        return self.time.now

    def _steady_now(self) -> float:
        """What the store dates by, in each life anew."""
        return self._clock.now()

    # Life and death.

    def _start(self) -> None:
        """Mirrors ``__init__`` of the actor: leases first, then the watch, then it serves."""
        self._deltas: defaultdict[str, QueueDelta] = defaultdict(QueueDelta)
        self._telling = False
        self._clock = SteadyClock(self)
        self._face = _Face(self.store)
        self._world.checker.absent()
        self.store.extend_all()
        self._watch = LeaseWatch(self._face, self._clock, self._world.scenario.lease_ttl_s)  # type: ignore[arg-type]
        for queue in self._world.queues.values():
            self._world.net.tell(queue, queue.resync)

    def on_death(self) -> None:
        """Ray restarts it."""
        self.time.count("gateway killed")
        self.time.at(self.time.random.uniform(0.2, 4.0), None, self.revive)

    def revive(self) -> None:
        """The next life, over the same files."""
        if not self.is_alive:
            self.is_alive = True
            self.time.say("gateway starts")
            self.do(self._start, ())

    def stop(self, for_s: float) -> None:
        """SIGSTOP; how long is remembered for the checker."""
        self._stopped_at = self.time.now
        self.time.count("gateway stopped")
        super().stop(for_s)

    def on_going_on(self) -> None:
        """Half a lease of absence is the server's own doing."""
        if self.time.now - self._stopped_at > self._world.scenario.lease_ttl_s / 2:
            self._world.checker.absent()

    def _crash_point(self) -> None:
        if self.time.chance(self._world.faults.crash_at_commit):
            self.time.count("gateway crashed at a commit")
            raise Crash

    # For the scheduler and the queue actors.

    def claim(self, intents: list[ClaimIntent]) -> list[Order | None]:
        """Mirrors ``GatewayActor.claim``."""
        ttl_s = self._world.scenario.lease_ttl_s
        requests = [ClaimRequest(i.task_id, i.agent, i.node, i.claim_id, ttl_s) for i in intents]
        epochs = self.store.claim(requests)
        return [
            Order(i.task_id, epoch, i.agent, i.node, self.store.head(i.task_id))
            if epoch is not None
            else None
            for i, epoch in zip(intents, epochs, strict=True)
        ]

    def pending(self, queue: str, after: Key | None, limit: int) -> list[QueueEntry]:
        """Mirrors ``GatewayActor.pending``."""
        return self.store.pending(queue, limit, after)

    def cluster_state(self) -> State_:
        """Mirrors ``GatewayActor.cluster_state``."""
        return State_(
            list(self.store.agents.values()),
            [
                Order(a.task_id, a.epoch, a.agent, a.node, self.store.head(a.task_id))
                for a in self.store.open()
            ],
        )

    def prove_dead(self, task_id: str, epoch: int, evidence: str, agent_died: bool) -> Later:
        """Mirrors ``GatewayActor.prove_dead``, through the real watch."""
        return self._carry_out(
            self._watch.prove_dead(task_id, epoch, evidence, agent_died=agent_died)
        )

    def lose_node(self, task_id: str, epoch: int, evidence: str) -> Later:
        """A node is gone from Ray's view, through the real watch."""
        return self._carry_out(self._watch.lose_node(task_id, epoch, evidence))

    def expire_leases(self) -> Later:
        """Mirrors ``GatewayActor.expire_leases``, through the real watch."""
        self._face.extended = False
        began, wall = self.time.now, self._clock.now()

        def looked() -> None:
            if self._face.extended:
                self.time.count("leases extended by a look")
            else:
                self._world.checker.looked(self.store.heads.values(), wall, began)

        return self._carry_out(self._watch.look(), looked)

    def _carry_out(
        self, coroutine: Coroutine[Any, Any, Any], then: Callable[[], None] = lambda: None
    ) -> Later:
        """Run a coroutine in this life, from moment to moment, and answer when it is done."""
        later = Later()

        def go_on() -> None:
            try:
                coroutine.send(None)
            except StopIteration:
                then()
                later.tell(None)
            else:
                slow_s = 0.001 if self.time.random.random() < 0.8 else 0.1
                self.after(self.time.random.uniform(0, slow_s), go_on)

        go_on()
        return later

    # For shippers (``api/routes/attempts.py``, ``store/ingest.py``).

    def frame(self, task_id: str, epoch: int, n_effects: int, executing: bool) -> Reply:
        """Take in what an attempt put out, and renew its lease."""
        try:
            head = self.store.renew(task_id, epoch, executing)
        except DrayError:
            self.time.count("late write refused")
            raise
        if n_effects:
            self._world.checker.wrote(head, epoch)
        return _reply(head)

    def finish(self, task_id: str, epoch: int, cause: Cause) -> Reply:
        """Take in the end of an attempt."""
        try:
            return _reply(self.store.finish(task_id, epoch, cause))
        except DrayError:
            self.time.count("late end refused")
            raise

    # For users.

    def submit(self, head: Head, queue: str, shape: Resources, priority: int) -> None:
        """Create and enqueue; asked again, it stands already."""
        self.store.create(head, shape, priority)
        if self.store.head(head.task_id).state is State.DRAFT:
            self.store.apply(head.task_id, Enqueue(queue))

    def command(self, task_id: str, command: Command) -> None:
        """Abort, reset, dequeue, enqueue again."""
        self.store.apply(task_id, command)

    # What it tells others after a commit.

    def _on_change(self, change: Change) -> None:
        """Mirrors ``GatewayActor._on_change``."""
        before, after = change.before, change.after
        world = self._world
        self.time.say(
            "store: %s %s%s → %s%s %s",
            after.task_id,
            before.state,
            f" ({before.phase})" if before.phase else "",
            after.state,
            f" ({after.phase}, attempt {after.epoch} on {after.agent})" if after.phase else "",
            after.cause.message if after.cause else "",
        )
        if after.phase is Phase.UNREACHABLE is not before.phase:
            self.time.count("unreachable")
        if before.state is State.RUNNING and after.state is State.PENDING:
            retried = after.n_retries > before.n_retries
            self.time.count("retried" if retried else "requeued after a loss")
        if before.state is State.PENDING and after.state is not State.PENDING:
            self._deltas[before.queue].remove(before.task_id)
            self._tell_queues_within(REMOVALS_S)
            if after.state is not State.RUNNING:
                world.net.tell(world.scheduler, world.scheduler.withdraw, [before.task_id])
        if change.entry is not None:
            self._deltas[change.entry.queue].add(change.entry)
            self._tell_queues_within(0.0)
        if after.phase is Phase.STOPPING is not before.phase and after.cause is not None:
            agent = world.cluster.find(after.agent)
            if agent is not None:
                cable = agent.node.ray_cable
                world.net.send(
                    agent, agent.stop_attempt, after.task_id, after.epoch, after.cause, cable=cable
                )

    def _tell_queues_within(self, delay_s: float) -> None:
        """Mirrors ``GatewayActor._tell_queues``: arrivals at once, removals gathered."""
        if delay_s == 0.0 or not self._telling:
            self._telling = True
            self.after(delay_s, self._tell_queues)

    def _tell_queues(self) -> None:
        self._telling = False
        deltas, self._deltas = self._deltas, defaultdict(QueueDelta)
        for name, delta in deltas.items():
            queue = self._world.queues[name]
            self._world.net.tell(queue, queue.changed, delta)


def _reply(head: Head) -> Reply:
    """A stop that was asked for travels with every answer."""
    stopping = Phase.STOPPING in (head.phase, head.phase_before)
    return Reply(head.cause if stopping else None)
