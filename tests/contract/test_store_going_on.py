"""Going on after an end: which steps count iterations further, and which do not."""

from __future__ import annotations

import asyncio

import pytest

from dray.runtime import causes
from dray.runtime.errors import IllegalTransition, InvalidInput
from dray.runtime.ids import new_id
from dray.runtime.machine import Dequeue, Enqueue, Finish, ProveDead, Reset
from dray.runtime.models import Policy
from dray.runtime.states import State
from tests.contract.conftest import BY, TTL_S, World

FAILED = causes.exited(1)


async def report(world: World, task_id: str, epoch: int, *iterations: int) -> None:
    for iteration in iterations:
        await world.record(
            task_id, epoch, "scalar", title="loss", series="train", i=iteration, v=0.5
        )


async def failed_at(world: World, *iterations: int, **members: object) -> str:
    """A task that an agent ran and that failed after reporting ``iterations``."""
    task_id, epoch = await world.running(**members)
    await report(world, task_id, epoch, *iterations)
    await world.store.tasks.apply(task_id, Finish(epoch, FAILED), BY)
    return task_id


async def initial_iteration(world: World, task_id: str) -> int:
    return (await world.store.tasks.get(task_id)).initial_iteration


async def start_local(world: World, task_id: str, claim_id: str = "", **how: int) -> int:
    given = await world.store.attempts.start_local(
        task_id, "local:here", "here", claim_id or new_id(), TTL_S, BY, **how
    )
    return given.task.initial_iteration


@pytest.mark.parametrize(
    ("iterations", "next_one"),
    [((0, 1, 2), 3), ((7, 120, 3), 121), ((), 0), ((-5,), 0)],
    ids=["in order", "the highest counts", "none", "below zero"],
)
async def test_an_enqueued_failure_counts_on_from_its_highest_iteration(
    world: World, iterations: tuple[int, ...], next_one: int
) -> None:
    task_id = await failed_at(world, *iterations)
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    assert (await world.claim(task_id)).task.initial_iteration == next_one


async def test_an_abort_goes_on_like_a_failure(world: World) -> None:
    task_id, epoch = await world.running()
    await report(world, task_id, epoch, 9)
    await world.store.tasks.apply(task_id, Finish(epoch, causes.aborted("user")), BY)
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    assert await initial_iteration(world, task_id) == 10


async def test_a_run_started_by_hand_goes_on_too_and_keeps_the_old_points(world: World) -> None:
    task_id = await failed_at(world, 4)
    assert await start_local(world, task_id) == 5
    head = await world.head(task_id)
    await report(world, task_id, head.epoch, 5)
    points = (await world.store.results.scalars(task_id))["loss"]["train"]
    assert points.iterations == [4, 5]


async def test_where_to_count_from_may_be_said(world: World) -> None:
    assert await start_local(world, await failed_at(world, 4), initial_iteration=0) == 0
    assert await start_local(world, (await world.draft()).id, initial_iteration=50) == 50


async def test_a_repeated_start_is_answered_with_the_same_count(world: World) -> None:
    task_id = await failed_at(world, 4)
    first = await start_local(world, task_id, "claim")
    await report(world, task_id, 2, 30)
    assert await start_local(world, task_id, "claim") == first == 5


async def test_what_the_machine_was_sampled_for_does_not_count(world: World) -> None:
    task_id, epoch = await world.running()
    await world.record(task_id, epoch, "scalar", title=":monitor:machine", series="cpu", i=900, v=1)
    await report(world, task_id, epoch, 2)
    await world.store.tasks.apply(task_id, Finish(epoch, FAILED), BY)
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    assert await initial_iteration(world, task_id) == 3


async def test_a_retry_and_a_requeue_count_from_where_their_attempt_did(world: World) -> None:
    task_id = await failed_at(world, 9, policy=Policy(retries=1))  # its first failure is retried
    assert (await world.head(task_id)).state is State.PENDING
    epoch = (await world.claim(task_id)).epoch
    await world.store.tasks.apply(task_id, ProveDead(epoch, "its node is gone"), BY)
    assert (await world.head(task_id)).state is State.PENDING
    assert await initial_iteration(world, task_id) == 0
    epoch = (await world.claim(task_id)).epoch
    await world.store.tasks.apply(task_id, Finish(epoch, FAILED), BY)
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)  # somebody decides that it goes on
    epoch = (await world.claim(task_id)).epoch
    await report(world, task_id, epoch, 15)
    await world.store.tasks.apply(task_id, ProveDead(epoch, "its node is gone"), BY)
    assert await initial_iteration(world, task_id) == 10


async def test_taken_out_of_its_queue_and_put_back_it_still_goes_on(world: World) -> None:
    task_id = await failed_at(world, 9)
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    await world.store.tasks.apply(task_id, Dequeue(), BY)
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    assert await initial_iteration(world, task_id) == 10


async def test_a_reset_begins_anew(world: World) -> None:
    task_id = await failed_at(world, 9)
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    epoch = (await world.claim(task_id)).epoch
    await world.store.tasks.apply(task_id, Finish(epoch, FAILED), BY)
    await world.store.tasks.apply(task_id, Reset(), BY)
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    assert await initial_iteration(world, task_id) == 0


async def test_points_that_arrive_while_the_attempt_is_closed_are_counted(world: World) -> None:
    """The frame was being accepted when the attempt was given up and the task enqueued again."""
    task_id, epoch = await world.running(policy=Policy(max_requeues=0))

    async def give_up_and_enqueue() -> None:
        await world.store.tasks.apply(task_id, ProveDead(epoch, "its node is gone"), BY)
        await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)

    _, accepted = await asyncio.gather(
        give_up_and_enqueue(), report(world, task_id, epoch, 40), return_exceptions=True
    )
    arrived = (await world.store.results.metrics(task_id)) != {}
    assert arrived == (accepted is None)
    assert await initial_iteration(world, task_id) == (41 if arrived else 0)


async def test_completed_tasks_do_not_continue(world: World) -> None:
    task_id = await world.in_state(State.COMPLETED)
    with pytest.raises(IllegalTransition):
        await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    with pytest.raises(IllegalTransition):
        await start_local(world, task_id, initial_iteration=7)
    assert await initial_iteration(world, task_id) == 0


async def test_a_hand_over_brings_the_policy_the_run_was_given(world: World) -> None:
    await world.store.queues.ensure("gpu")
    task_id = (await world.draft()).id
    await start_local(world, task_id)
    policy = Policy(retries=2, max_run_time_s=60.0)
    await world.store.attempts.hand_over(task_id, 1, "gpu", BY, policy=policy)
    task = await world.store.tasks.get(task_id)
    assert (task.state, task.policy) == (State.PENDING, policy)


async def test_a_hand_over_refuses_a_policy_that_means_nothing(world: World) -> None:
    await world.store.queues.ensure("gpu")
    task_id = (await world.draft()).id
    await start_local(world, task_id)
    with pytest.raises(InvalidInput, match=r"policy\.retries is -1"):
        await world.store.attempts.hand_over(task_id, 1, "gpu", BY, policy=Policy(retries=-1))
    assert (await world.head(task_id)).state is State.RUNNING


async def test_a_local_run_that_goes_on_belongs_to_no_queue(world: World) -> None:
    task_id = await failed_at(world, 4, policy=Policy(retries=5))
    await world.claim(task_id)  # its first retry
    await world.store.tasks.apply(task_id, Finish(2, causes.aborted("user")), BY)
    await start_local(world, task_id)
    after = (await world.store.tasks.apply(task_id, Finish(3, FAILED), BY)).after
    assert (after.state, after.queue) == (State.FAILED, "")  # nowhere to be retried
