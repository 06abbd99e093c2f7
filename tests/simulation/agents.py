"""Agents and what runs under them: attempts, keepers with their fences, processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dray.runtime import causes, lease
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.errors import DrayError
from dray.runtime.lease import LeaseTerms
from dray.runtime.models import OnLost
from dray.runtime.resources import Resources
from tests.simulation.gateway import Order, Reply
from tests.simulation.timeline import Process

if TYPE_CHECKING:
    from tests.simulation.cluster import Node
    from tests.simulation.world import World

#: A keeper notices the end of its agent, or of its fence, and kills, within this long. Ray
#: takes longer to say that an agent died (``cluster.RAY_ACTOR_S``).
KEEPER_S = 0.01
#: Seconds between two writes of a process.
WRITE_EVERY_S = 3.0


@dataclass
class Plan:
    """What a task's process will do, drawn from the seed.

    Attributes:
        prepare_s: before it starts.
        run_s: until it ends by itself.
        exit_code: what it then ends with.
        obeys_s: between a signal to stop and its end.
    """

    prepare_s: float
    run_s: float
    exit_code: int
    obeys_s: float


class Child(Process):
    """A process of a user, with its keeper beside it: neither stops when the agent does.

    Mirrors ``runtime/supervisor.py``: killed when the agent dies, when the fence falls, or at
    the end of the ladder.
    """

    def __init__(self, run: AttemptRun, fence_at: float | None) -> None:
        super().__init__(run.agent.time, f"process of {run.order.task_id}.{run.order.epoch}")
        self._run = run
        #: On the node's monotonic clock; None: no fence.
        self.fence_at = fence_at
        self.exit_code: int | None = None
        self.was_fenced = False
        self.n_written = 0
        self.time.say("%s starts on %s", self.name, run.agent.name)
        run.world.checker.process_started(run.order.task_id, run.order.epoch, run.agent.name)
        self.after(run.plan.run_s, self.end, run.plan.exit_code)
        self.after(WRITE_EVERY_S, self._write)
        self._watch_fence()

    def _watch_fence(self) -> None:
        if self.fence_at is None:
            return
        left_s = self.fence_at - self._run.agent.node.monotonic()
        if left_s <= 0:
            self.time.count("fence fell")
            self.was_fenced = True
            self.after(KEEPER_S, self.kill)
        else:
            self.after(left_s / self._run.agent.node.clock_rate + 1e-6, self._watch_fence)

    def _write(self) -> None:
        self.n_written += 1
        self.after(WRITE_EVERY_S, self._write)

    def end(self, exit_code: int) -> None:
        """It ends by itself."""
        self.exit_code = exit_code
        self.kill()

    def on_death(self) -> None:
        order = self._run.order
        self._run.world.checker.process_ended(order.task_id, order.epoch, self.exit_code)
        agent = self._run.agent
        if agent.is_alive:
            # The agent hears of it through a pipe, as soon as it runs.
            self.time.at(0.001, None, _tell, agent, self._run)


def _tell(agent: Agent, run: AttemptRun) -> None:
    if agent.is_stopped:
        agent.backlog.append((run.on_process_end, ()))
    elif agent.is_alive:
        agent.do(run.on_process_end, ())


@dataclass
class AttemptRun:
    """Mirrors ``actors/attempt.py`` with the shipper of ``sdk/ship/shipping.py``.

    Attributes:
        last_confirmed: the node's monotonic time at which the last request was sent that the
            server answered; None before the first.
        end: what the scheduler is told, once nothing of it is left.
    """

    world: World
    agent: Agent
    order: Order
    plan: Plan
    last_confirmed: float | None = None
    child: Child | None = None
    stop_cause: Cause | None = None
    is_refused: bool = False
    is_prepared: bool = False
    executing_untold: bool = False
    n_shipped: int = 0
    end: bool = False
    finish_cause: Cause | None = None

    def __post_init__(self) -> None:
        self.terms = LeaseTerms(self.world.scenario.lease_ttl_s)
        self.has_fence = self.order.head.policy.on_lost is OnLost.REQUEUE

    def begin(self) -> None:
        """Prepare; renew beside it from the first moment."""
        self._renew()
        self.agent.after(self.plan.prepare_s, self._prepared)

    def _prepared(self) -> None:
        self.is_prepared = True
        self._start_when_allowed()

    def _start_when_allowed(self) -> None:
        """Start the process, but only within what a confirmed renewal covers."""
        if not self.is_prepared or self.child is not None or self.finish_cause is not None:
            return
        if self.stop_cause is not None:
            self._finish(self.stop_cause)
            return
        now = self.agent.node.monotonic()
        if self.has_fence and not lease.may_start(self.last_confirmed, now, self.terms):
            self.agent.time.count("start put off")
            return  # the next answer to a renewal comes back here
        self.child = Child(self, self._fence_at())
        self.executing_untold = True
        self._ship()
        self._ship_for_ever()

    def _fence_at(self) -> float | None:
        if not self.has_fence or self.last_confirmed is None:
            return None
        return self.last_confirmed + self.terms.fence_after_s

    # The lease.

    def _renew(self) -> None:
        if self.end or self.is_refused:
            return
        self._ask(0, False)
        self.agent.after(self.terms.renew_every_s / 2, self._renew)

    def _ask(self, n_effects: int, executing: bool) -> None:
        """One frame or renewal; the next one is what repeats it."""
        gateway = self.world.gateway
        sent_at = self.agent.node.monotonic()

        def confirmed(reply: Reply) -> None:
            self._confirm(reply, sent_at)
            self.n_shipped += n_effects
            self.executing_untold = self.executing_untold and not executing

        self.world.net.call(
            self.agent,
            gateway,
            gateway.frame,
            self.order.task_id,
            self.order.epoch,
            n_effects,
            executing,
            then=confirmed,
            refused=self._refuse,
            timeout_s=None,
            cable=self.agent.node.http_cable,
        )

    def _confirm(self, reply: Reply, sent_at: float) -> None:
        """Mirrors ``Shipper._confirm``."""
        self.last_confirmed = max(self.last_confirmed or sent_at, sent_at)
        if self.child is not None and self.has_fence:
            self.child.fence_at = self._fence_at()
        if reply.stop is not None:
            self.stop(reply.stop)
        self._start_when_allowed()

    def _refuse(self, exc: DrayError) -> None:
        """Mirrors ``AttemptRun._give_up``: the server takes nothing more of this attempt."""
        if not self.is_refused:
            self.is_refused = True
            self.stop(causes.aborted("the server", exc.message))
            self._start_when_allowed()

    def _ship_for_ever(self) -> None:
        if not self.end and not self.is_refused:
            self._ship()
            self.agent.after(WRITE_EVERY_S, self._ship_for_ever)

    def _ship(self) -> None:
        if self.child is not None:
            self._ask(self.child.n_written - self.n_shipped, self.executing_untold)

    # Its end.

    def stop(self, cause: Cause) -> None:
        """Ask it to end; the first cause counts."""
        if self.stop_cause is None:
            self.stop_cause = cause
            if self.child is not None:
                self.child.after(
                    self.plan.obeys_s, self.child.kill
                )  # the ladder, kept by its keeper
            elif not self.is_prepared:
                self.is_prepared = True
                self._start_when_allowed()

    def on_process_end(self) -> None:
        """Mirrors ``ending.process_cause``."""
        assert self.child is not None
        if self.stop_cause is not None:
            self._finish(self.stop_cause)
        elif self.child.was_fenced:
            self._finish(
                Cause(CauseKind.WORKER_LOST, "it ended itself before its lease ran out", by="fence")
            )
        elif self.child.exit_code is not None:
            self._finish(causes.exited(self.child.exit_code))
        else:
            self._finish(causes.worker_lost("the process that kept it was killed"))

    def _finish(self, cause: Cause) -> None:
        """Mirrors ``AttemptRun._close``: repeat until the store has it or knows better."""
        if self.finish_cause is not None:
            return
        self.finish_cause = cause
        gateway = self.world.gateway
        self.world.net.call(
            self.agent,
            gateway,
            gateway.finish,
            self.order.task_id,
            self.order.epoch,
            cause,
            then=lambda _: self._ended(),
            refused=lambda _: self._ended(),
            cable=self.agent.node.http_cable,
        )

    def _ended(self) -> None:
        if not self.end:
            self.end = True
            self.agent.tell_end(self.order)


class Agent(Process):
    """Mirrors ``AgentActor``: runs what it is given, once however often it is given."""

    def __init__(self, world: World, name: str, node: Node, shape: Resources) -> None:
        super().__init__(world.time, name)
        self._world = world
        self.node = node
        self.shape = shape
        #: It holds its resources: Ray has placed it.
        self.is_placed = False
        self.runs: dict[tuple[str, int], AttemptRun] = {}

    def run(self, order: Order) -> None:
        """Mirrors ``AgentActor.run``; the end is told by a message of its own."""
        key = (order.task_id, order.epoch)
        if key in self.runs:
            self.time.count("order given twice")
            if self.runs[key].end:
                self.tell_end(order)
            return
        plan = self._world.plan_of(order.task_id)
        run = self.runs[key] = AttemptRun(self._world, self, order, plan)
        run.begin()

    def tell_end(self, order: Order) -> None:
        """What the call to ``run`` is answered; lost, the call is made again."""
        scheduler = self._world.scheduler
        self._world.net.send(
            scheduler, scheduler.attempt_ended, self.name, order.task_id, order.epoch,
            cable=self.node.ray_cable,
        )  # fmt: skip

    def facts(self) -> bool:
        """Mirrors ``AgentActor.facts``: whether it can take work."""
        return self.is_placed

    def stop_attempt(self, task_id: str, epoch: int, cause: Cause) -> None:
        """Mirrors ``AgentActor.stop``."""
        run = self.runs.get((task_id, epoch))
        if run is not None:
            run.stop(cause)

    def on_death(self) -> None:
        """Its keepers see the pipe close, and kill."""
        self.time.count("agent died")
        for run in self.runs.values():
            if run.child is not None and run.child.is_alive:
                self.time.at(KEEPER_S, None, run.child.kill)
        self._world.cluster.on_agent_death(self)
