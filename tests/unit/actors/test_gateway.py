"""The gateway towards the scheduler: one generation claims, and orders date their leases."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dray.actors.gateway import GatewayActor
from dray.actors.orders import ClaimIntent
from dray.runtime.clock import SteadyClock, SystemClock
from dray.runtime.config import Settings
from dray.runtime.execution import Container, RunDefaults
from dray.runtime.machine import Enqueue
from dray.runtime.models import Task
from dray.runtime.paths import HomePaths
from dray.runtime.states import State
from dray.runtime.store import By, Store

BY = By("user")
ID = "ab" * 16


def gateway_of(store: Store) -> GatewayActor:
    """A gateway as far as claims go: without a server, a watch and Ray."""
    gateway = object.__new__(GatewayActor)
    gateway._store, gateway._settings = store, Settings()
    gateway._clock = SteadyClock()
    gateway._url, gateway._token = "http://127.0.0.1:1", "secret"
    gateway._generation, gateway._claiming = "", asyncio.Lock()
    return gateway


async def test_a_claim_of_a_scheduler_that_was_replaced_gives_nothing(tmp_path: Path) -> None:
    async with await Store.open(HomePaths(tmp_path), SystemClock()) as store:
        await store.queues.ensure("gpu")
        await store.tasks.create(Task(ID, "t", "p"), BY)
        await store.tasks.apply(ID, Enqueue("gpu"), BY)
        gateway = gateway_of(store)
        await gateway.cluster_state("second")
        late = ClaimIntent(ID, "agent-1", "node", "claim-1")
        assert await gateway.claim("first", [late]) == [None]
        assert (await store.tasks.head(ID)).state is State.PENDING
        (order,) = await gateway.claim("second", [ClaimIntent(ID, "agent-2", "node", "claim-2")])
        assert order is not None
        assert order.epoch == 1


async def test_a_gateway_that_was_restarted_goes_on_with_the_scheduler_there_is(
    tmp_path: Path,
) -> None:
    async with await Store.open(HomePaths(tmp_path), SystemClock()) as store:
        gateway = gateway_of(store)
        nobody = ClaimIntent(ID, "agent-1", "node", "claim-1")
        assert await gateway.claim("first", [nobody]) == [None], "there is no such task"
        await store.queues.ensure("gpu")
        await store.tasks.create(Task(ID, "t", "p"), BY)
        await store.tasks.apply(ID, Enqueue("gpu"), BY)
        assert await gateway.claim("first", [nobody]) != [None]


async def test_a_claim_that_is_answered_again_does_not_date_its_lease(tmp_path: Path) -> None:
    """The lease began with the first of them; dated by the second, the fence would fall late."""
    async with await Store.open(HomePaths(tmp_path), SystemClock()) as store:
        await store.queues.ensure("gpu")
        await store.tasks.create(Task(ID, "t", "p"), BY)
        await store.tasks.apply(ID, Enqueue("gpu"), BY)
        gateway, intent = gateway_of(store), ClaimIntent(ID, "agent-1", "node", "claim-1")
        (first,), (again,) = [await gateway.claim("one", [intent]) for _ in range(2)]
        assert first is not None
        assert again is not None
        assert (first.epoch, again.epoch) == (1, 1)
        assert first.claimed_at is not None
        assert again.claimed_at is None


async def test_an_order_says_how_its_queue_runs_tasks_also_when_it_is_given_again(
    tmp_path: Path,
) -> None:
    async with await Store.open(HomePaths(tmp_path), SystemClock()) as store:
        defaults = RunDefaults("pip", Container("python:3.12"))
        await store.queues.create("gpu", defaults=defaults)
        await store.tasks.create(Task(ID, "t", "p"), BY)
        await store.tasks.apply(ID, Enqueue("gpu"), BY)
        gateway = gateway_of(store)
        (order,) = await gateway.claim("one", [ClaimIntent(ID, "agent-1", "node", "claim-1")])
        assert order is not None
        assert order.defaults == defaults
        state = await gateway.cluster_state("two")
        assert [each.order.defaults for each in state.orders] == [defaults]
