"""The life of a task as a pure function: what holds after any commands in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.runtime import causes, machine
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.errors import IllegalTransition, StaleEpoch
from dray.runtime.machine import (
    BeginExecuting,
    Claim,
    Command,
    Dequeue,
    Enqueue,
    Finish,
    HandOver,
    Head,
    LoseContact,
    ProveDead,
    Publish,
    Renew,
    RequestStop,
    Reset,
    StartLocal,
    step,
)
from dray.runtime.models import OnLost, Policy
from dray.runtime.states import TRANSITIONS, Event, Phase, State, is_terminal

DRAFT = Head("a" * 32, State.DRAFT)
PENDING = step(DRAFT, Enqueue("gpu"))
RUNNING = step(PENDING, Claim("agent-1", "claim-1", 30.0))
EXECUTING = step(RUNNING, BeginExecuting(1))
LOCAL = step(DRAFT, StartLocal("local:h", "claim-1", 30.0))
ABORT = causes.aborted("user")
ENDS = [
    causes.exited(0),
    causes.exited(1),
    causes.killed(9),
    ABORT,
    causes.marked(Event.COMPLETE, "user"),
    Cause(CauseKind.PREEMPTED, "its node was needed"),
    Cause(CauseKind.ENVIRONMENT_FAILED, "no such package"),
    causes.worker_lost("No space left on device"),
    causes.time_limit(5.0),
    Cause(CauseKind.OUT_OF_MEMORY, "the kernel killed it"),
]

epochs = st.integers(0, 4)
times = st.floats(0, 1000)
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(Enqueue, st.sampled_from(["gpu", "cpu"])),
    st.just(Dequeue()),
    st.builds(Claim, st.just("agent"), st.sampled_from(["c1", "c2"]), times),
    st.builds(StartLocal, st.just("local:h"), st.sampled_from(["c1", "c2"]), times),
    st.builds(BeginExecuting, epochs),
    st.builds(Renew, epochs, times),
    st.builds(RequestStop, st.just(ABORT)),
    st.builds(Finish, epochs, st.sampled_from(ENDS), times),
    st.builds(LoseContact, epochs),
    st.builds(ProveDead, epochs, st.just("node is gone"), st.booleans()),
    st.builds(HandOver, epochs, st.sampled_from(["gpu", "cpu"])),
    st.just(Reset()),
    st.just(Publish()),
)
policies = st.builds(
    Policy, st.sampled_from(OnLost), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)
)


def check(head: Head) -> None:
    """What is true of every head."""
    is_running = head.state is State.RUNNING
    assert (head.phase is not None) == is_running
    assert (head.agent != "") == is_running
    assert (head.claim_id != "") == is_running
    assert (head.lease_expires_at is not None) == is_running
    assert (head.phase_before is not None) == (head.phase is Phase.UNREACHABLE)
    if head.epoch == 0:  # it never ran: it was aborted while it waited, if it ended at all
        aborted = head.state in (State.ABORTED, State.PUBLISHED) and head.cause == ABORT
        assert aborted or head.state in (State.DRAFT, State.PENDING)
    if head.state is State.PENDING:
        assert head.queue
    if is_terminal(head.state):
        assert head.cause is not None
    if Phase.STOPPING in (head.phase, head.phase_before):
        assert head.cause is not None
    assert head.n_requeues <= head.policy.max_requeues
    assert head.n_retries <= head.policy.retries
    assert head.not_before is None or head.state is State.PENDING


def test_a_task_that_was_aborted_while_it_waited_can_be_published() -> None:
    head = DRAFT
    for command in (Enqueue("gpu"), RequestStop(ABORT), Publish()):
        head = step(head, command)
        check(head)
    assert (head.state, head.epoch) == (State.PUBLISHED, 0)


def attempt(head: Head, command: Command) -> Head:
    """The head after a command, or the same one when it is refused."""
    try:
        return step(head, command)
    except (IllegalTransition, StaleEpoch):
        return head


@given(policy=policies, sequence=st.lists(commands, max_size=30))
def test_whatever_is_asked_the_head_stays_sound(policy: Policy, sequence: list[Command]) -> None:
    head = replace(DRAFT, policy=policy)
    for command in sequence:
        after = attempt(head, command)
        check(after)
        assert after.task_id == head.task_id
        assert after.policy == head.policy
        opens = after.epoch != head.epoch
        assert after.epoch == head.epoch + opens, "an epoch never goes back nor skips"
        assert opens == (head.state is not State.RUNNING and after.state is State.RUNNING)
        if after.state is not head.state:
            ends = {end for (start, _), end in TRANSITIONS.items() if start is head.state}
            assert after.state in ends
        if is_terminal(head.state) and after.state is not head.state:
            assert isinstance(command, (Reset, Enqueue, StartLocal, Publish))
        head = after


@given(policy=policies, sequence=st.lists(commands, max_size=20), last=commands)
def test_a_command_that_is_repeated_has_no_second_effect(
    policy: Policy, sequence: list[Command], last: Command
) -> None:
    head = replace(DRAFT, policy=policy)
    for command in (*sequence, last):
        head = attempt(head, command)
    assert attempt(head, last) == head


@given(sequence=st.lists(commands, max_size=20), command=commands)
def test_an_attempt_that_is_over_changes_nothing(sequence: list[Command], command: Command) -> None:
    head = DRAFT
    for one in sequence:
        head = attempt(head, one)
    epoch = getattr(command, "epoch", None)
    if epoch is not None and epoch != head.epoch:
        with pytest.raises(StaleEpoch):
            step(head, command)


#: What speaks for an attempt.
OF_AN_ATTEMPT: dict[str, Callable[[int], Command]] = {
    "BeginExecuting": BeginExecuting,
    "Renew": lambda epoch: Renew(epoch, 60.0),
    "Finish": lambda epoch: Finish(epoch, causes.exited(3)),
    "LoseContact": LoseContact,
    "ProveDead": lambda epoch: ProveDead(epoch, "gone"),
    "HandOver": lambda epoch: HandOver(epoch, "gpu"),
}


@pytest.mark.parametrize("name", OF_AN_ATTEMPT)
def test_a_command_for_another_attempt_is_refused(name: str) -> None:
    second = step(step(EXECUTING, ProveDead(1, "gone")), Claim("agent-2", "claim-2", 30.0))
    for epoch in (0, 1, 3):
        with pytest.raises(StaleEpoch):
            step(second, OF_AN_ATTEMPT[name](epoch))


@pytest.mark.parametrize("name", OF_AN_ATTEMPT)
def test_a_command_for_an_attempt_that_has_ended_is_refused(name: str) -> None:
    waits = step(EXECUTING, ProveDead(1, "gone"))
    ended = step(EXECUTING, Finish(1, causes.exited(0)))
    waits_again = step(step(waits, Claim("agent-2", "claim-2", 30.0)), ProveDead(2, "gone"))
    for head in (ended, waits_again) if name == "HandOver" else (ended, waits, waits_again):
        with pytest.raises(StaleEpoch):
            step(head, OF_AN_ATTEMPT[name](1))


def test_an_end_is_answered_again_to_its_own_attempt_only() -> None:
    second = step(step(EXECUTING, ProveDead(1, "gone")), Claim("agent-2", "claim-2", 30.0))
    failed = step(second, Finish(2, causes.exited(1)))
    assert step(failed, Finish(2, causes.exited(1))) is failed
    with pytest.raises(StaleEpoch):
        step(failed, Finish(1, causes.exited(1)))


def test_a_claim_begins_to_prepare_and_a_local_start_executes_at_once() -> None:
    assert (RUNNING.phase, RUNNING.epoch) == (Phase.PREPARING, 1)
    assert (LOCAL.phase, LOCAL.epoch) == (Phase.EXECUTING, 1)


@pytest.mark.invariant(2)
def test_a_claim_is_answered_again_to_who_made_it_only() -> None:
    assert step(RUNNING, Claim("agent-1", "claim-1", 99.0)) is RUNNING
    with pytest.raises(IllegalTransition):
        step(RUNNING, Claim("agent-1", "claim-2", 99.0))


def test_an_illegal_step_names_both_ends_and_the_way_out() -> None:
    with pytest.raises(IllegalTransition, match=r"is draft: cannot dequeue.*enqueue, start"):
        step(DRAFT, Dequeue())
    published = step(step(EXECUTING, Finish(1, causes.exited(0))), Publish())
    with pytest.raises(IllegalTransition, match="clone it"):
        step(published, Reset())


def test_a_stale_epoch_names_the_current_one() -> None:
    with pytest.raises(StaleEpoch) as caught:
        step(RUNNING, Renew(3, 1.0))
    assert caught.value.details["current_epoch"] == 1


def test_silence_is_unreachable_and_a_renewal_comes_back_to_the_phase_before() -> None:
    silent = step(EXECUTING, LoseContact(1))
    assert silent.phase is Phase.UNREACHABLE
    assert step(silent, LoseContact(1)) is silent
    back = step(silent, Renew(1, 60.0))
    assert (back.phase, back.lease_expires_at) == (Phase.EXECUTING, 60.0)


def test_what_began_while_unreachable_is_known_when_it_comes_back() -> None:
    silent = step(step(RUNNING, LoseContact(1)), BeginExecuting(1))
    assert step(silent, Renew(1, 60.0)).phase is Phase.EXECUTING


def test_a_stop_of_a_pending_task_is_its_end_and_of_a_running_one_a_request() -> None:
    assert step(PENDING, RequestStop(ABORT)).state is State.ABORTED
    stopping = step(EXECUTING, RequestStop(ABORT))
    assert (stopping.state, stopping.phase) == (State.RUNNING, Phase.STOPPING)
    assert step(stopping, RequestStop(causes.aborted("agent:x"))) is stopping, "the first counts"


def test_a_stop_asked_for_while_unreachable_is_not_forgotten() -> None:
    silent = step(step(EXECUTING, LoseContact(1)), RequestStop(ABORT))
    assert silent.phase is Phase.UNREACHABLE
    assert step(silent, Renew(1, 60.0)).phase is Phase.STOPPING
    assert step(silent, ProveDead(1, "gone")).cause == ABORT


def test_the_end_of_a_stopping_task_is_what_its_process_came_to() -> None:
    stopping = step(EXECUTING, RequestStop(ABORT))
    assert step(stopping, Finish(1, causes.exited(0))).state is State.COMPLETED
    assert step(stopping, Finish(1, ABORT)).state is State.ABORTED


def test_a_lost_worker_requeues_within_the_bound_and_only_where_there_is_a_queue() -> None:
    bounded = replace(EXECUTING, policy=Policy(max_requeues=1))
    once = step(bounded, ProveDead(1, "gone"))
    assert (once.state, once.n_requeues) == (State.PENDING, 1)
    again = step(step(once, Claim("b", "c2", 1.0)), ProveDead(2, "gone"))
    assert (again.state, again.cause) == (State.FAILED, causes.worker_lost("gone"))
    assert step(LOCAL, ProveDead(1, "gone")).state is State.FAILED


def test_a_new_life_may_be_requeued_as_often_as_the_first() -> None:
    lost = replace(EXECUTING, n_requeues=3)
    failed = step(lost, Finish(1, causes.exited(1)))
    assert step(failed, Reset()).n_requeues == 0
    assert step(failed, Enqueue("gpu")).n_requeues == 0


def test_a_failure_of_its_own_is_retried_within_the_bound_after_a_growing_delay() -> None:
    head = replace(EXECUTING, policy=Policy(retries=2, retry_delay_s=10.0))
    once = step(head, Finish(1, causes.exited(1), at=100.0))
    assert (once.state, once.n_retries, once.not_before) == (State.PENDING, 1, 110.0)
    running = step(once, Claim("b", "c2", 1.0))
    assert running.not_before is None
    twice = step(running, Finish(2, causes.killed(9), at=200.0))
    assert (twice.n_retries, twice.not_before) == (2, 220.0)
    last = step(step(twice, Claim("b", "c3", 1.0)), Finish(3, causes.exited(1)))
    assert (last.state, last.cause) == (State.FAILED, causes.exited(1))


@pytest.mark.parametrize(
    "cause",
    [
        causes.time_limit(5.0),
        Cause(CauseKind.ENVIRONMENT_FAILED, "no such package"),
        causes.marked(Event.FAIL, "user"),
    ],
)
def test_what_would_only_come_again_or_was_stated_is_not_retried(cause: Cause) -> None:
    head = replace(EXECUTING, policy=Policy(retries=2))
    assert step(head, Finish(1, cause)).state is State.FAILED


def test_no_retry_waits_longer_than_an_hour() -> None:
    assert machine.retry_delay_s(Policy(retry_delay_s=10.0), 500) == machine.MAX_RETRY_DELAY_S


def test_the_two_budgets_are_separate() -> None:
    head = replace(EXECUTING, policy=Policy(max_requeues=1, retries=1))
    lost = step(head, Finish(1, causes.worker_lost("No space left on device")))
    assert (lost.state, lost.n_requeues, lost.n_retries) == (State.PENDING, 1, 0)
    failed = step(step(lost, Claim("b", "c2", 1.0)), Finish(2, causes.exited(1)))
    assert (failed.state, failed.n_requeues, failed.n_retries) == (State.PENDING, 1, 1)


def test_a_task_under_which_different_agents_die_is_put_in_quarantine() -> None:
    head = replace(EXECUTING, policy=Policy(quarantine_after=2))
    once = step(head, ProveDead(1, "exit code 139", agent_died=True))
    assert (once.state, once.lost_agents) == (State.PENDING, ("agent-1",))
    twice = step(step(once, Claim("agent-2", "c2", 1.0)), ProveDead(2, "139", agent_died=True))
    assert (twice.state, twice.cause and twice.cause.kind) == (
        State.FAILED,
        CauseKind.QUARANTINED,
    )
    assert twice.cause is not None
    assert "agent-1, agent-2" in twice.cause.message
    assert step(twice, Enqueue("gpu")).lost_agents == ()


def test_agents_that_only_lost_contact_put_nothing_in_quarantine() -> None:
    head = replace(EXECUTING, policy=Policy(quarantine_after=1))
    assert step(head, ProveDead(1, "silent for 30 s")).state is State.PENDING


@pytest.mark.parametrize(
    "cause",
    [causes.exited(1), causes.worker_lost("disk"), Cause(CauseKind.PREEMPTED, "going down")],
)
def test_nothing_brings_back_a_task_that_was_asked_to_stop(cause: Cause) -> None:
    head = replace(EXECUTING, policy=Policy(retries=5))
    end = step(step(head, RequestStop(ABORT)), Finish(1, cause))
    assert (end.state, end.cause and end.cause.kind) == (State.ABORTED, CauseKind.ABORTED)


@pytest.mark.parametrize("end", [causes.exited(1), ABORT])
def test_a_failed_or_aborted_task_goes_on_by_hand_in_no_queue(end: Cause) -> None:
    over = step(EXECUTING, Finish(1, end))
    on = step(over, StartLocal("local:h", "c2", 30.0))
    assert (on.state, on.epoch, on.queue) == (State.RUNNING, 2, "")


@pytest.mark.invariant(4)
def test_a_completed_task_is_final() -> None:
    done = step(EXECUTING, Finish(1, causes.exited(0)))
    for command in (StartLocal("local:h", "c2", 30.0), Enqueue("gpu")):
        with pytest.raises(IllegalTransition):
            step(done, command)


def test_a_preempted_task_goes_back_to_its_queue_and_a_local_run_fails() -> None:
    preempted = Cause(CauseKind.PREEMPTED, "its node was needed")
    back = step(EXECUTING, Finish(1, preempted))
    assert (back.state, back.queue, back.n_requeues) == (State.PENDING, "gpu", 0)
    assert step(LOCAL, Finish(1, preempted)).state is State.FAILED


def test_a_local_run_hands_itself_over_once() -> None:
    moved = step(LOCAL, HandOver(1, "gpu"))
    assert (moved.state, moved.queue) == (State.PENDING, "gpu")
    assert step(moved, HandOver(1, "gpu")) is moved


def test_a_finish_is_answered_again_and_another_one_refused() -> None:
    done = step(EXECUTING, Finish(1, causes.exited(0)))
    assert step(done, Finish(1, causes.exited(0))) is done
    with pytest.raises(StaleEpoch):
        step(done, Finish(1, causes.exited(1)))


def test_every_command_is_known_to_the_machine() -> None:
    kinds = set(machine.Command.__args__)  # type: ignore[attr-defined]
    assert len(kinds) == 13
