"""The checker fires: each promise is broken here by hand, in a history made up for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from dray.runtime import causes, machine
from dray.runtime.machine import Head
from dray.runtime.models import OnLost, Policy
from dray.runtime.resources import Resources
from dray.runtime.states import Phase, State
from tests.simulation.checker import Checker
from tests.simulation.promises import Promise, Violation

TTL_S = 10.0
DRAFT = Head("t", State.DRAFT, policy=Policy(max_requeues=1, retries=1, quarantine_after=2))
PENDING = replace(DRAFT, state=State.PENDING, queue="q")
RUNNING = replace(
    PENDING,
    state=State.RUNNING,
    phase=Phase.EXECUTING,
    epoch=1,
    agent="a",
    claim_id="c",
    lease_expires_at=TTL_S,
)
SILENT = replace(RUNNING, phase=Phase.UNREACHABLE, phase_before=Phase.EXECUTING)
CLAIM = machine.Claim("a", "c", TTL_S)
LOST = replace(PENDING, epoch=1, cause=causes.worker_lost("gone"))
FAILED = replace(PENDING, state=State.FAILED, epoch=1, cause=causes.exited(1))
DONE = replace(FAILED, state=State.COMPLETED, cause=causes.exited(0))


@dataclass
class History:
    """A checker that can be told anything, at any time."""

    at: float = 0.0
    checker: Checker = field(init=False)

    def __post_init__(self) -> None:
        self.checker = Checker(lambda: self.at, TTL_S)

    def run_and_lose(self, epoch: int, agent: str = "a") -> None:
        """One attempt that is lost and goes back to its queue."""
        before = replace(LOST, epoch=epoch - 1)
        running = replace(RUNNING, epoch=epoch, agent=agent, claim_id=f"c{epoch}")
        self.checker.commit(before, machine.Claim(agent, f"c{epoch}", TTL_S), running)
        self.checker.commit(
            running, machine.ProveDead(epoch, "gone", True), replace(LOST, epoch=epoch)
        )


Forged = Callable[[History], None]


def lost_submit(history: History) -> None:
    history.checker.acknowledge("t")
    history.checker.store_is({}, set(), [])


def pending_outside_its_queue(history: History) -> None:
    history.checker.store_is({"t": PENDING}, set(), [])


def running_without_a_lease(history: History) -> None:
    history.checker.commit(PENDING, CLAIM, replace(RUNNING, lease_expires_at=None))


def at_an_end_with_a_lease(history: History) -> None:
    history.checker.commit(RUNNING, machine.Finish(1, causes.exited(1)), replace(FAILED, agent="a"))


def run_out_and_reachable(history: History) -> None:
    history.checker.looked([RUNNING], wall=TTL_S + 0.1, began=history.at)


def an_epoch_left_out(history: History) -> None:
    history.checker.commit(PENDING, CLAIM, replace(RUNNING, epoch=2))


def a_claim_that_opens_two(history: History) -> None:
    history.checker.commit(PENDING, CLAIM, RUNNING)
    history.checker.commit(LOST, CLAIM, replace(RUNNING, epoch=2))


def an_old_epoch_that_ends_the_new(history: History) -> None:
    running = replace(RUNNING, epoch=2)
    history.checker.commit(running, machine.Finish(1, causes.exited(1)), replace(FAILED, epoch=2))


def an_old_epoch_that_writes(history: History) -> None:
    history.checker.wrote(replace(RUNNING, epoch=2), 1)


def two_open_attempts(history: History) -> None:
    history.checker.store_is({"t": replace(RUNNING, epoch=2)}, set(), [("t", 1), ("t", 2)])


def two_processes(history: History) -> None:
    history.checker.process_started("t", 1, "a")
    history.checker.process_started("t", 2, "b")


def one_attempt_started_twice(history: History) -> None:
    for _ in range(2):
        history.checker.process_started("t", 1, "a")
        history.checker.process_ended("t", 1, 0)


def unreachable_after_a_moment(history: History) -> None:
    history.checker.commit(PENDING, CLAIM, RUNNING)
    history.at = TTL_S * 0.8
    history.checker.commit(RUNNING, machine.LoseContact(1), SILENT)


def unreachable_for_the_servers_absence(history: History) -> None:
    history.checker.commit(PENDING, CLAIM, RUNNING)
    history.at = 100.0
    history.checker.absent()
    history.checker.commit(RUNNING, machine.LoseContact(1), SILENT)


def ended_by_silence_though_it_waits(history: History) -> None:
    waits = replace(SILENT, policy=Policy(on_lost=OnLost.WAIT))
    history.checker.commit(
        waits, machine.ProveDead(1, "silent"), replace(FAILED, policy=waits.policy)
    )


def silent_for_ever(history: History) -> None:
    history.checker.commit(PENDING, CLAIM, RUNNING)
    history.at = TTL_S * 2
    history.checker.looked([RUNNING], wall=TTL_S - 1, began=history.at)  # its clock was put back


def lost_too_often(history: History) -> None:
    history.run_and_lose(1)
    history.run_and_lose(2)


def sent_back_though_its_agents_die(history: History) -> None:
    history.checker.stories["t"].n_lost = -9
    history.run_and_lose(1, "a")
    history.run_and_lose(2, "b")


def back_from_completed(history: History) -> None:
    history.checker.commit(DONE, CLAIM, replace(RUNNING, epoch=2))


def failed_without_a_cause(history: History) -> None:
    history.checker.commit(
        RUNNING, machine.Finish(1, causes.exited(1)), replace(FAILED, cause=None)
    )


def completed_by_a_process_that_was_killed(history: History) -> None:
    history.checker.process_started("t", 1, "a")
    history.checker.process_ended("t", 1, None)
    history.checker.commit(RUNNING, machine.Finish(1, causes.exited(0)), DONE)


def started_again_though_stopped(history: History) -> None:
    asked = causes.aborted("user")
    stopping = replace(RUNNING, phase=Phase.STOPPING, cause=asked)
    history.checker.commit(RUNNING, machine.RequestStop(asked), stopping)
    history.checker.commit(stopping, machine.ProveDead(1, "gone"), LOST)


def claimed_after_an_abort(history: History) -> None:
    asked = causes.aborted("user")
    aborted = replace(PENDING, state=State.ABORTED, cause=asked)
    history.checker.commit(PENDING, machine.RequestStop(asked), aborted)
    history.checker.commit(PENDING, CLAIM, RUNNING)


def a_loss_that_costs_a_retry(history: History) -> None:
    history.checker.commit(RUNNING, machine.ProveDead(1, "gone"), replace(LOST, n_retries=1))


def a_retry_of_what_was_killed(history: History) -> None:
    cause = causes.exited(1)
    after = replace(LOST, cause=cause, n_retries=1)
    history.checker.commit(RUNNING, machine.Finish(1, cause), after)


def more_than_a_node_has(history: History) -> None:
    history.checker.leased("n", [Resources(cpus=2), Resources(cpus=1)], {"CPU": 2.0})


def pending_when_all_is_quiet(history: History) -> None:
    history.checker.at_rest([PENDING], lambda _: False)


def alive_when_all_is_quiet(history: History) -> None:
    history.checker.process_started("t", 1, "a")
    history.checker.at_rest([DONE], lambda _: False)


P = Promise
FORGED: list[tuple[Forged, Promise]] = [
    (lost_submit, P.NOTHING_LOST),
    (pending_outside_its_queue, P.NOTHING_LOST),
    (running_without_a_lease, P.RUNNING_IS_LEASED),
    (at_an_end_with_a_lease, P.RUNNING_IS_LEASED),
    (run_out_and_reachable, P.RUNNING_IS_LEASED),
    (an_epoch_left_out, P.EPOCHS_GROW),
    (a_claim_that_opens_two, P.ONE_CLAIM),
    (an_old_epoch_that_ends_the_new, P.ONE_WRITER),
    (an_old_epoch_that_writes, P.ONE_WRITER),
    (two_open_attempts, P.ONE_WRITER),
    (two_processes, P.ONE_PROCESS),
    (one_attempt_started_twice, P.ONE_PROCESS),
    (unreachable_after_a_moment, P.PATIENCE),
    (unreachable_for_the_servers_absence, P.PATIENCE),
    (ended_by_silence_though_it_waits, P.PATIENCE),
    (silent_for_ever, P.NO_ZOMBIE),
    (lost_too_often, P.BOUNDED),
    (sent_back_though_its_agents_die, P.BOUNDED),
    (back_from_completed, P.FINAL),
    (failed_without_a_cause, P.CAUSED),
    (completed_by_a_process_that_was_killed, P.CAUSED),
    (started_again_though_stopped, P.STOP_KEPT),
    (claimed_after_an_abort, P.STOP_KEPT),
    (a_loss_that_costs_a_retry, P.OWN_BUDGETS),
    (a_retry_of_what_was_killed, P.OWN_BUDGETS),
    (more_than_a_node_has, P.CAPACITY),
    (pending_when_all_is_quiet, P.LIVENESS),
    (alive_when_all_is_quiet, P.LIVENESS),
]


@pytest.mark.parametrize(("forged", "promise"), FORGED, ids=[f.__name__ for f, _ in FORGED])
def test_a_forged_history_is_found_out(forged: Forged, promise: Promise) -> None:
    with pytest.raises(Violation) as caught:
        forged(History())
    assert caught.value.promise is promise


def test_every_promise_is_broken_by_some_history() -> None:
    assert {promise for _, promise in FORGED} == set(Promise)


def test_a_history_without_a_fault_passes() -> None:
    history = History()
    history.checker.commit(DRAFT, machine.Enqueue("q"), PENDING)
    history.checker.commit(PENDING, CLAIM, RUNNING)
    history.checker.process_started("t", 1, "a")
    history.checker.wrote(RUNNING, 1)
    history.checker.process_ended("t", 1, 0)
    history.checker.commit(RUNNING, machine.Finish(1, causes.exited(0)), DONE)
    history.checker.at_rest([DONE], lambda _: False)


def test_under_wait_two_processes_may_live_while_one_is_cut_off() -> None:
    """No fence ends the old one; its writes are refused."""
    history = History()
    waits = replace(DRAFT, policy=Policy(on_lost=OnLost.WAIT))
    history.checker.commit(
        waits, machine.Enqueue("q"), replace(waits, state=State.PENDING, queue="q")
    )
    two_processes(history)
