"""A policy as its user changes it."""

from __future__ import annotations

from typing import Any

import pytest

from dray.runtime.errors import InvalidInput
from dray.runtime.models import OnLost, Policy
from dray.runtime.policy_changes import PolicyChanges


def test_what_is_not_given_stays_as_it_was() -> None:
    before = Policy(retries=4, max_run_time_s=60.0)
    assert PolicyChanges().applied(before) == before
    assert PolicyChanges(retries=1).applied(before) == Policy(retries=1, max_run_time_s=60.0)


def test_every_member_can_be_set() -> None:
    changes = PolicyChanges(
        retries=2,
        retry_delay="1m",
        max_run_time="2h30m",
        on_lost="wait",
        max_requeues=1,
        quarantine_after=0,
        stop_grace=5,
    )
    assert changes.applied(Policy()) == Policy(OnLost.WAIT, 1, 0, 2, 60.0, 9000.0, 5.0)


def test_limits_can_be_taken_away() -> None:
    limited = Policy(max_run_time_s=60.0, stop_grace_s=3.0)
    assert PolicyChanges(max_run_time="none", stop_grace="None").applied(limited) == Policy()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"retries": -1}, "--retries -1: give a whole number of 0 or more"),
        ({"retries": 1.5}, "--retries 1.5"),
        ({"max_requeues": True}, "--max-requeues True"),
        ({"retry_delay": "soon"}, "--retry-delay 'soon' is no length of time"),
        ({"retry_delay": "none"}, "--retry-delay 'none' is no length of time"),
        ({"max_run_time": 0}, "--max-run-time 0 leaves no time to run"),
        ({"on_lost": "cry"}, "--on-lost 'cry' is none of requeue, wait"),
    ],
)
def test_a_bad_value_is_named_with_its_field_and_a_way_out(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        PolicyChanges(**changes).applied(Policy(), as_options=True)
    assert said in refused.value.message
    field = next(iter(changes))
    with pytest.raises(InvalidInput) as refused:
        PolicyChanges(**changes).applied(Policy())
    assert refused.value.details["field"] == field
