"""Leases: the holder is dead before the server acts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.runtime.lease import LeaseTerms, is_expired, must_fence

terms = st.floats(0.1, 1000).map(LeaseTerms)
moments = st.floats(0, 1e6)


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


def test_time_the_server_was_down_counts_against_nobody() -> None:
    assert is_expired(100.0, 100.1)
    assert not is_expired(100.0, 150.0, server_down_s=60.0)
    assert not is_expired(None, 1e9), "what has no lease does not expire"
