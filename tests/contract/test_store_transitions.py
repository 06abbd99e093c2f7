"""Every step of a task's life, legal and illegal, as the store writes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dray.runtime import causes
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.errors import IllegalTransition, NotFound, StaleEpoch
from dray.runtime.machine import (
    BeginExecuting,
    Command,
    Dequeue,
    Enqueue,
    Finish,
    Head,
    LoseContact,
    ProveDead,
    Publish,
    RequestStop,
    Reset,
)
from dray.runtime.models import OnLost, Policy
from dray.runtime.states import TRANSITIONS, Event, Phase, State
from dray.runtime.store import By, Change, ClaimRequest, rows
from dray.runtime.store.session import Session
from tests.contract.conftest import BY, TTL_S, World

ILLEGAL = {
    state: [
        event
        for event in Event
        if (state, event) not in TRANSITIONS
        # Asking for what stands already is no error: every caller may repeat itself.
        and (state, event) != (State.PUBLISHED, Event.PUBLISH)
    ]
    for state in State
}


def command_for(event: Event, epoch: int) -> Command:
    """A command that goes through ``event``."""
    preempted = Cause(CauseKind.PREEMPTED, "its node was needed")
    commands: dict[Event, Command] = {
        Event.ENQUEUE: Enqueue("other"),
        Event.DEQUEUE: Dequeue(),
        Event.COMPLETE: Finish(epoch, Cause(CauseKind.EXIT_CODE, "told again", exit_code=0)),
        Event.FAIL: Finish(epoch, causes.exited(2)),
        Event.ABORT: RequestStop(causes.aborted("user")),
        Event.REQUEUE: Finish(epoch, preempted),
        Event.RESET: Reset(),
        Event.PUBLISH: Publish(),
    }
    return commands[event]


async def cause(world: World, task_id: str, event: Event) -> None:
    """Make ``event`` happen to a task, through the method meant for it."""
    epoch = (await world.head(task_id)).epoch
    if event is Event.CLAIM:
        request = ClaimRequest(task_id, "agent-2", "node-2", "another-claim", TTL_S)
        if await world.store.attempts.claim([request], BY) == [None]:
            raise IllegalTransition("a claim of what is not pending gets nothing")
    elif event is Event.START:
        await world.store.attempts.start_local(task_id, "local:h", "h", "c", TTL_S, BY)
    elif event is Event.ABORT and (await world.head(task_id)).state is State.RUNNING:
        await world.store.tasks.apply(task_id, Finish(epoch, causes.aborted("user")), BY)
    else:
        await world.store.tasks.apply(task_id, command_for(event, epoch), BY)


@pytest.mark.parametrize(("start", "event"), TRANSITIONS, ids=str)
async def test_a_legal_step_is_stored_and_audited(world: World, start: State, event: Event) -> None:
    await world.store.queues.create("other")
    task_id = await world.in_state(start)
    await cause(world, task_id, event)
    assert (await world.head(task_id)).state is TRANSITIONS[start, event]
    last = (await world.store.audit.list(task_id)).items[-1]
    assert last.event == event
    assert (last.from_state, last.to_state) == (start, TRANSITIONS[start, event])
    assert (last.by, last.request_id) == (BY.who, BY.request_id)


@pytest.mark.parametrize("start", State)
async def test_an_illegal_step_changes_nothing(world: World, start: State) -> None:
    await world.store.queues.create("other")
    task_id = await world.in_state(start)
    before = await world.store.tasks.get(task_id)
    n_events = len(await world.events(task_id))
    for event in ILLEGAL[start]:
        with pytest.raises((IllegalTransition, StaleEpoch)):
            await cause(world, task_id, event)
    assert await world.store.tasks.get(task_id) == before
    assert len(await world.events(task_id)) == n_events


async def test_pending_tasks_and_queue_entries_are_the_same_tasks(world: World) -> None:
    task_id = await world.pending()
    assert [e.task_id for e in await world.store.queues.pending("gpu")] == [task_id]
    await world.claim(task_id)
    assert await world.store.queues.pending("gpu") == []


async def test_entering_a_queue_that_is_not_there_names_the_way_out(world: World) -> None:
    task = await world.draft()
    with pytest.raises(NotFound, match="dray queue create gpus"):
        await world.store.tasks.apply(task.id, Enqueue("gpus"), BY)
    assert (await world.head(task.id)).state is State.DRAFT


async def test_enqueueing_again_with_another_priority_moves_it(world: World) -> None:
    first, second = await world.pending(), await world.pending()
    change = await world.store.tasks.apply(second, Enqueue("gpu"), BY, priority=5)
    assert change.entry is not None
    assert change.entry.priority == 5
    assert [e.task_id for e in await world.store.queues.pending("gpu")] == [second, first]
    assert (await world.store.tasks.get(second)).priority == 5


async def test_times_of_a_life_are_kept(world: World) -> None:
    task_id = await world.pending()
    enqueued = world.clock.now()
    world.clock.pass_s(10)
    await world.claim(task_id)
    started = world.clock.now()
    world.clock.pass_s(10)
    await world.store.tasks.apply(task_id, Finish(1, causes.exited(0)), BY)
    task = await world.store.tasks.get(task_id)
    assert (task.enqueued_at, task.started_at, task.ended_at) == (
        enqueued,
        started,
        world.clock.now(),
    )


async def test_an_end_is_final_and_caused_in_task_and_attempt(world: World) -> None:
    task_id = await world.ended(causes.killed(9))
    task = await world.store.tasks.get(task_id)
    assert task.state is State.FAILED
    assert task.cause == causes.killed(9)
    assert task.attempt is not None
    assert task.attempt.cause == causes.killed(9)
    assert task.attempt.ended_at == world.clock.now()
    assert task.attempt.lease_expires_at is None


async def test_a_failed_task_that_goes_on_gets_the_next_epoch(world: World) -> None:
    task_id = await world.ended(causes.exited(1))
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    assert (await world.claim(task_id)).epoch == 2
    assert [a.epoch for a in await world.store.attempts.list(task_id)] == [1, 2]


async def test_the_end_of_an_older_attempt_is_refused(world: World) -> None:
    task_id = await world.ended(causes.exited(1))
    await world.store.tasks.apply(task_id, Enqueue("gpu"), BY)
    await world.claim(task_id)
    with pytest.raises(StaleEpoch):
        await world.store.tasks.apply(task_id, Finish(1, causes.exited(0)), BY)


async def test_each_attempt_keeps_its_own_end(world: World) -> None:
    task_id, _ = await world.running()
    await world.store.tasks.apply(task_id, ProveDead(1, "node gone"), BY)
    lost_at = world.clock.now()
    world.clock.pass_s(60)
    await world.claim(task_id)
    await world.store.tasks.apply(task_id, Finish(2, causes.exited(0)), BY)
    first, second = await world.store.attempts.list(task_id)
    assert (first.cause, first.ended_at) == (causes.worker_lost("node gone"), lost_at)
    assert (second.cause, second.ended_at) == (causes.exited(0), world.clock.now())


@pytest.mark.parametrize("outdated", ["epoch", "state"])
async def test_a_step_from_a_head_that_is_no_longer_true_is_not_written(
    world: World, outdated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was read, state and epoch are compared where they are written."""
    task_id, _ = await world.running()
    before, read_head = await world.head(task_id), rows.read_head

    async def read_too_early(session: Session, task_id: str) -> Head:
        head = await read_head(session, task_id)
        if outdated == "epoch":
            return replace(head, epoch=head.epoch - 1)
        return Head(task_id, State.PENDING, epoch=head.epoch, queue=head.queue)

    with monkeypatch.context() as patch:
        patch.setattr(rows, "read_head", read_too_early)
        with pytest.raises(StaleEpoch):
            await world.store.tasks.apply(task_id, RequestStop(causes.aborted("user")), BY)
    assert await world.head(task_id) == before


async def test_a_stop_asked_for_is_seen_by_who_watches_attempts(world: World) -> None:
    task_id, _ = await world.running()
    asked = causes.aborted("user", "enough")
    await world.store.tasks.apply(task_id, RequestStop(asked), BY)
    (attempt,) = await world.store.attempts.open()
    assert (attempt.phase, attempt.stop) == (Phase.STOPPING, asked)
    assert (await world.events(task_id))[-1] == "stop_requested"


async def test_phases_are_audited_once_each(world: World) -> None:
    task_id, epoch = await world.running()
    for _ in range(2):
        await world.store.tasks.apply(task_id, BeginExecuting(epoch), BY)
        await world.store.attempts.renew(task_id, epoch)
    world.clock.pass_s(TTL_S + 1)
    for _ in range(2):
        await world.store.tasks.apply(task_id, LoseContact(epoch), BY)
    await world.store.attempts.renew(task_id, epoch)
    assert (await world.events(task_id))[-3:] == ["executing", "unreachable", "reachable"]
    (attempt,) = await world.store.attempts.list(task_id)
    assert attempt.executing_at == 1_000_000.0


async def test_a_holder_that_renewed_meanwhile_is_not_called_silent(world: World) -> None:
    task_id, epoch = await world.running()
    world.clock.pass_s(TTL_S - 1)
    await world.store.attempts.renew(task_id, epoch)
    world.clock.pass_s(2)
    with pytest.raises(StaleEpoch, match="renewed"):
        await world.store.tasks.apply(task_id, LoseContact(epoch), BY)


async def test_a_lost_worker_sends_its_task_back_so_often_and_then_fails_it(world: World) -> None:
    task_id, epoch = await world.running(policy=Policy(max_requeues=1))
    await world.store.tasks.apply(task_id, ProveDead(epoch, "node is gone"), BY)
    task = await world.store.tasks.get(task_id)
    assert (task.state, task.n_requeues) == (State.PENDING, 1)
    epoch = (await world.claim(task_id)).epoch
    await world.store.tasks.apply(task_id, ProveDead(epoch, "node is gone"), BY)
    task = await world.store.tasks.get(task_id)
    assert task.state is State.FAILED
    assert task.cause == causes.worker_lost("node is gone")


async def test_a_policy_that_waits_fails_what_is_proved_dead(world: World) -> None:
    task_id, epoch = await world.running(policy=Policy(on_lost=OnLost.WAIT))
    await world.store.tasks.apply(task_id, ProveDead(epoch, "node is gone"), BY)
    assert (await world.head(task_id)).state is State.FAILED


async def test_a_requeue_survives_the_deletion_of_its_queue(world: World) -> None:
    task_id, epoch = await world.running()
    await world.store.queues.delete("gpu", BY)
    await world.store.tasks.apply(task_id, ProveDead(epoch, "node is gone"), BY)
    assert [e.task_id for e in await world.store.queues.pending("gpu")] == [task_id]
    assert [q.name for q in await world.store.queues.list()] == ["gpu"]


async def test_listeners_hear_of_changes_and_not_of_renewals(world: World) -> None:
    heard: list[Change] = []
    world.store.subscribe(heard.append)
    task_id, epoch = await world.running()
    await world.store.attempts.renew(task_id, epoch)
    world.clock.pass_s(5)
    await world.store.attempts.renew(task_id, epoch)
    await world.store.tasks.delete(task_id, By("x"), force=True)
    assert [(str(c.before.state), str(c.after.state)) for c in heard] == [
        ("draft", "pending"),
        ("pending", "running"),
        ("running", "draft"),
    ]
    assert [c.entry is not None for c in heard] == [True, False, False]


async def test_a_listener_that_fails_harms_nobody(world: World) -> None:
    heard: list[str] = []

    def fail(_: Change) -> None:
        raise RuntimeError("listener is broken")

    world.store.subscribe(fail)
    world.store.subscribe(lambda change: heard.append(change.after.task_id))
    assert heard == [await world.pending()]


@pytest.mark.parametrize("end", [Event.FAIL, Event.ABORT, Event.COMPLETE])
async def test_a_request_to_enqueue_that_is_repeated_after_the_end_runs_nothing_again(
    world: World, end: Event
) -> None:
    await world.store.queues.ensure("gpu")
    task = await world.draft()
    asked = By("user", "request-of-a-lost-answer")
    await world.store.tasks.apply(task.id, Enqueue("gpu"), asked)
    await cause(world, task.id, Event.CLAIM)
    await cause(world, task.id, end)
    before = await world.head(task.id)
    await world.store.tasks.apply(task.id, Enqueue("gpu"), asked)
    assert await world.head(task.id) == before
    if end is not Event.COMPLETE:
        await world.store.tasks.apply(task.id, Enqueue("gpu"), By("user", "another"))
        assert (await world.head(task.id)).state is State.PENDING
