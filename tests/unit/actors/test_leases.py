"""Leases run out for holders that are silent, not for a watch that was away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dray.actors.leases import LeaseWatch
from dray.runtime.clock import SteadyClock
from dray.runtime.errors import StoreUnusable
from dray.runtime.machine import Enqueue
from dray.runtime.models import OnLost, Policy, Task
from dray.runtime.paths import HomePaths
from dray.runtime.states import Phase, State
from dray.runtime.store import By, ClaimRequest, Store

TTL_S = 30.0
LOOK_EVERY_S = TTL_S / 6
ME = By("tests")


class Machine:
    """The clocks of a machine, in a test's hand: time passes on both, the wall can be set."""

    def __init__(self) -> None:
        self.passed_s, self.wall = 0.0, 1_000_000.0

    def now(self) -> float:
        return self.wall + self.passed_s

    def monotonic(self) -> float:
        return self.passed_s


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> SteadyClock:
    return SteadyClock(machine)


@pytest.fixture
async def store(tmp_path: Path, clock: SteadyClock) -> AsyncIterator[Store]:
    store = await Store.open(HomePaths(tmp_path), clock)
    async with store:
        yield store


@pytest.fixture
def watch(store: Store, clock: SteadyClock) -> LeaseWatch:
    return LeaseWatch(store, clock, TTL_S)


async def running(store: Store, on_lost: OnLost = OnLost.REQUEUE) -> Task:
    await store.queues.ensure("default")
    draft = Task(id="", name="t", project="p", policy=Policy(on_lost=on_lost))
    task = await store.tasks.create(draft, ME)
    await store.tasks.apply(task.id, Enqueue("default"), ME)
    await store.attempts.claim([ClaimRequest(task.id, "a", "n", "c", TTL_S)], ME)
    return task


async def test_an_attempt_that_stays_silent_goes_back_to_its_queue(
    store: Store, machine: Machine, watch: LeaseWatch
) -> None:
    task = await running(store)
    for _ in range(7):
        assert (await store.tasks.head(task.id)).state is State.RUNNING
        machine.passed_s += LOOK_EVERY_S
        await watch.look()
    assert (await store.tasks.head(task.id)).state is State.PENDING


async def test_time_nobody_watched_counts_against_no_attempt(
    store: Store, machine: Machine, clock: SteadyClock, watch: LeaseWatch
) -> None:
    task = await running(store)
    machine.passed_s += 3600.0
    await watch.look()
    head = await store.tasks.head(task.id)
    assert (head.state, head.lease_expires_at) == (State.RUNNING, clock.now() + TTL_S)


@pytest.mark.parametrize("by_s", [86_400.0, -86_400.0, 20.0])
async def test_a_clock_that_is_set_counts_against_no_attempt(
    store: Store, machine: Machine, clock: SteadyClock, watch: LeaseWatch, by_s: float
) -> None:
    task = await running(store)
    machine.wall += by_s
    machine.passed_s += LOOK_EVERY_S
    await watch.look()
    assert clock.now() == machine.now()
    head = await store.tasks.head(task.id)
    assert (head.state, head.lease_expires_at) == (State.RUNNING, machine.now() + TTL_S)


async def test_a_clock_that_is_set_and_set_back_between_two_looks_counts_against_no_attempt(
    store: Store, machine: Machine, watch: LeaseWatch
) -> None:
    task = await running(store)
    machine.wall -= 86_400.0
    await store.attempts.renew(task.id, 1)
    machine.wall += 86_400.0
    machine.passed_s += LOOK_EVERY_S
    await watch.look()
    assert (await store.tasks.head(task.id)).phase is Phase.PREPARING


async def test_leases_that_could_not_be_extended_are_extended_by_the_next_look(
    store: Store, machine: Machine, watch: LeaseWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, say, at the moment the clock is set."""
    task = await running(store)

    async def refuse() -> None:
        raise StoreUnusable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store.attempts, "extend_all", refuse)
        machine.wall += 86_400.0
        with pytest.raises(StoreUnusable):
            await watch.look()
    machine.passed_s += LOOK_EVERY_S
    await watch.look()
    head = await store.tasks.head(task.id)
    assert (head.phase, head.lease_expires_at) == (Phase.PREPARING, machine.now() + TTL_S)


async def test_a_task_whose_node_is_gone_goes_back_once_its_lease_has_run_out(
    store: Store, machine: Machine, watch: LeaseWatch
) -> None:
    task = await running(store)
    for _ in range(6):
        await watch.lose_node(task.id, 1, "node n is gone")
        machine.passed_s += LOOK_EVERY_S
        await watch.look()
        assert (await store.tasks.head(task.id)).state is State.RUNNING
    machine.passed_s += LOOK_EVERY_S
    await watch.look()
    head = await store.tasks.head(task.id)
    assert head.state is State.PENDING
    assert head.cause is not None
    assert str(head.cause.evidence).startswith("node n is gone; agent a was silent for 30 s")


async def test_a_task_that_waits_fails_at_once_when_its_node_is_gone(
    store: Store, watch: LeaseWatch
) -> None:
    task = await running(store, OnLost.WAIT)
    await watch.lose_node(task.id, 1, "node n is gone")
    assert (await store.tasks.head(task.id)).state is State.FAILED


async def test_silence_alone_never_ends_a_task_that_waits(
    store: Store, machine: Machine, watch: LeaseWatch
) -> None:
    task = await running(store, OnLost.WAIT)
    for _ in range(20):
        machine.passed_s += LOOK_EVERY_S
        await watch.look()
    assert (await store.tasks.head(task.id)).phase is Phase.UNREACHABLE
    await store.attempts.renew(task.id, 1)
    assert (await store.tasks.head(task.id)).phase is Phase.PREPARING


async def test_words_on_a_node_for_an_attempt_that_is_over_change_nothing(
    store: Store, watch: LeaseWatch
) -> None:
    task = await running(store, OnLost.WAIT)
    await watch.lose_node(task.id, 7, "node n is gone")
    await watch.lose_node("no-such-task", 1, "node n is gone")
    assert (await store.tasks.head(task.id)).state is State.RUNNING
