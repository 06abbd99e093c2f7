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
    Moment,
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
    *held: Attempt, wall_s: float = LOOK_EVERY_S, monotonic_s: float = LOOK_EVERY_S
) -> list[lease.Verdict]:
    """The verdicts of a look so long after the one before, which was at 100 on both clocks."""
    now = Moment(100.0 + wall_s, 100.0 + monotonic_s)
    return lease.look(WatchView(Moment(100.0, 100.0), now, TTL_S, held))


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


@pytest.mark.parametrize(
    ("wall_s", "monotonic_s"),
    [(16.0, 16.0), (86_405.0, 5.0), (-86_395.0, 5.0), (15.0, 5.0), (-5.0, 5.0), (5.0, 4.6)],
    ids=["stopped", "a day ahead", "a day back", "ten seconds ahead", "ten back", "half a second"],
)
def test_time_that_is_no_silence_of_theirs_extends_all_leases(
    wall_s: float, monotonic_s: float
) -> None:
    """Ten seconds of a clock that was set would eat the margin between fence and expiry."""
    assert looked(Attempt(0.0), wall_s=wall_s, monotonic_s=monotonic_s) == [ExtendAll()]


def test_what_the_clocks_may_part_unnoticed_stays_within_the_margin() -> None:
    """Ten looks within a lease, each with as much as is let pass, and a clock that is 1 % off."""
    unnoticed_s = 10 * lease.CLOCK_SHARE * TTL_S
    slow_fence_s = LeaseTerms(TTL_S).fence_after_s * 1.01
    assert slow_fence_s + unnoticed_s <= TTL_S


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
