"""A pending task that is certain to fail is claimed and ended in one step."""

from __future__ import annotations

import pytest

from dray.runtime.causes import Cause, CauseKind
from dray.runtime.execution import EnvironmentReport
from dray.runtime.machine import Dequeue, Enqueue
from dray.runtime.models import Policy, Task
from dray.runtime.states import State
from dray.runtime.store import By, Change, ClaimRequest
from tests.contract.conftest import BY, TTL_S, World

CAUSE = Cause(CauseKind.ENVIRONMENT_FAILED, "No module named 'nunpy'").with_evidence("main.py:1")
BUILDER = By("builder")


def request(task_id: str) -> ClaimRequest:
    return ClaimRequest(task_id, "builder@n1", "n1", f"claim-{task_id}", TTL_S)


def is_pending(task: Task) -> bool:
    return task.state is State.PENDING


async def test_it_ends_failed_with_an_attempt_of_the_builder_and_is_not_tried_again(
    world: World,
) -> None:
    task_id = await world.pending(policy=Policy(retries=5))
    heard: list[Change] = []
    world.store.subscribe(heard.append)
    built = EnvironmentReport("k" * 32, reused=False, seconds=1.0)
    assert await world.store.refusals.refuse(
        request(task_id), CAUSE, BUILDER, still=is_pending, environment=built
    )
    task = await world.store.tasks.get(task_id)
    assert (task.state, task.cause, task.n_retries) == (State.FAILED, CAUSE, 0)
    assert task.attempt is not None
    assert (task.attempt.epoch, task.attempt.agent) == (1, "builder@n1")
    assert (task.attempt.cause, task.attempt.environment) == (CAUSE, built)
    assert task.attempt.ended_at is not None
    assert await world.store.queues.pending("gpu") == []
    assert [(change.before.state, change.after.state) for change in heard] == [
        (State.PENDING, State.RUNNING),
        (State.RUNNING, State.FAILED),
    ]
    audit = (await world.store.audit.list(task_id)).items
    assert [(e.event, e.by) for e in audit][-2:] == [("claim", "builder"), ("fail", "builder")]


async def test_repeating_it_ends_no_later_life_of_the_task(world: World) -> None:
    task_id = await world.pending()
    refuse = world.store.refusals.refuse
    assert await refuse(request(task_id), CAUSE, BUILDER, still=is_pending)
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    assert not await refuse(request(task_id), CAUSE, BUILDER, still=is_pending)
    assert (await world.head(task_id)).state is State.PENDING


@pytest.mark.parametrize("why", ["changed", "taken out", "claimed", "deleted"])
async def test_a_task_it_is_no_longer_about_stays_as_it_is(world: World, why: str) -> None:
    task_id = await world.pending()
    if why == "taken out":
        await world.store.tasks.apply(task_id, Dequeue(), BY)
    elif why == "claimed":
        await world.claim(task_id)
    elif why == "deleted":
        await world.store.tasks.delete(task_id, BY, force=True)
    assert not await world.store.refusals.refuse(
        request(task_id), CAUSE, BUILDER, still=lambda _: why != "changed"
    )
    if why != "deleted":
        assert (await world.head(task_id)).state is not State.FAILED
