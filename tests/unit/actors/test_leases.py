"""Leases run out for holders that are silent, not for a watch that was away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dray.actors.leases import LeaseWatch
from dray.runtime.machine import Enqueue
from dray.runtime.models import OnLost, Policy, Task
from dray.runtime.paths import HomePaths
from dray.runtime.states import Phase, State
from dray.runtime.store import By, ClaimRequest, Store

TTL_S = 30.0
LOOK_EVERY_S = TTL_S / 6
ME = By("tests")


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def store(tmp_path: Path, clock: HandClock) -> AsyncIterator[Store]:
    store = await Store.open(HomePaths(tmp_path), clock)
    async with store:
        yield store


async def running(store: Store, on_lost: OnLost = OnLost.REQUEUE) -> Task:
    await store.queues.ensure("default")
    draft = Task(id="", name="t", project="p", policy=Policy(on_lost=on_lost))
    task = await store.tasks.create(draft, ME)
    await store.tasks.apply(task.id, Enqueue("default"), ME)
    await store.attempts.claim([ClaimRequest(task.id, "a", "n", "c", TTL_S)], ME)
    return task


async def test_an_attempt_that_stays_silent_goes_back_to_its_queue(
    store: Store, clock: HandClock
) -> None:
    task, watch = await running(store), LeaseWatch(store, clock, TTL_S)
    for _ in range(7):
        assert (await store.tasks.head(task.id)).state is State.RUNNING
        clock.time += LOOK_EVERY_S
        await watch.look()
    assert (await store.tasks.head(task.id)).state is State.PENDING


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0], ids=["suspended", "clock put back"])
async def test_time_nobody_watched_counts_against_no_attempt(
    store: Store, clock: HandClock, jump_s: float
) -> None:
    task, watch = await running(store), LeaseWatch(store, clock, TTL_S)
    clock.time += jump_s
    await watch.look()
    head = await store.tasks.head(task.id)
    assert (head.state, head.lease_expires_at) == (State.RUNNING, clock.time + TTL_S)


async def test_a_task_whose_node_is_gone_goes_back_once_its_lease_has_run_out(
    store: Store, clock: HandClock
) -> None:
    task, watch = await running(store), LeaseWatch(store, clock, TTL_S)
    for _ in range(6):
        await watch.lose_node(task.id, 1, "node n is gone")
        clock.time += LOOK_EVERY_S
        await watch.look()
        assert (await store.tasks.head(task.id)).state is State.RUNNING
    clock.time += LOOK_EVERY_S
    await watch.look()
    head = await store.tasks.head(task.id)
    assert head.state is State.PENDING
    assert head.cause is not None
    assert str(head.cause.evidence).startswith("node n is gone; agent a was silent for 30 s")


async def test_a_task_that_waits_fails_at_once_when_its_node_is_gone(
    store: Store, clock: HandClock
) -> None:
    task, watch = await running(store, OnLost.WAIT), LeaseWatch(store, clock, TTL_S)
    await watch.lose_node(task.id, 1, "node n is gone")
    assert (await store.tasks.head(task.id)).state is State.FAILED


async def test_silence_alone_never_ends_a_task_that_waits(store: Store, clock: HandClock) -> None:
    task, watch = await running(store, OnLost.WAIT), LeaseWatch(store, clock, TTL_S)
    for _ in range(20):
        clock.time += LOOK_EVERY_S
        await watch.look()
    assert (await store.tasks.head(task.id)).phase is Phase.UNREACHABLE
    await store.attempts.renew(task.id, 1)
    assert (await store.tasks.head(task.id)).phase is Phase.PREPARING


async def test_words_on_a_node_for_an_attempt_that_is_over_change_nothing(
    store: Store, clock: HandClock
) -> None:
    task, watch = await running(store, OnLost.WAIT), LeaseWatch(store, clock, TTL_S)
    await watch.lose_node(task.id, 7, "node n is gone")
    await watch.lose_node("no-such-task", 1, "node n is gone")
    assert (await store.tasks.head(task.id)).state is State.RUNNING
