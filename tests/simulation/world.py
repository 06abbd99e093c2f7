"""A whole simulated cluster, from a seed to its verdict."""

from __future__ import annotations

from dataclasses import dataclass

from dray.runtime.machine import Head
from dray.runtime.models import OnLost, Policy
from dray.runtime.resources import Resources
from dray.runtime.states import State
from tests.simulation import scenario
from tests.simulation.agents import Plan
from tests.simulation.checker import Checker
from tests.simulation.cluster import Cluster
from tests.simulation.faults import Faults
from tests.simulation.gateway import Gateway
from tests.simulation.promises import Promise, Violation
from tests.simulation.queues import Queue
from tests.simulation.scenario import Scenario
from tests.simulation.scheduler import Scheduler
from tests.simulation.timeline import Network, Process, Timeline

#: After faults stopped, everything must have come to its end within so many leases and the
#: time its tasks need.
REST_LEASES = 30
QUEUES = ("default", "night")


class World:
    """Everything there is, wired up.

    Attributes:
        plans: {task id: what its process will do}.
    """

    def __init__(self, seed: int, *, traced: bool = False) -> None:
        self.scenario: Scenario = scenario.draw(seed)
        self.time = Timeline(seed, traced=traced)
        self.net = Network(self.time)
        self.checker = Checker(lambda: self.time.now, self.scenario.lease_ttl_s)
        self.plans: dict[str, Plan] = {}
        self.unplaceable: set[str] = set()
        self.faults = Faults(self)
        self.cluster = Cluster(self)
        self.queues: dict[str, Queue] = {}
        self.user = Process(self.time, "user")
        self.gateway = Gateway(self)
        self.scheduler = Scheduler(self)
        for _ in range(self.scenario.n_nodes):
            self.cluster.add_node({"CPU": float(self.scenario.cpus)})
        self.queues.update((name, Queue(self, name)) for name in QUEUES)
        for number in range(1, self.scenario.n_tasks + 1):
            at_s = self.time.random.uniform(0, self.scenario.faulty_s * 0.7)
            self.time.at(at_s, self.user, self._submit, f"t{number}")

    def plan_of(self, task_id: str) -> Plan:
        """What the process of a task does, the same in each attempt but for its luck."""
        return self.plans[task_id]

    def run(self) -> None:
        """Let faults strike, then let everything come to rest.

        Raises:
            Violation: of a promise.
        """
        time, pick = self.time, self.scenario
        self.faults.begin()
        time.run_until(pick.faulty_s)
        time.now = pick.faulty_s
        self.faults.end()
        rest_s = REST_LEASES * pick.lease_ttl_s + sum(p.run_s * 4 for p in self.plans.values())
        time.run_until(pick.faulty_s + rest_s, self._is_at_rest)
        self.checker.at_rest(self.gateway.store.heads.values(), self._is_excused)
        if len(self.checker.accepted) < pick.n_tasks:
            raise Violation(Promise.LIVENESS, time.now, "a submit was never acknowledged")

    def _is_at_rest(self) -> bool:
        if self.time.n_events % 16 or len(self.checker.accepted) < self.scenario.n_tasks:
            return False  # looking is not free
        heads = self.gateway.store.heads.values()
        if any(story.alive for story in self.checker.stories.values()):
            return False
        return all(
            self._is_excused(head) for head in heads if head.state in (State.RUNNING, State.PENDING)
        )

    def _is_excused(self, head: Head) -> bool:
        """What fits on no node waits, and is told so."""
        return (
            head.state is State.PENDING
            and head.task_id in self.unplaceable
            and "no node is large enough" in self.scheduler.why(head.task_id)
        )

    def _submit(self, task_id: str) -> None:
        pick = self.time.random
        ttl_s = self.scenario.lease_ttl_s
        self.plans[task_id] = Plan(
            prepare_s=pick.choice([0.05, 0.05, 0.3, ttl_s * 0.5, ttl_s * 1.3]),
            run_s=pick.choice([0.2, ttl_s * 0.5, ttl_s * 2, ttl_s * 4, ttl_s * 4]),
            exit_code=pick.choice([0, 0, 0, 1]),
            obeys_s=pick.choice([0.0, 0.1, ttl_s * 0.3]),
        )
        cpus = pick.randint(1, self.scenario.cpus)
        if pick.random() < 0.05:
            cpus = self.scenario.cpus + 1
            self.unplaceable.add(task_id)
        policy = Policy(
            on_lost=pick.choice([OnLost.REQUEUE, OnLost.REQUEUE, OnLost.WAIT]),
            max_requeues=pick.choice([0, 1, 3]),
            quarantine_after=pick.choice([0, 2, 3]),
            retries=pick.choice([0, 0, 2]),
            retry_delay_s=pick.choice([0.5, 2.0]),
        )
        head = Head(task_id, State.DRAFT, policy=policy)
        queue = pick.choice(QUEUES)
        self.time.say("user: submits %s %s %s %s", task_id, self.plans[task_id], policy, cpus)
        self.net.call(
            self.user,
            self.gateway,
            self.gateway.submit,
            head,
            queue,
            Resources(cpus=cpus),
            pick.randint(0, 1),
            then=lambda _: self.checker.acknowledge(task_id),
        )


@dataclass(frozen=True)
class Outcome:
    """What a seed came to.

    Attributes:
        counts: what happened, by name.
        violation: the first broken promise, if one was.
        trace: what happened, for people.
    """

    seed: int
    n_events: int
    counts: dict[str, int]
    violation: Violation | None
    trace: list[str]


def simulate(seed: int, *, traced: bool = False) -> Outcome:
    """Run one seed."""
    world = World(seed, traced=traced)
    violation: Violation | None = None
    try:
        world.run()
    except Violation as exc:
        violation = exc
        world.time.say("VIOLATED %s", exc)
    counts = dict(world.time.counts)
    return Outcome(seed, world.time.n_events, counts, violation, world.time.trace or [])
