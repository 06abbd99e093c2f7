"""Which node is likely to run a task that has to wait: pure, from the view the plan is made of.

A guess, and nothing depends on it: what is built where the task does not come to run is merely
not of use to it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from dray.runtime import codec, resources
from dray.runtime.execution import Execution
from dray.runtime.models import QueueEntry
from dray.runtime.policy import SERVICES_QUEUE, Decision, NodeView, View, Wait, serves
from dray.runtime.resources import Resources

#: So many tasks at the head of all queues are thought of; the others' turn comes.
LOOK_AHEAD = 16
#: So many builds are given out to one node at a time: one is made, one is next.
PER_NODE = 2
#: So many are given out in one round.
PER_ROUND = 4


@dataclass(frozen=True)
class Wanted:
    """What is to be built ahead.

    Attributes:
        content: see :func:`content_of`.
        likeness: see :func:`likeness_of`.
        entry: of the first task that waits with it.
    """

    content: str
    likeness: str
    entry: QueueEntry


@dataclass(frozen=True)
class NodeWork:
    """What one node is known to do, or to have done, ahead.

    Attributes:
        under_way: likenesses of what was given to it and is not done.
        held: likenesses it has an environment of.
    """

    under_way: tuple[str, ...] = ()
    held: frozenset[str] = field(default_factory=frozenset[str])


@dataclass(frozen=True)
class BuildAhead:
    """Have this built on that node."""

    content: str
    node_id: str


def content_of(execution: Execution) -> str:
    """A digest of everything that decides about code, environment and imports of a task.

    What it is run with is no part of it: clones that differ in parameters are built once.
    """
    alike = replace(execution, arguments=[], resources=Resources(), output_uri="", bootstrap=False)
    return _digest(codec.to_json(alike))


def likeness_of(execution: Execution) -> str:
    """A digest of what leads to the same environment most often, whatever the rest of the code."""
    return _digest(
        [
            execution.repository,
            execution.python_version,
            execution.packages,
            execution.packages_from,
            execution.constraints,
            execution.index_urls,
            execution.find_links,
            execution.environment_manager,
            execution.torch_backend,
            execution.container.image,
        ]
    )


def waiting(view: View, decisions: Iterable[Decision]) -> list[QueueEntry]:
    """The first entries that were not placed, and that no agent is being started for."""
    entries = {entry.task_id: entry for entry in view.heads}
    waits = [d.task_id for d in decisions if isinstance(d, Wait) and not d.soon]
    return [entries[task_id] for task_id in waits[:LOOK_AHEAD]]


def choose(view: View, wanted: Iterable[Wanted], work: Mapping[str, NodeWork]) -> list[BuildAhead]:
    """What to build where now, in the order of ``wanted``; the rest is thought of again later.

    Of the nodes that may run a task, one that has or is making what it needs; then the one with
    most room for it; then the one with least to build. Nothing goes to a node that has enough.

    Args:
        view: as the plan saw it.
        wanted: nothing that was given out before.
        work: by node id; nodes that are not in it do nothing.
    """
    chosen: list[BuildAhead] = []
    n_given = Counter({node: len(each.under_way) for node, each in work.items()})
    likenesses = {node: {*each.under_way, *each.held} for node, each in work.items()}
    for each in wanted:
        if len(chosen) == PER_ROUND:
            break
        nodes = [n for n in _able(view, each.entry) if n_given[n.node_id] < PER_NODE]
        if not nodes:
            continue
        best = max(
            nodes,
            key=lambda node: (
                each.likeness in likenesses.get(node.node_id, ()),
                _room(view, node, each.entry.resources),
                -n_given[node.node_id],
                node.node_id,
            ),
        )
        n_given[best.node_id] += 1
        likenesses.setdefault(best.node_id, set()).add(each.likeness)
        chosen.append(BuildAhead(each.content, best.node_id))
    return chosen


def _able(view: View, entry: QueueEntry) -> list[NodeView]:
    """The nodes on which an agent is, or could be made, that runs the entry."""
    serving = {
        agent.node_id
        for agent in view.agents
        if not agent.drained and serves(agent, entry, view.static_queues)
    }
    if entry.queue in view.static_queues:
        return [node for node in view.nodes if node.node_id in serving]
    if entry.queue == SERVICES_QUEUE:
        return [node for node in view.nodes if node.node_id in serving] or list(view.nodes[:1])
    return [node for node in view.nodes if resources.fits(entry.resources, node.total)]


def _room(view: View, node: NodeView, wanted: Resources) -> float:
    """The share of the node that nothing runs in, of what is scarcest there for such a task.

    What idle agents hold counts as free: they make room when they are asked to.
    """
    free = dict(node.total)
    for agent in view.agents:
        if agent.node_id == node.node_id and agent.n_running:
            free = resources.subtract(free, agent.resources)
    names = wanted.amounts()
    shares = [free.get(n, 0.0) / node.total[n] for n in names if node.total.get(n, 0.0) > 0]
    return min(shares, default=1.0)


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
