"""Leases: the holder is dead before the server acts, and the server's own troubles cost nobody."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.runtime import lease
from dray.runtime.lease import (
    Expire,
    ExtendAll,
    LeaseTerms,
    RayWord,
    WatchView,
    is_expired,
    must_fence,
)
from dray.runtime.machine import Head
from dray.runtime.models import OnLost, Policy
from dray.runtime.states import Phase, State

TTL_S = 30.0
LOOK_EVERY_S = TTL_S / 6

terms = st.floats(0.1, 1000).map(LeaseTerms)
moments = st.floats(0, 1e6)


@dataclass(frozen=True)
class Attempt:
    """An open attempt, as little of it as the rules need."""

    lease_expires_at: float
    kind: str = "agent"
    task_id: str = "t"
    epoch: int = 1
    agent: str = "a"


def lost(on_lost: OnLost) -> Head:
    """A task whose attempt has just been called unreachable."""
    policy = Policy(on_lost=on_lost)
    return Head("t", State.RUNNING, Phase.UNREACHABLE, 1, "a", policy=policy)


def looked(
    *held: Attempt, passed_s: float = LOOK_EVERY_S, ahead_s: float = 0.0
) -> list[lease.Verdict]:
    """The verdicts of a look at wall time 105, so long after the one before."""
    return lease.look(WatchView(7.0, 7.0 + passed_s, 105.0, ahead_s, TTL_S, held))


@given(terms, moments)
def test_the_fence_comes_before_the_server_acts(lease: LeaseTerms, sent: float) -> None:
    """The renewal reached the server after it was sent, so the server counts from later."""
    fence = sent + lease.fence_after_s
    assert not is_expired(lease.expires_at(sent), fence)


@given(terms)
def test_a_lost_renewal_costs_nothing(lease: LeaseTerms) -> None:
    assert 2 * lease.renew_every_s < lease.fence_after_s


@pytest.mark.parametrize(
    ("silent_s", "fenced"), [(0, False), (23.9, False), (24, True), (99, True)]
)
def test_a_holder_that_could_not_renew_must_end(silent_s: float, fenced: bool) -> None:
    assert must_fence(100.0, 100.0 + silent_s, LeaseTerms(30.0)) is fenced


def test_a_look_ends_only_leases_that_have_run_out() -> None:
    silent, heard = Attempt(104.9), Attempt(105.0)
    assert looked(silent, heard) == [Expire(silent)]


def test_time_in_which_nobody_looked_extends_all_leases() -> None:
    assert looked(Attempt(0.0), passed_s=15.1) == [ExtendAll(adopt=False)]


@pytest.mark.parametrize("ahead_s", [86_400.0, -86_400.0, 10.0, -0.6])
def test_a_clock_that_was_set_is_adopted_with_longer_leases(ahead_s: float) -> None:
    """Ten seconds of it would eat the margin between fence and expiry."""
    assert looked(Attempt(0.0), ahead_s=ahead_s) == [ExtendAll(adopt=True)]


def test_a_clock_that_is_a_little_off_is_let_be() -> None:
    assert looked(Attempt(200.0), ahead_s=0.4) == []


@given(moments, st.none() | moments)
def test_no_process_starts_under_a_lease_that_nobody_confirmed(
    now: float, last_confirmed: float | None
) -> None:
    lease_terms = LeaseTerms(TTL_S)
    may = lease.may_start(last_confirmed, now, lease_terms)
    assert may is (last_confirmed is not None and now - last_confirmed < 24.0)


def test_a_silent_attempt_under_requeue_has_been_fenced() -> None:
    command = lease.given_up(lost(OnLost.REQUEUE), Attempt(0.0), TTL_S)
    assert command is not None
    assert (command.epoch, command.agent_died) == (1, False)
    assert "silent for 30 s" in command.evidence


def test_what_ray_said_of_its_node_is_kept_as_evidence() -> None:
    command = lease.given_up(lost(OnLost.REQUEUE), Attempt(0.0), TTL_S, "node n is gone")
    assert command is not None
    assert command.evidence.startswith("node n is gone; agent a was silent")


@pytest.mark.parametrize(
    ("on_lost", "kind"), [(OnLost.WAIT, "agent"), (OnLost.REQUEUE, "local"), (OnLost.WAIT, "local")]
)
def test_silence_alone_gives_up_no_attempt_without_a_fence(on_lost: OnLost, kind: str) -> None:
    assert lease.given_up(lost(on_lost), Attempt(0.0, kind), TTL_S) is None


@pytest.mark.parametrize(
    ("word", "on_lost", "proves"),
    [
        (RayWord.AGENT_DIED, OnLost.REQUEUE, True),
        (RayWord.AGENT_DIED, OnLost.WAIT, True),
        (RayWord.NODE_GONE, OnLost.WAIT, True),
        (RayWord.NODE_GONE, OnLost.REQUEUE, False),
    ],
)
def test_a_node_that_may_be_cut_off_proves_nothing_for_a_task_that_would_run_again(
    word: RayWord, on_lost: OnLost, proves: bool
) -> None:
    assert lease.is_proof(word, on_lost) is proves
