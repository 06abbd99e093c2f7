"""Nodes, and what Ray sees of them and of the actors on them, which is late and sometimes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dray.runtime.lease import RayWord
from dray.runtime.policy import NodeView
from dray.runtime.resources import Resources
from tests.simulation.agents import Agent
from tests.simulation.timeline import Cable

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Ray says that an actor died after so long; longer than its keepers need to kill.
RAY_ACTOR_S = (0.05, 1.0)
#: Ray says that a node is gone after it heard nothing of it for so long.
RAY_NODE_S = 5.0
#: A worker process of Ray needs so long to start.
START_S = (0.3, 2.0)


class Node:
    """A machine with a clock of its own.

    Attributes:
        clock_rate: its seconds per true second.
        ray_cable: between it and the head, for actor calls.
        http_cable: between it and the gateway.
        is_up: its processes live.
        is_known: Ray counts it among the live nodes.
    """

    def __init__(self, world: World, node_id: str, total: dict[str, float], rate: float) -> None:
        self._time = world.time
        self.node_id = node_id
        self.total = total
        self.clock_rate = rate
        self.ray_cable = Cable()
        self.http_cable = Cable()
        self.is_up = True
        self.is_known = True
        self.cut_at = 0.0

    def monotonic(self) -> float:
        """Its monotonic clock."""
        return self._time.now * self.clock_rate


class Cluster:
    """Ray: which actors it would find, and what it says when one is gone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._time = world.time
        self.nodes: list[Node] = []
        #: {name: agent}, those that Ray believes to be there.
        self.actors: dict[str, Agent] = {}
        #: {name: agent}, every one there ever was.
        self.agents: dict[str, Agent] = {}
        #: {name: word}, for those it has told the end of.
        self.words: dict[str, RayWord] = {}

    def add_node(self, total: dict[str, float]) -> Node:
        """A machine joins; one that comes back is a new node."""
        rate = 1 + self._time.random.uniform(-1, 1) * self._world.scenario.drift
        node = Node(self._world, f"n{len(self.nodes) + 1}", total, rate)
        self.nodes.append(node)
        self._time.say("node %s joins, its clock runs at %.4f", node.node_id, rate)
        return node

    def views(self) -> tuple[NodeView, ...]:
        """The live nodes, as ``handles.live_nodes`` says."""
        return tuple(NodeView(n.node_id, dict(n.total)) for n in self.nodes if n.is_known)

    def capacity(self, node_id: str) -> dict[str, float]:
        """What a node has in total, wherever it is now."""
        return next(node.total for node in self.nodes if node.node_id == node_id)

    def node(self, node_id: str) -> Node:
        """The node of that id."""
        return next(node for node in self.nodes if node.node_id == node_id)

    def find(self, name: str) -> Agent | None:
        """Mirrors ``handles.find``."""
        return self.actors.get(name)

    def create(self, name: str, node_id: str, shape: Resources) -> None:
        """Mirrors ``handles.get_or_create``: placed when the node has room, if it is there."""
        if name in self.actors or name in self.words:
            return
        node = self.node(node_id)
        agent = self.agents[name] = self.actors[name] = Agent(self._world, name, node, shape)
        if not node.is_known:
            self._time.at(0.2, None, self._say, agent, RayWord.NODE_GONE)
        else:
            self._time.at(self._time.random.uniform(*START_S), None, self._place, agent)

    def _place(self, agent: Agent) -> None:
        """Ray waits until the node has the amounts free; they are held from here on."""
        if agent.name not in self.actors or not agent.is_alive:
            return
        held = sum(a.shape.cpus for a in self.placed(agent.node))
        if not agent.node.is_up or held + agent.shape.cpus > agent.node.total["CPU"]:
            self._time.at(0.2, None, self._place, agent)
            return
        agent.is_placed = True

    def placed(self, node: Node) -> list[Agent]:
        """The agents that really hold resources of a node."""
        return [a for a in self.agents.values() if a.node is node and a.is_placed and a.is_alive]

    def kill(self, name: str) -> None:
        """Mirrors ``handles.kill``: nobody finds it from now on; it dies once it hears of it."""
        agent = self.actors.pop(name, None)
        if agent is None:
            return
        self.words[name] = RayWord.AGENT_DIED if agent.node.is_known else RayWord.NODE_GONE
        self._world.checker.gone(name)
        self._kill_when_reached(agent)

    def _kill_when_reached(self, agent: Agent) -> None:
        if agent.node.ray_cable.is_cut and agent.node.is_up:
            self._time.at(0.5, None, self._kill_when_reached, agent)
        else:
            self._time.at(0.01, None, agent.kill)

    def on_agent_death(self, agent: Agent) -> None:
        """The raylet of a live node that is not cut off tells in a moment."""
        delay_s = self._time.random.uniform(*RAY_ACTOR_S)
        self._time.at(delay_s, None, self._tell_death, agent)

    def _tell_death(self, agent: Agent) -> None:
        if agent.node.ray_cable.is_cut or not agent.node.is_up:
            if agent.node.is_known:  # until the node itself is called gone
                self._time.at(0.5, None, self._tell_death, agent)
            return
        self._say(agent, RayWord.AGENT_DIED)

    def _say(self, agent: Agent, word: RayWord) -> None:
        """Ray tells everybody who waits for an answer of this actor."""
        if agent.name in self.words:
            return
        self.words[agent.name] = word
        self._world.checker.gone(agent.name)
        self.actors.pop(agent.name, None)
        self._time.count(f"ray said {word}")
        self._time.say("Ray says of %s: %s", agent.name, word)
        scheduler = self._world.scheduler
        self._time.at(0.001, None, scheduler.hear_of, agent.name)

    # What happens to nodes.

    def power_off(self, node: Node) -> None:
        """Everything on it dies at once."""
        self._time.count("node died")
        self._time.say("node %s dies", node.node_id)
        node.is_up = False
        node.ray_cable.is_cut = node.http_cable.is_cut = True
        for agent in self.placed(node):
            for run in agent.runs.values():
                if run.child is not None:
                    run.child.kill()
            agent.kill()
        self._time.at(RAY_NODE_S, None, self._miss, node)

    def cut(self, node: Node, for_s: float) -> None:
        """Nothing passes between a node and the head for a while; everything on it lives on."""
        if node.ray_cable.is_cut:
            return
        self._time.count("node cut off")
        self._time.say("node %s is cut off for %.1f s", node.node_id, for_s)
        node.ray_cable.is_cut = node.http_cable.is_cut = True
        node.cut_at = self._time.now
        self._time.at(RAY_NODE_S, None, self._miss, node)
        self._time.at(for_s, None, self.mend, node)

    def cut_http(self, node: Node, for_s: float) -> None:
        """Nothing passes between a node and the gateway; Ray's own calls do."""
        if not node.http_cable.is_cut:
            self._time.count("http cut")
            self._time.say("node %s does not reach the gateway for %.1f s", node.node_id, for_s)
            node.http_cable.is_cut = True
            self._time.at(for_s, None, self.mend_http, node)

    def mend_http(self, node: Node) -> None:
        """The way to the gateway is free again."""
        if node.is_up and not node.ray_cable.is_cut:
            node.http_cable.is_cut = False

    def mend(self, node: Node) -> None:
        """It is reached again; if Ray gave it up meanwhile, its raylet ends, and all on it."""
        if not node.is_up or not node.ray_cable.is_cut:
            return
        node.ray_cable.is_cut = node.http_cable.is_cut = False
        self._time.say("node %s is reached again", node.node_id)
        if not node.is_known:
            self._time.at(self._time.random.uniform(0.1, 3.0), None, self._end_raylet, node)

    def _end_raylet(self, node: Node) -> None:
        for agent in self.placed(node):
            agent.kill()
        node.is_up = False
        self._world.faults.node_left(node)

    def _miss(self, node: Node) -> None:
        """Ray heard nothing of a node for long, if that is so."""
        is_silent = self._time.now - node.cut_at >= RAY_NODE_S - 1e-6
        if not node.is_known or (node.is_up and not (node.ray_cable.is_cut and is_silent)):
            return
        self._time.count("ray lost a node")
        self._time.say("Ray says that node %s is gone", node.node_id)
        node.is_known = False
        for agent in [a for a in self.actors.values() if a.node is node]:
            self._say(agent, RayWord.NODE_GONE)
        if not node.is_up:
            self._world.faults.node_left(node)
