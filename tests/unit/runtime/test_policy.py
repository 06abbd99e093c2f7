"""The plan: who runs where, and why not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.runtime import policy, resources
from dray.runtime.models import QueueEntry
from dray.runtime.policy import AgentView, Claim, NodeView, RetireAgent, StartAgent, View, Wait
from dray.runtime.resources import Resources

ONE = Resources()
GPU = Resources(cpus=1, gpus=1)


def entry(
    task_id: str,
    *,
    queue: str = "default",
    wants: Resources = ONE,
    priority: int = 0,
    rank: int = 0,
) -> QueueEntry:
    return QueueEntry(task_id, queue, priority, rank, float(rank), wants)


def agent(name: str, *, holds: Resources = ONE, node: str = "n1", **members: object) -> AgentView:
    return replace(AgentView(name, "elastic", holds, node), **members)  # type: ignore[arg-type]


def node(node_id: str = "n1", **total: float) -> NodeView:
    return NodeView(node_id, total or {"CPU": 2.0})


def test_a_warm_agent_of_the_same_shape_gets_the_task() -> None:
    view = View(0, heads=(entry("t"),), agents=(agent("a"),), nodes=(node(),))
    assert policy.plan(view) == [Claim("t", "a")]


def test_without_a_warm_agent_one_is_started_where_there_is_room() -> None:
    full, roomy = node("n1", CPU=1.0), node("n2", CPU=1.0)
    busy = agent("a", node="n1", n_running=1)
    view = View(0, heads=(entry("t"),), agents=(busy,), nodes=(full, roomy))
    assert policy.plan(view) == [StartAgent(ONE, "n2", "elastic", "t")]


def test_a_drained_agent_gets_nothing_and_says_why() -> None:
    free = agent("a", drained="its disk is full")
    view = View(0, heads=(entry("t"),), agents=(free,), nodes=(node(CPU=1.0),))
    (decision,) = policy.plan(view)
    assert isinstance(decision, Wait)
    assert "agent a is drained: its disk is full" in decision.reason


def test_a_drained_agent_that_is_starting_is_not_waited_for() -> None:
    starting = agent("a", ready=False, drained="by ann")
    view = View(0, heads=(entry("t"),), agents=(starting,), nodes=(node(CPU=2.0),))
    assert policy.plan(view) == [StartAgent(ONE, "n1", "elastic", "t")]


def test_an_agent_that_is_starting_is_waited_for_instead_of_starting_another() -> None:
    view = View(0, heads=(entry("t"),), agents=(agent("a", ready=False),), nodes=(node(),))
    assert policy.plan(view) == [Wait("t", "agent a is starting")]


def test_higher_priority_is_placed_first_and_then_first_come() -> None:
    heads = (entry("late", rank=2), entry("early", rank=1), entry("urgent", rank=3, priority=5))
    view = View(0, heads=heads, agents=(agent("a"), agent("b", idle_since=1)), nodes=(node(),))
    claimed = [d.task_id for d in policy.plan(view) if isinstance(d, Claim)]
    assert claimed == ["urgent", "early"]


def test_idle_agents_of_another_shape_make_room() -> None:
    idle = agent("idle", idle_since=0.0)
    view = View(5, heads=(entry("t", wants=Resources(cpus=2)),), agents=(idle,), nodes=(node(),))
    assert policy.plan(view) == [
        RetireAgent("idle", "room for task t"),
        StartAgent(Resources(cpus=2), "n1", "elastic", "t"),
    ]


def test_no_more_idle_agents_go_than_needed() -> None:
    agents = tuple(agent(f"a{i}", idle_since=float(i)) for i in range(3))
    view = View(9, heads=(entry("t", wants=GPU),), agents=agents, nodes=(node(CPU=3.0, GPU=1.0),))
    retired = [d.agent for d in policy.plan(view) if isinstance(d, RetireAgent)]
    assert retired == ["a0"]


def test_a_busy_agent_is_never_retired() -> None:
    busy = agent("busy", n_running=1)
    view = View(0, heads=(entry("t", wants=Resources(cpus=2)),), agents=(busy,), nodes=(node(),))
    assert policy.plan(view) == [Wait("t", "every node with room for 2cpu is busy (1 running)")]


def test_a_task_no_node_can_hold_says_what_the_best_node_lacks() -> None:
    view = View(0, heads=(entry("t", wants=GPU),), nodes=(node(),))
    assert policy.why(view, "t") == (
        "no node is large enough for 1cpu-1gpu: the best one lacks 1 GPU"
    )


def test_a_large_task_does_not_block_what_fits_beside_it() -> None:
    heads = (entry("large", wants=Resources(cpus=8), rank=1), entry("small", rank=2))
    view = View(0, heads=heads, agents=(agent("a"),), nodes=(node(),))
    assert Claim("small", "a") in policy.plan(view)


def test_a_static_queue_waits_for_an_agent_started_by_hand() -> None:
    view = View(
        0, heads=(entry("t", queue="gpu"),), nodes=(node(),), static_queues=frozenset({"gpu"})
    )
    assert "no agent serves queue 'gpu'" in policy.why(view, "t")


def test_a_static_agent_takes_what_fits_into_it() -> None:
    static = AgentView("s", "static", Resources(cpus=4, gpus=1), "n1", queues=("gpu",))
    view = View(
        0,
        heads=(entry("t", queue="gpu", wants=GPU),),
        agents=(static,),
        nodes=(node(),),
        static_queues=frozenset({"gpu"}),
    )
    assert policy.plan(view) == [Claim("t", "s")]


def test_services_share_one_agent_that_holds_no_cpu() -> None:
    heads = tuple(entry(f"s{i}", queue="services", rank=i) for i in range(3))
    first, *others = policy.plan(View(0, heads=heads, nodes=(node(),)))
    assert first == StartAgent(Resources(cpus=0), "n1", "services", "s0")
    assert all(isinstance(decision, Wait) for decision in others)
    running = AgentView("s", "services", Resources(cpus=0), "n1", slots=16, n_running=2)
    view = View(0, heads=heads, agents=(running,), nodes=(node(),))
    assert policy.plan(view) == [Claim(f"s{i}", "s") for i in range(3)]


def test_long_idle_agents_go_but_one_stays_warm() -> None:
    agents = (agent("old", idle_since=0.0), agent("young", idle_since=50.0))
    decisions = policy.plan(View(700.0, agents=agents, nodes=(node(),), agent_idle_s=600.0))
    assert decisions == [RetireAgent("old", "idle for 700 s")]


@pytest.mark.parametrize(("static", "served"), [(False, True), (True, False)])
def test_an_elastic_queue_is_always_served(static: bool, served: bool) -> None:
    assert policy.is_served("q", static, []) is served


def test_why_is_silent_about_a_task_it_has_not_heard_of() -> None:
    assert policy.why(View(0, heads=(entry("t"),), nodes=(node(),)), "another") == ""


SHAPES = st.sampled_from([ONE, Resources(cpus=2), GPU, Resources(cpus=1, gpus=0.5)])


@st.composite
def views(draw: st.DrawFn) -> View:
    nodes = [
        node(f"n{i}", CPU=float(draw(st.integers(1, 4))), GPU=float(draw(st.integers(0, 2))))
        for i in range(draw(st.integers(0, 3)))
    ]
    agents: list[AgentView] = []
    for i in range(draw(st.integers(0, 6)) if nodes else 0):
        home, shape = draw(st.sampled_from(nodes)), draw(SHAPES)
        if not policy.has_room(shape, home, agents):
            continue
        agents.append(
            agent(
                f"a{i}",
                holds=shape,
                node=home.node_id,
                ready=draw(st.booleans()),
                n_running=draw(st.integers(0, 1)),
                idle_since=draw(st.floats(0, 1000)),
            )
        )
    heads = [
        entry(f"t{i}", wants=draw(SHAPES), priority=draw(st.integers(0, 2)), rank=i)
        for i in range(draw(st.integers(0, 8)))
    ]
    return View(1000.0, tuple(heads), tuple(agents), tuple(nodes))


@given(views())
def test_every_head_gets_exactly_one_answer(view: View) -> None:
    answered = [d.task_id for d in policy.plan(view) if not isinstance(d, RetireAgent)]
    assert sorted(answered) == sorted(head.task_id for head in view.heads)


@given(views())
def test_what_agents_hold_never_exceeds_a_node(view: View) -> None:
    decisions = policy.plan(view)
    retired = {d.agent for d in decisions if isinstance(d, RetireAgent)}
    for home in view.nodes:
        free = dict(home.total)
        for held in (a for a in view.agents if a.node_id == home.node_id and a.name not in retired):
            free = resources.subtract(free, held.resources)
        for started in decisions:
            if isinstance(started, StartAgent) and started.node_id == home.node_id:
                assert resources.fits(started.resources, free)
                free = resources.subtract(free, started.resources)


@given(views())
def test_claims_go_to_ready_free_agents_of_the_right_shape_that_are_not_retired(view: View) -> None:
    decisions = policy.plan(view)
    agents = {a.name: a for a in view.agents}
    heads = {head.task_id: head for head in view.heads}
    retired = {d.agent for d in decisions if isinstance(d, RetireAgent)}
    claims = [d for d in decisions if isinstance(d, Claim)]
    for claim in claims:
        taker = agents[claim.agent]
        assert taker.ready
        assert taker.resources == heads[claim.task_id].resources
        assert claim.agent not in retired
    for name, taker in agents.items():
        assert sum(claim.agent == name for claim in claims) <= max(taker.free_slots, 0)


@given(views())
def test_why_has_a_sentence_for_every_head(view: View) -> None:
    for head in view.heads:
        assert policy.why(view, head.task_id)
