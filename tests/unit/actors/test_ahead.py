"""What the scheduler gives to builders, and what it does with their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dray.actors import ahead, handles
from dray.actors.ahead import PATIENCE_S, Ahead
from dray.actors.orders import AheadOrder, AheadReport, Refusal
from dray.runtime import policy
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.config import Settings
from dray.runtime.execution import EnvironmentReport, Execution
from dray.runtime.models import QueueEntry
from dray.runtime.policy import AgentView, NodeView, View
from dray.runtime.resources import Resources
from tests.unit.envbuilder.conftest import until

ONE = Resources()
BUILT = AheadReport("n1", EnvironmentReport("k" * 32, reused=False, seconds=1.0), looked_at=True)
TYPO = replace(BUILT, cause=Cause(CauseKind.ENVIRONMENT_FAILED, "No module named 'nunpy'"))


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Method:
    """A remote method that keeps what it was given."""

    def __init__(self, answer: Any = None) -> None:
        self.calls: list[Any] = []
        self._answer = answer

    def remote(self, *arguments: Any) -> Any:
        self.calls.append(arguments[0] if len(arguments) == 1 else arguments)
        made = self._answer(*arguments) if self._answer is not None else None
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if isinstance(made, asyncio.Future):
            return made
        future.set_result(made)
        return future


@dataclass
class Builder:
    """A node's builder, which answers when the test says so."""

    reports: dict[str, asyncio.Future[AheadReport]] = field(default_factory=dict)
    cancel: Method = field(default_factory=Method)
    wanted: Method = field(default_factory=Method)

    def __post_init__(self) -> None:
        self.build_ahead = Method(self._begin)

    def _begin(self, order: AheadOrder) -> asyncio.Future[AheadReport]:
        return self.reports.setdefault(order.content, asyncio.get_running_loop().create_future())


@dataclass
class World:
    """A scheduler's part in building ahead, with everything around it in the test's hands."""

    executions: dict[str, Execution]
    clock: Clock = field(default_factory=Clock)
    builders: dict[str, Builder] = field(default_factory=dict)
    tasks: list[asyncio.Future[None]] = field(default_factory=list)
    running: int = 1
    enqueued_at: float = 1000.0

    def __post_init__(self) -> None:
        self.ahead_orders = Method(self._orders)
        self.refuse = Method()
        self.ahead = self.new_life()

    def new_life(self, **settings: Any) -> Ahead:
        return Ahead(Settings(**settings), self.clock, self._begin, lambda: None)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    def _orders(self, task_ids: list[str]) -> list[AheadOrder]:
        return [
            AheadOrder(t, str(self.executions[t].snapshot), "", self.executions[t], "url", "token")
            for t in task_ids
            if t in self.executions
        ]

    def builder_on(self, node_id: str, _: Settings) -> Builder:
        return self.builders.setdefault(node_id, Builder())

    def look(self) -> None:
        heads = tuple(
            QueueEntry(t, "default", 0, rank, self.enqueued_at, ONE)
            for rank, t in enumerate(self.executions)
        )
        busy = AgentView("a", "elastic", ONE, "n1", n_running=self.running)
        view = View(0, heads=heads, agents=(busy,), nodes=(NodeView("n1", {"CPU": 1.0}),))
        self.ahead.look(view, policy.plan(view))

    async def settle(self) -> None:
        """Look until there is nothing new to do."""
        for _ in range(3):
            self.look()
            await asyncio.sleep(0.02)

    @property
    def given(self) -> list[str]:
        return [o.task_id for b in self.builders.values() for o in b.build_ahead.calls]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World({"t1": Execution(snapshot="s1")})
    monkeypatch.setattr(handles, "gateway", lambda: made)
    monkeypatch.setattr(ahead, "builder_on", made.builder_on)
    return made


async def impatient(world: World) -> Builder:
    """Tasks have waited long enough, and a builder has been told."""
    world.look()
    world.clock.time += PATIENCE_S
    await world.settle()
    await until(lambda: bool(world.builders), "a builder")
    return world.builders["n1"]


async def test_a_task_that_is_placed_at_once_makes_no_builder(world: World) -> None:
    world.running = 0
    world.look()
    world.clock.time += 60
    await world.settle()
    assert (world.builders, world.ahead_orders.calls) == ({}, [])


async def test_a_task_that_has_just_come_is_given_a_moment(world: World) -> None:
    await world.settle()
    assert world.builders == {}
    assert world.ahead.note("t1") == ""


async def test_what_is_alike_is_built_once_and_never_again(world: World) -> None:
    world.executions["t2"] = Execution(snapshot="s1", arguments=["--lr", "1"])
    world.executions["t3"] = Execution(snapshot="s3")
    builder = await impatient(world)
    assert world.given == ["t1", "t3"]
    assert world.ahead.note("t2") == "its environment is being built ahead"
    builder.reports["s1"].set_result(BUILT)
    await world.settle()
    assert "its environment kkkkkkkkkkkk is ready on n1" in world.ahead.note("t2")
    world.ahead.withdraw(["t1"])  # dequeued, and enqueued again as it is
    await world.settle()
    world.clock.time += PATIENCE_S
    await world.settle()
    assert world.given == ["t1", "t3"]


async def test_switched_off_it_does_nothing(world: World) -> None:
    world.ahead = world.new_life(build_ahead=False)
    world.look()
    world.clock.time += PATIENCE_S
    await world.settle()
    assert world.builders == {}


async def test_a_task_that_leaves_its_queue_takes_its_build_along(world: World) -> None:
    builder = await impatient(world)
    world.ahead.withdraw(["t1"])
    assert builder.cancel.calls == ["s1"]


async def test_what_another_task_waits_for_is_not_cancelled(world: World) -> None:
    world.executions["t2"] = Execution(snapshot="s1")
    builder = await impatient(world)
    world.ahead.withdraw(["t1"])
    assert builder.cancel.calls == []


async def test_a_task_that_has_its_turn_waits_for_what_is_built_where_it_runs(
    world: World,
) -> None:
    builder = await impatient(world)
    world.ahead.claimed("t1", "n1")
    assert (builder.wanted.calls, builder.cancel.calls) == (["s1"], [])


async def test_a_task_that_runs_elsewhere_needs_no_build(world: World) -> None:
    builder = await impatient(world)
    world.ahead.claimed("t1", "n2")
    assert (builder.wanted.calls, builder.cancel.calls) == ([], ["s1"])


async def test_a_verdict_ends_every_task_that_is_alike(world: World) -> None:
    world.executions["t2"] = Execution(snapshot="s1")
    builder = await impatient(world)
    builder.reports["s1"].set_result(TYPO)
    await world.settle()
    (refusal,) = world.refuse.calls
    assert isinstance(refusal, Refusal)
    assert (set(refusal.claim_ids), refusal.cause) == ({"t1", "t2"}, TYPO.cause)
    assert (refusal.content, refusal.builder) == ("s1", "builder@n1")
    assert refusal.environment == TYPO.environment


async def test_who_enqueues_a_refused_task_again_has_it_looked_at_again(world: World) -> None:
    builder = await impatient(world)
    builder.reports["s1"].set_result(TYPO)
    await world.settle()
    world.ahead.withdraw(["t1"])
    builder.reports.clear()
    world.clock.time += 60
    world.enqueued_at = world.clock.time
    await impatient(world)
    assert world.given == ["t1", "t1"]
    builder.reports["s1"].set_result(BUILT)
    await world.settle()
    assert len(world.refuse.calls) == 1


async def test_a_build_that_did_not_work_fails_no_task(world: World) -> None:
    builder = await impatient(world)
    builder.reports["s1"].set_result(AheadReport("n1", notes=["no such host"], looked_at=True))
    await world.settle()
    assert world.refuse.calls == []
    note = world.ahead.note("t1")
    assert note == "its environment could not be built ahead on n1: no such host"


async def test_a_builder_that_dies_is_only_noted(world: World) -> None:
    builder = await impatient(world)
    builder.reports["s1"].set_exception(handles.ActorGone[0]())
    await world.settle()
    assert "its builder is gone" in world.ahead.note("t1")
    assert (world.given, world.refuse.calls) == (["t1"], [])


def test_a_builder_holds_nothing_and_never_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(handles, "get_or_create", lambda *arguments: made.append(arguments))
    ahead.builder_on("n1", Settings())
    ((_, options, _),) = made
    assert (options.name, options.node_id, options.restarts) == ("builder:n1", "n1", False)
    assert options.resources.amounts() == {}
