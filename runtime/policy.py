"""Who runs where: ``plan(view) -> decisions`` as a pure function, and ``why(task)`` from it.

The view holds what is pending (queue heads in order), which agents there are and what each
node has. The plan goes through the heads in order and gives each the best thing there is: a
warm agent of its shape, an agent that is starting, a new agent, room made by retiring idle
agents of other shapes, or a reason to wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Union

from dray.runtime import ordering, resources
from dray.runtime.models import QueueEntry
from dray.runtime.resources import Resources

#: The queue whose tasks are coordinators: they run, many at once, on an agent that holds no CPU.
SERVICES_QUEUE = "services"
#: Attempts a services agent runs at once; each is a process that mostly waits.
SERVICES_SLOTS = 16


@dataclass(frozen=True)
class NodeView:
    """A live node of the cluster and everything it has, by Ray resource name."""

    node_id: str
    total: dict[str, float]


@dataclass(frozen=True)
class AgentView:
    """An agent as the scheduler sees it.

    Attributes:
        ready: it has started and takes work; a starting one holds its resources already.
        n_running: open attempts on it.
        idle_since: monotonic time since when it has run nothing.
        queues: what a static agent serves; empty for elastic ones, which serve every queue.
        drained: why it takes no more work though it holds its resources; empty when it does.
    """

    name: str
    kind: str
    resources: Resources
    node_id: str
    ready: bool = True
    drained: str = ""
    slots: int = 1
    n_running: int = 0
    idle_since: float = 0.0
    queues: tuple[str, ...] = ()

    @property
    def free_slots(self) -> int:
        """How many more attempts it may run now."""
        return 0 if self.drained else self.slots - self.n_running


@dataclass(frozen=True)
class View:
    """All a plan depends on.

    Attributes:
        now: monotonic time of the scheduler.
        heads: the first entries of each queue, in queue order.
        static_queues: queues that only agents started by hand serve.
        agent_idle_s: seconds after which an idle elastic agent is retired.
        min_idle: elastic agents kept warm however long they are idle.
    """

    now: float
    heads: tuple[QueueEntry, ...] = ()
    agents: tuple[AgentView, ...] = ()
    nodes: tuple[NodeView, ...] = ()
    static_queues: frozenset[str] = frozenset()
    agent_idle_s: float = 600.0
    min_idle: int = 1


@dataclass(frozen=True)
class Claim:
    """Give a pending task to an agent."""

    task_id: str
    agent: str


@dataclass(frozen=True)
class StartAgent:
    """Create an agent of this kind and shape on this node, for that task."""

    resources: Resources
    node_id: str
    kind: str
    task_id: str


@dataclass(frozen=True)
class RetireAgent:
    """Let an idle elastic agent go, and say why."""

    agent: str
    reason: str


@dataclass(frozen=True)
class Wait:
    """Nothing can be done for this task now, and why.

    Attributes:
        soon: an agent that will take it is starting.
    """

    task_id: str
    reason: str
    soon: bool = field(default=False, compare=False)


Decision = Union[Claim, StartAgent, RetireAgent, Wait]  # noqa: UP007  (3.10 evaluates it)


@dataclass
class _Board:
    """What is still free while a plan is made."""

    slots: dict[str, int]
    starting: dict[str, int]
    idle: dict[str, AgentView]
    free_by_node: dict[str, dict[str, float]]
    services_started: bool = False
    #: {(queue, shape): answer}: nothing more is to be had for such entries in this plan.
    exhausted: dict[tuple[str, str], Wait] = field(default_factory=dict[tuple[str, str], Wait])
    decisions: list[Decision] = field(default_factory=list[Decision])


def plan(view: View) -> list[Decision]:
    """What to do now, in the order it should be done; every head gets exactly one answer."""
    board = _lay_out(view)
    for entry in ordering.merge([view.heads]):
        board.decisions.append(_place(entry, view, board))
    _retire_idle(view, board)
    return board.decisions


def why(view: View, task_id: str) -> str:
    """One sentence: why this task is not running yet, from the very plan that decides it.

    Empty when the task is not among the heads: others come first, or it has just arrived.
    """
    for decision in plan(view):
        match decision:
            case Claim() if decision.task_id == task_id:
                return f"it starts now on {decision.agent}"
            case StartAgent() if decision.task_id == task_id:
                return f"an agent with {decision.resources.label()} is being started for it"
            case Wait() if decision.task_id == task_id:
                return decision.reason
            case _:
                continue
    return ""


def _lay_out(view: View) -> _Board:
    free = {node.node_id: dict(node.total) for node in view.nodes}
    for agent in view.agents:
        if agent.node_id in free:
            free[agent.node_id] = resources.subtract(free[agent.node_id], agent.resources)
    return _Board(
        slots={agent.name: agent.free_slots for agent in view.agents if agent.ready},
        starting={a.name: a.slots for a in view.agents if not a.ready and not a.drained},
        idle={
            a.name: a
            for a in view.agents
            if a.ready and a.kind == "elastic" and not a.n_running and not a.drained
        },
        free_by_node=free,
    )


def _place(entry: QueueEntry, view: View, board: _Board) -> Decision:
    # What is free only shrinks while a plan is made, so one refusal answers for all like it.
    likeness = (entry.queue, entry.resources.label())
    refusal = board.exhausted.get(likeness)
    if refusal is not None:
        return replace(refusal, task_id=entry.task_id)
    usable = [agent for agent in view.agents if serves(agent, entry, view.static_queues)]
    warm = _best_warm(usable, board)
    if warm is not None:
        board.slots[warm.name] -= 1
        board.idle.pop(warm.name, None)
        return Claim(entry.task_id, warm.name)
    for agent in usable:
        if board.starting.get(agent.name, 0) > 0:
            board.starting[agent.name] -= 1
            return Wait(entry.task_id, f"agent {agent.name} is starting", soon=True)
    decision = _without_agent(entry, view, board)
    if isinstance(decision, Wait):
        board.exhausted[likeness] = decision
    return decision


def _without_agent(entry: QueueEntry, view: View, board: _Board) -> Decision:
    if entry.queue in view.static_queues:
        return Wait(entry.task_id, _static_reason(entry, view))
    if entry.queue == SERVICES_QUEUE:
        return _start_services(entry, view, board)
    return _start_or_make_room(entry, view, board)


def _best_warm(usable: list[AgentView], board: _Board) -> AgentView | None:
    """The free agent that has been busy last: its caches are warm, and the others may retire."""
    free = [agent for agent in usable if board.slots.get(agent.name, 0) > 0]
    return max(free, key=lambda agent: (agent.idle_since, agent.name), default=None)


def serves(agent: AgentView, entry: QueueEntry, static_queues: frozenset[str]) -> bool:
    """Whether an agent is of a kind and shape that may run an entry."""
    match agent.kind:
        case "services":
            return entry.queue == SERVICES_QUEUE
        case "elastic":
            by_hand = entry.queue in static_queues or entry.queue == SERVICES_QUEUE
            return not by_hand and agent.resources == entry.resources
        case _:
            return entry.queue in agent.queues and resources.fits(
                entry.resources, agent.resources.amounts()
            )


def _static_reason(entry: QueueEntry, view: View) -> str:
    serving = [agent for agent in view.agents if entry.queue in agent.queues]
    if not serving:
        return f"no agent serves queue {entry.queue!r}, and none is made for it by itself"
    if not any(serves(agent, entry, view.static_queues) for agent in serving):
        return f"no agent of queue {entry.queue!r} is large enough for {entry.resources.label()}"
    return f"every agent of queue {entry.queue!r} is busy{_drained(serving)}"


def _start_services(entry: QueueEntry, view: View, board: _Board) -> Decision:
    if not view.nodes:
        return Wait(entry.task_id, "the cluster has no live node")
    if board.services_started:
        return Wait(entry.task_id, "a services agent is being started", soon=True)
    board.services_started = True
    return StartAgent(Resources(cpus=0), view.nodes[0].node_id, "services", entry.task_id)


def _start_or_make_room(entry: QueueEntry, view: View, board: _Board) -> Decision:
    wanted = entry.resources
    for node in view.nodes:
        if resources.fits(wanted, board.free_by_node[node.node_id]):
            return _start(entry, node.node_id, board)
    for node in view.nodes:
        victims = _room_by_retiring(wanted, node.node_id, board)
        if victims is not None:
            for victim in victims:
                _retire(victim, f"room for task {entry.task_id[:8]}", board)
            return _start(entry, node.node_id, board)
    return Wait(entry.task_id, _shortage(entry, view))


def _start(entry: QueueEntry, node_id: str, board: _Board) -> StartAgent:
    board.free_by_node[node_id] = resources.subtract(board.free_by_node[node_id], entry.resources)
    return StartAgent(entry.resources, node_id, "elastic", entry.task_id)


def _room_by_retiring(wanted: Resources, node_id: str, board: _Board) -> list[AgentView] | None:
    """The fewest longest-idle agents of a node whose going makes room; None when none does."""
    free = board.free_by_node[node_id]
    chosen: list[AgentView] = []
    for agent in sorted(board.idle.values(), key=lambda a: (a.idle_since, a.name)):
        if agent.node_id != node_id:
            continue
        free = resources.add(free, agent.resources)
        chosen.append(agent)
        if resources.fits(wanted, free):
            return chosen
    return None


def _retire(agent: AgentView, reason: str, board: _Board) -> None:
    board.idle.pop(agent.name, None)
    board.slots.pop(agent.name, None)
    board.free_by_node[agent.node_id] = resources.add(
        board.free_by_node[agent.node_id], agent.resources
    )
    board.decisions.append(RetireAgent(agent.name, reason))


def _shortage(entry: QueueEntry, view: View) -> str:
    wanted = entry.resources
    if not view.nodes:
        return "the cluster has no live node"
    if not any(resources.fits(wanted, node.total) for node in view.nodes):
        short = min(
            (resources.missing(wanted, node.total) for node in view.nodes),
            key=lambda lacking: sum(lacking.values()),
        )
        lacking = ", ".join(f"{amount:g} {name}" for name, amount in sorted(short.items()))
        return f"no node is large enough for {wanted.label()}: the best one lacks {lacking}"
    busy = sum(agent.n_running for agent in view.agents)
    drained = _drained(view.agents)
    return f"every node with room for {wanted.label()} is busy ({busy} running){drained}"


def _drained(agents: Iterable[AgentView]) -> str:
    """What drained agents have to do with it, and the way out."""
    reasons = [
        f"agent {agent.name} is drained: {agent.drained}" for agent in agents if agent.drained
    ]
    if not reasons:
        return ""
    return f"; {'; '.join(reasons)} (`dray agent resume NAME` or `dray agent stop NAME`)"


def _retire_idle(view: View, board: _Board) -> None:
    spare = sorted(board.idle.values(), key=lambda agent: (agent.idle_since, agent.name))
    for agent in spare[: max(0, len(spare) - view.min_idle)]:
        if view.now - agent.idle_since >= view.agent_idle_s:
            _retire(agent, f"idle for {view.now - agent.idle_since:.0f} s", board)


def has_room(wanted: Resources, node: NodeView, agents: Iterable[AgentView]) -> bool:
    """Whether a node could take one more agent of this shape."""
    free = dict(node.total)
    for agent in agents:
        if agent.node_id == node.node_id:
            free = resources.subtract(free, agent.resources)
    return resources.fits(wanted, free)


def is_served(queue: str, static: bool, agents: Iterable[AgentView]) -> bool:
    """Whether anything takes tasks from a queue now, or would be started for it."""
    return not static or any(queue in agent.queues for agent in agents)
