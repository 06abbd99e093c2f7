"""What is built ahead where: a pure guess that holds to a few rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.runtime import likely, policy, resources
from dray.runtime.execution import Execution
from dray.runtime.likely import NodeWork, Wanted, choose, content_of, likeness_of, waiting
from dray.runtime.models import QueueEntry
from dray.runtime.policy import AgentView, NodeView, View
from dray.runtime.resources import Resources

ONE = Resources()
GPU = Resources(cpus=1, gpus=1)


def entry(task_id: str, *, queue: str = "default", wants: Resources = ONE) -> QueueEntry:
    return QueueEntry(task_id, queue, 0, int(task_id, 36) % 1000, 0.0, wants)


def wanted(task_id: str, *, likeness: str = "", **members: object) -> Wanted:
    return Wanted(f"content-{task_id}", likeness or task_id, entry(task_id, **members))  # type: ignore[arg-type]


def agent(name: str, *, node: str = "n1", holds: Resources = ONE, running: int = 0) -> AgentView:
    return AgentView(name, "elastic", holds, node, n_running=running)


def node(node_id: str = "n1", **total: float) -> NodeView:
    return NodeView(node_id, total or {"CPU": 2.0})


def placed(view: View, each: Wanted, work: dict[str, NodeWork] | None = None) -> str:
    (build,) = choose(view, [each], work or {})
    assert build.content == each.content
    return build.node_id


def test_the_node_that_has_its_environment_comes_before_one_with_more_room() -> None:
    view = View(0, agents=(agent("a", running=1),), nodes=(node("n1"), node("n2")))
    assert placed(view, wanted("t")) == "n2"
    assert placed(view, wanted("t"), {"n1": NodeWork(held=frozenset({"t"}))}) == "n1"
    assert placed(view, wanted("t"), {"n1": NodeWork(under_way=("t",))}) == "n1"


def test_an_idle_agent_takes_no_room() -> None:
    agents = (agent("idle", node="n1"), agent("busy", node="n2", running=1))
    view = View(0, agents=agents, nodes=(node("n1"), node("n2")))
    assert placed(view, wanted("t")) == "n1"


def test_a_task_is_built_only_where_it_could_run() -> None:
    view = View(0, nodes=(node("n1"), node("n2", CPU=2.0, GPU=1.0)))
    assert placed(view, wanted("t", wants=GPU)) == "n2"
    assert choose(view, [wanted("t", wants=Resources(cpus=64))], {}) == []


def test_a_static_queue_is_built_for_where_its_agents_are() -> None:
    static = replace(agent("s", node="n2", running=1), kind="static", queues=("night",))
    view = View(
        0, agents=(static,), nodes=(node("n1"), node("n2")), static_queues=frozenset({"night"})
    )
    assert placed(view, wanted("t", queue="night")) == "n2"
    drained = replace(view, agents=(replace(static, drained="by ann"),))
    assert choose(drained, [wanted("t", queue="night")], {}) == []


def test_a_node_gets_no_more_than_it_can_do_next() -> None:
    view = View(0, nodes=(node("n1"),))
    many = [wanted(name) for name in "abcdef"]
    assert [b.content for b in choose(view, many, {})] == ["content-a", "content-b"]
    assert choose(view, many, {"n1": NodeWork(under_way=("x", "y"))}) == []


def test_what_an_agent_is_started_for_is_not_built_ahead() -> None:
    starting = replace(agent("a"), ready=False)
    heads = (entry("a"), entry("b"), entry("c"))
    view = View(0, heads=heads, agents=(starting,), nodes=(node("n1", CPU=2.0),))
    decisions = policy.plan(view)  # a waits for the agent, one is started for b, c has no room
    assert [each.task_id for each in waiting(view, decisions)] == ["c"]


@pytest.mark.parametrize(
    "changes",
    [{"arguments": ["--lr", "1"]}, {"resources": GPU}, {"output_uri": "s3://b"}],
)
def test_what_a_task_is_run_with_changes_nothing_that_is_built(changes: dict[str, object]) -> None:
    assert content_of(Execution()) == content_of(replace(Execution(), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "alike"),
    [
        ({"snapshot": "ab"}, True),
        ({"entry_point": "b.py"}, True),
        ({"packages": ["numpy"]}, False),
        ({"python_version": "3.12"}, False),
    ],
)
def test_other_code_may_share_an_environment_other_packages_may_not(
    changes: dict[str, object], alike: bool
) -> None:
    other = replace(Execution(), **changes)  # type: ignore[arg-type]
    assert content_of(other) != content_of(Execution())
    assert (likeness_of(other) == likeness_of(Execution())) is alike


shapes = st.builds(
    Resources,
    cpus=st.sampled_from([0.0, 1.0, 2.0]),
    gpus=st.sampled_from([0.0, 0.5, 1.0]),
)
node_ids = st.sampled_from(["n1", "n2", "n3"])
nodes = st.lists(node_ids, unique=True).map(
    lambda ids: tuple(NodeView(i, {"CPU": float(len(ids)), "GPU": float(i == "n2")}) for i in ids)
)
agents = st.lists(
    st.builds(
        AgentView,
        name=st.uuids().map(str),
        kind=st.sampled_from(["elastic", "static", "services"]),
        resources=shapes,
        node_id=node_ids,
        n_running=st.integers(0, 1),
        queues=st.just(("night",)),
        drained=st.sampled_from(["", "by ann"]),
    ),
    max_size=5,
).map(tuple)
queues = st.sampled_from(["default", "night", "services"])
all_wanted = st.lists(
    st.builds(
        lambda task_id, queue, wants, likeness: Wanted(
            f"content-{task_id}", likeness, QueueEntry(task_id, queue, 0, 0, 0.0, wants)
        ),
        st.uuids().map(str),
        queues,
        shapes,
        st.sampled_from("xyz"),
    ),
    max_size=12,
)
works = st.dictionaries(
    node_ids,
    st.builds(
        NodeWork,
        under_way=st.lists(st.sampled_from("xyz"), max_size=3).map(tuple),
        held=st.frozensets(st.sampled_from("xyz")),
    ),
)


@given(nodes=nodes, agents=agents, all_wanted=all_wanted, work=works)
def test_whatever_the_cluster_looks_like(
    nodes: tuple[NodeView, ...],
    agents: tuple[AgentView, ...],
    all_wanted: list[Wanted],
    work: dict[str, NodeWork],
) -> None:
    view = View(0, agents=agents, nodes=nodes, static_queues=frozenset({"night"}))
    builds = choose(view, all_wanted, work)
    by_content = {each.content: each for each in all_wanted}
    by_node = {each.node_id: each for each in nodes}
    assert len(builds) <= likely.PER_ROUND
    contents = [build.content for build in builds]
    assert contents == [c for c in by_content if c in contents], "in order, and none twice"
    for build in builds:
        asked, there = by_content[build.content].entry, by_node[build.node_id]
        serving = [a for a in agents if policy.serves(a, asked, view.static_queues)]
        if asked.queue == "night":
            assert any(a.node_id == there.node_id and not a.drained for a in serving)
        elif asked.queue == "default":
            assert resources.fits(asked.resources, there.total)
    for node_id in by_node:
        given_now = sum(build.node_id == node_id for build in builds)
        had = len(work.get(node_id, NodeWork()).under_way)
        assert given_now == 0 or given_now + had <= likely.PER_NODE
    assert choose(view, all_wanted, work) == builds, "the same view, the same guess"
