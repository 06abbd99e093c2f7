"""Claims and leases: one holder per task, a lost reply answered again."""

from __future__ import annotations

import pytest

from dray.runtime import causes
from dray.runtime.errors import IllegalTransition, InvalidInput, NotFound, StaleEpoch
from dray.runtime.execution import EnvironmentReport
from dray.runtime.ids import new_id
from dray.runtime.machine import Finish, LoseContact, ProveDead, RequestStop
from dray.runtime.models import Parameter, StreamReceipt
from dray.runtime.states import Phase, State
from dray.runtime.store import ClaimRequest
from tests.contract.conftest import BY, TTL_S, World


def request(task_id: str, claim_id: str = "claim-1", agent: str = "agent-1") -> ClaimRequest:
    return ClaimRequest(task_id, agent, "node-1", claim_id, TTL_S)


async def test_a_claim_gives_the_task_an_epoch_and_a_lease(world: World) -> None:
    task_id = await world.pending()
    (assignment,) = await world.store.attempts.claim([request(task_id)], BY)
    assert assignment is not None
    assert (assignment.epoch, assignment.claim_id) == (1, "claim-1")
    task = assignment.task
    assert (task.state, task.phase) == (State.RUNNING, Phase.PREPARING)
    assert task.attempt is not None
    assert (task.attempt.agent, task.attempt.node) == ("agent-1", "node-1")
    assert task.attempt.lease_expires_at == world.clock.now() + TTL_S


async def test_a_claim_whose_reply_was_lost_is_answered_again(world: World) -> None:
    task_id = await world.pending()
    first = await world.store.attempts.claim([request(task_id)], BY)
    again = await world.store.attempts.claim([request(task_id)], BY)
    assert again == first
    assert len(await world.store.attempts.list(task_id)) == 1


async def test_a_claim_that_comes_again_after_its_attempt_opens_no_other(world: World) -> None:
    task_id = await world.pending()
    await world.store.attempts.claim([request(task_id)], BY)
    await world.store.tasks.apply(task_id, ProveDead(1, "gone"), BY)
    assert await world.store.attempts.claim([request(task_id)], BY) == [None]
    assert (await world.head(task_id)).state is State.PENDING
    (another,) = await world.store.attempts.claim([request(task_id, "claim-2")], BY)
    assert another is not None
    assert another.epoch == 2


async def test_of_two_claims_of_one_task_one_gets_it(world: World) -> None:
    task_id = await world.pending()
    requests = [request(task_id, "claim-1", "agent-1"), request(task_id, "claim-2", "agent-2")]
    first, second = await world.store.attempts.claim(requests, BY)
    assert first is not None
    assert second is None


async def test_a_batch_leaves_out_what_is_gone_or_not_pending(world: World) -> None:
    pending, draft = await world.pending(), (await world.draft()).id
    requests = [request(new_id()), request(draft), request(pending)]
    taken = await world.store.attempts.claim(requests, BY)
    assert [a and a.task.id for a in taken] == [None, None, pending]


async def test_a_run_started_by_hand_executes_at_once(world: World) -> None:
    task = await world.draft()
    start = world.store.attempts.start_local
    first = await start(task.id, "local:laptop", "laptop", "claim-1", TTL_S, BY)
    again = await start(task.id, "local:laptop", "laptop", "claim-1", TTL_S, BY)
    assert first == again
    assert first.task.phase is Phase.EXECUTING
    (attempt,) = await world.store.attempts.open()
    assert attempt.kind == "local"
    (kept,) = await world.store.attempts.list(task.id)
    assert kept.executing_at == world.clock.now()
    with pytest.raises(IllegalTransition):
        await start(task.id, "local:other", "other", "claim-2", TTL_S, BY)


async def test_a_renewal_moves_the_end_of_the_lease(world: World) -> None:
    task_id, epoch = await world.running()
    world.clock.pass_s(20)
    head = await world.store.attempts.renew(task_id, epoch)
    assert head.lease_expires_at == world.clock.now() + TTL_S
    head = await world.store.attempts.renew(task_id, epoch, 5.0)
    assert head.lease_expires_at == world.clock.now() + 5.0
    head = await world.store.attempts.renew(task_id, epoch)
    assert head.lease_expires_at == world.clock.now() + 5.0, "the new length stays"


@pytest.mark.parametrize("epoch", [0, 2, 7])
async def test_a_renewal_of_another_epoch_is_refused(world: World, epoch: int) -> None:
    task_id, _ = await world.running()
    with pytest.raises(StaleEpoch):
        await world.store.attempts.renew(task_id, epoch)


async def test_a_renewal_for_a_deleted_task_says_that_it_is_gone(world: World) -> None:
    with pytest.raises(NotFound):
        await world.store.attempts.renew(new_id(), 1)


async def test_time_the_server_was_down_counts_against_nobody(world: World) -> None:
    await world.running()
    world.clock.pass_s(10 * TTL_S)
    await world.store.attempts.extend_all()
    (attempt,) = await world.store.attempts.open()
    assert attempt.lease_expires_at == world.clock.now() + TTL_S


@pytest.mark.parametrize(("first_s", "second_s"), [(5.0, 30.0), (30.0, 5.0)])
async def test_leases_go_by_the_length_of_the_open_attempt(
    world: World, first_s: float, second_s: float
) -> None:
    task_id, _ = await world.running()
    await world.store.attempts.renew(task_id, 1, first_s)
    await world.store.tasks.apply(task_id, ProveDead(1, "gone"), BY)
    await world.claim(task_id)
    await world.store.attempts.renew(task_id, 2, second_s)
    world.clock.pass_s(3600)
    for renew in (world.store.attempts.extend_all(), world.store.attempts.renew(task_id, 2)):
        await renew
        (attempt,) = await world.store.attempts.open()
        assert attempt.epoch == 2
        assert attempt.lease_expires_at == world.clock.now() + second_s
        world.clock.pass_s(1)


async def test_only_running_tasks_are_open_attempts(world: World) -> None:
    for state in State:
        await world.in_state(state)
    (attempt,) = await world.store.attempts.open()
    assert (await world.head(attempt.task_id)).state is State.RUNNING
    assert attempt.stop is None


async def test_what_was_prepared_is_kept_with_the_attempt(world: World) -> None:
    task_id, epoch = await world.running()
    report = EnvironmentReport("key", True, 1.5, "3.11.7", ["numpy==2.1"])
    await world.store.attempts.set_environment(task_id, epoch, report)
    (attempt,) = await world.store.attempts.list(task_id)
    assert attempt.environment == report
    with pytest.raises(StaleEpoch):
        await world.store.attempts.set_environment(task_id, 9, report)


async def started(world: World) -> str:
    task = await world.draft(parameters={"Args/lr": Parameter("1")})
    await world.store.attempts.start_local(task.id, "local:h", "h", "c", TTL_S, BY)
    await world.store.queues.create("gpu")
    return task.id


async def test_a_run_started_by_hand_hands_itself_over_with_what_it_captured(
    world: World,
) -> None:
    task_id = await started(world)
    hand_over = world.store.attempts.hand_over
    for _ in range(2):  # a lost reply is answered again
        change = await hand_over(
            task_id,
            1,
            "gpu",
            BY,
            execution={"snapshot": "a" * 64, "resources": {"gpus": 1}},
            parameters={"Args/batch": Parameter("32", "int")},
            receipt={"stdout": StreamReceipt(3, "b" * 64)},
        )
        assert change.after.state is State.PENDING
    task = await world.store.tasks.get(task_id)
    assert task.queue == "gpu"
    assert task.execution.snapshot == "a" * 64
    assert (task.execution.resources.cpus, task.execution.resources.gpus) == (1.0, 1.0)
    assert set(task.parameters) == {"Args/lr", "Args/batch"}
    (attempt,) = await world.store.attempts.list(task_id)
    assert attempt.receipt == {"stdout": StreamReceipt(3, "b" * 64)}
    assert attempt.cause is not None
    (entry,) = await world.store.queues.pending("gpu")
    assert entry.resources.gpus == 1.0


async def test_a_hand_over_that_cannot_be_leaves_the_run_running(world: World) -> None:
    task_id = await started(world)
    with pytest.raises(InvalidInput, match="nonsense"):
        await world.store.attempts.hand_over(task_id, 1, "gpu", BY, execution={"nonsense": 1})
    with pytest.raises(NotFound, match="no queue"):
        await world.store.attempts.hand_over(task_id, 1, "elsewhere", BY)
    with pytest.raises(InvalidInput, match=r"resources\.gpus"):
        await world.store.attempts.hand_over(
            task_id, 1, "gpu", BY, execution={"resources": {"gpus": -1}}
        )
    assert (await world.head(task_id)).state is State.RUNNING
    with pytest.raises(StaleEpoch):
        await world.store.attempts.hand_over(task_id, 2, "gpu", BY)


async def test_a_stop_while_unreachable_is_told_when_the_holder_comes_back(world: World) -> None:
    task_id, epoch = await world.running()
    asked = causes.aborted("user")
    await world.store.tasks.apply(task_id, RequestStop(asked), BY)
    head = await world.store.attempts.renew(task_id, epoch)
    assert (head.phase, head.cause) == (Phase.STOPPING, asked)
    await world.store.tasks.apply(task_id, Finish(epoch, asked), BY)
    assert (await world.head(task_id)).state is State.ABORTED


async def test_an_unreachable_attempt_says_since_when_also_after_the_server_was_down(
    world: World,
) -> None:
    task_id, epoch = await world.running()
    since = world.clock.now() + TTL_S
    world.clock.pass_s(TTL_S + 7)
    await world.store.tasks.apply(task_id, LoseContact(epoch), BY)
    for _ in range(2):
        (attempt,) = await world.store.attempts.list(task_id)
        task = await world.store.tasks.get(task_id)
        assert attempt.unreachable_since == since
        assert task.attempt == attempt
        world.clock.pass_s(3600)
        await world.store.attempts.extend_all()
    await world.store.attempts.renew(task_id, epoch)
    (attempt,) = await world.store.attempts.list(task_id)
    assert attempt.unreachable_since is None
