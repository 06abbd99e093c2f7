"""Requeues, retries and stops as the store writes them: places, delays, followers."""

from __future__ import annotations

import pytest

from dray.runtime import causes
from dray.runtime.causes import CauseKind
from dray.runtime.errors import IllegalTransition, InvalidInput
from dray.runtime.machine import Enqueue, Finish, ProveDead
from dray.runtime.models import Policy, Task
from dray.runtime.states import Phase, State
from dray.runtime.store import CloneRequest
from tests.contract.conftest import BY, World

ABORT = causes.aborted("user")


async def test_a_lost_task_goes_back_to_the_head_of_its_priority(world: World) -> None:
    first, second = await world.pending(), await world.pending()
    urgent = await world.pending(priority=5)
    epoch = (await world.claim(first)).epoch
    world.clock.pass_s(60)
    await world.store.tasks.apply(first, ProveDead(epoch, "gone"), BY)
    order = [entry.task_id for entry in await world.store.queues.pending("gpu", 10, None)]
    assert order == [urgent, first, second]
    entries = {e.task_id: e for e in await world.store.queues.pending("gpu", 10, None)}
    assert entries[first].enqueued_at <= entries[second].enqueued_at


async def test_a_retry_waits_in_the_queue_until_its_time(world: World) -> None:
    task_id, epoch = await world.running(policy=Policy(retries=1, retry_delay_s=30.0))
    change = await world.store.tasks.apply(
        task_id, Finish(epoch, causes.exited(1), world.clock.now()), BY
    )
    assert change.entry is not None
    assert change.entry.not_before == world.clock.now() + 30.0
    task = await world.store.tasks.get(task_id)
    assert (task.state, task.n_retries, task.not_before) == (
        State.PENDING,
        1,
        change.entry.not_before,
    )
    assert (await world.claim(task_id)).task.not_before is None


async def test_the_policy_of_a_task_is_kept_whole(world: World) -> None:
    policy = Policy(retries=2, max_run_time_s=3600.0, stop_grace_s=0.5, quarantine_after=0)
    task = await world.draft(policy=policy)
    assert (await world.store.tasks.get(task.id)).policy == policy


@pytest.mark.parametrize(
    "policy", [Policy(retries=-1), Policy(max_run_time_s=0.0), Policy(retry_delay_s=-0.1)]
)
async def test_a_policy_that_means_nothing_is_refused_by_its_member(
    world: World, policy: Policy
) -> None:
    with pytest.raises(InvalidInput, match=r"policy\.") as caught:
        await world.draft(policy=policy)
    assert str(caught.value.details["field"]).startswith("policy.")


async def test_stopping_a_parent_stops_what_follows_it_and_nothing_else(world: World) -> None:
    parent, _ = await world.running()
    waiting = await world.pending(parent_id=parent)
    running, _ = await world.running(parent_id=parent)
    grandchild = await world.pending(parent_id=running)
    ended = await world.ended(causes.exited(0), parent_id=parent)
    bystander = await world.pending()
    clone = await world.store.tasks.clone(parent, CloneRequest(), BY)
    assert clone.parent_id == parent, "where it was cloned from"

    await world.store.tasks.stop(parent, ABORT, BY)

    assert (await world.head(parent)).phase is Phase.STOPPING
    assert (await world.head(running)).phase is Phase.STOPPING
    for task_id in (waiting, grandchild):
        head = await world.head(task_id)
        assert head.state is State.ABORTED
        assert head.cause is not None
        assert parent[:8] in head.cause.message
        assert head.cause.by == "user"
    assert (await world.head(ended)).state is State.COMPLETED
    assert (await world.head(bystander)).state is State.PENDING
    assert (await world.head(clone.id)).state is State.DRAFT


async def test_what_only_comes_from_a_task_is_not_stopped_with_it(world: World) -> None:
    parent_id, _ = await world.running()
    task = Task("", "clone", "vision", parent_id=parent_id)
    clone = await world.store.tasks.create(task, BY, follows_parent=False)
    await world.store.tasks.apply(clone.id, Enqueue("gpu"), BY)
    await world.store.tasks.stop(parent_id, causes.aborted("user"), BY)
    assert (await world.head(clone.id)).state is State.PENDING


async def test_a_clone_that_was_given_its_parent_follows_it(world: World) -> None:
    parent, _ = await world.running()
    step = await world.store.tasks.clone(parent, CloneRequest(parent_id=parent), BY)
    await world.store.queues.ensure("gpu")
    await world.store.tasks.apply(step.id, Enqueue("gpu"), BY)
    await world.store.tasks.stop(parent, ABORT, BY)
    assert (await world.head(step.id)).state is State.ABORTED


async def test_tasks_that_are_each_others_parents_are_stopped_once(world: World) -> None:
    a, b = "a" * 32, "b" * 32
    await world.pending(id=a, parent_id=b)
    await world.pending(id=b, parent_id=a)
    await world.store.tasks.stop(a, ABORT, BY)
    assert [(await world.head(i)).state for i in (a, b)] == [State.ABORTED] * 2
    assert (await world.events(a)).count("abort") == 1


async def test_an_ended_task_cannot_be_stopped_and_its_followers_are_left_alone(
    world: World,
) -> None:
    parent = await world.ended(causes.exited(0))
    child = await world.pending(parent_id=parent)
    with pytest.raises(IllegalTransition):
        await world.store.tasks.stop(parent, ABORT, BY)
    assert (await world.head(child)).state is State.PENDING


async def test_agents_that_die_one_after_the_other_put_their_task_in_quarantine(
    world: World,
) -> None:
    task_id = await world.pending(policy=Policy(quarantine_after=2))
    for agent in ("agent-1", "agent-2"):
        epoch = (await world.claim(task_id, agent)).epoch
        await world.store.tasks.apply(task_id, ProveDead(epoch, "139", agent_died=True), BY)
    head = await world.head(task_id)
    assert head.cause is not None
    assert (head.state, head.cause.kind) == (State.FAILED, CauseKind.QUARANTINED)
