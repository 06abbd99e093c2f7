"""What strikes: machines, processes, clocks; and users, who are the worst."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from dray.runtime import causes
from dray.runtime.machine import Command, Dequeue, Enqueue, RequestStop, Reset
from tests.simulation.agents import Agent
from tests.simulation.cluster import Node

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")


class Faults:
    """Strikes at random moments until it is told to stop.

    Attributes:
        crash_at_commit: chance that the gateway dies at a transaction.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._time = world.time
        self._is_over = False
        self.crash_at_commit = 0.0

    def begin(self) -> None:
        """Let it rain."""
        scenario = self._world.scenario
        self.crash_at_commit = scenario.crash_at_commit
        self._world.net.weather = scenario.weather
        for fault, every_s in scenario.every_s.items():
            self._strike_later(fault, every_s)

    def end(self) -> None:
        """No more faults; what was cut is mended, what was stopped goes on."""
        self._is_over = True
        world = self._world
        self.crash_at_commit = 0.0
        world.net.weather = type(world.net.weather)()
        self._time.say("faults stop")
        for process in (world.gateway, world.scheduler, *world.queues.values()):
            process.go_on()
        for agent in world.cluster.agents.values():
            agent.go_on()
        for node in world.cluster.nodes:
            world.cluster.mend(node)
            world.cluster.mend_http(node)

    def node_left(self, node: Node) -> None:
        """A machine that was lost comes back, as a new one, after a while."""
        wait_s = self._time.random.uniform(0.5, 5.0)
        self._time.at(wait_s, None, self._world.cluster.add_node, node.total)

    def _strike_later(self, fault: str, every_s: float) -> None:
        wait_s = self._time.random.expovariate(1 / every_s)
        self._time.at(wait_s, None, self._strike, fault, every_s)

    def _strike(self, fault: str, every_s: float) -> None:
        if not self._is_over:
            getattr(self, "_" + fault.replace(" ", "_"))()
            self._strike_later(fault, every_s)

    def _while_s(self) -> float:
        """How long something lasts: mostly within a lease, sometimes longer."""
        return self._world.scenario.lease_ttl_s * self._time.random.choice(
            [0.1, 0.4, 0.7, 1.2, 2, 4]
        )

    # Each fault by its name in ``scenario.FAULTS``.

    def _kill_gateway(self) -> None:
        self._world.gateway.kill()

    def _stop_gateway(self) -> None:
        self._world.gateway.stop(self._while_s())

    def _set_clock(self) -> None:
        pick = self._time.random
        by_s = pick.choice([86_400.0, -86_400.0, pick.uniform(-1, 1) * self._while_s()])
        self._time.count("clock set")
        self._time.say("the gateway's clock is set by %+.1f s", by_s)
        self._world.gateway.wall_offset_s += by_s

    def _kill_scheduler(self) -> None:
        self._world.scheduler.kill()

    def _stop_scheduler(self) -> None:
        self._time.count("scheduler stopped")
        self._world.scheduler.stop(self._while_s())

    def _kill_queue(self) -> None:
        self._any(list(self._world.queues.values())).kill()

    def _kill_agent(self) -> None:
        if agents := self._agents():
            self._any(agents).kill()

    def _stop_agent(self) -> None:
        if agents := self._agents():
            self._time.count("agent stopped")
            self._any(agents).stop(self._while_s())

    def _kill_process(self) -> None:
        runs = [run for agent in self._agents() for run in agent.runs.values()]
        if children := [r.child for r in runs if r.child is not None and r.child.is_alive]:
            self._time.count("process killed")
            self._any(children).kill()

    def _power_off_node(self) -> None:
        if nodes := self._nodes():
            self._world.cluster.power_off(self._any(nodes))

    def _cut_node(self) -> None:
        if nodes := self._nodes():
            self._world.cluster.cut(self._any(nodes), self._while_s() * 1.5)

    def _cut_http(self) -> None:
        if nodes := self._nodes():
            self._world.cluster.cut_http(self._any(nodes), self._while_s())

    def _user(self) -> None:
        """Somebody changes their mind about a task, once or again."""
        if not self._world.plans:
            return
        task_id = self._any(list(self._world.plans))
        commands: list[Command] = [
            RequestStop(causes.aborted("user")),
            Reset(),
            Dequeue(),
            Enqueue(self._any(list(self._world.queues))),
        ]
        command = self._any(commands)
        self._time.count("user command")
        self._time.say("user: %s of %s", type(command).__name__, task_id)
        world = self._world
        world.net.call(world.user, world.gateway, world.gateway.command, task_id, command)

    def _agents(self) -> list[Agent]:
        return [a for a in self._world.cluster.agents.values() if a.is_alive and a.is_placed]

    def _nodes(self) -> list[Node]:
        return [n for n in self._world.cluster.nodes if n.is_up and n.is_known]

    def _any(self, things: list[T]) -> T:
        return self._time.random.choice(things)
