"""What the tasks of the chaos are to do: drawn from a seed, of every kind, over the whole time."""

from __future__ import annotations

import pytest

from dray.runtime import codec
from dray.selftest import plans
from dray.selftest.plans import PLENTY


def test_a_seed_is_a_workload() -> None:
    assert plans.draw(7, 50, 60.0) == plans.draw(7, 50, 60.0)
    assert plans.draw(7, 50, 60.0) != plans.draw(8, 50, 60.0)


def test_two_hundred_tasks_have_something_of_everything() -> None:
    drawn = plans.draw(1, 210, 120.0)
    assert len(drawn) == 210
    kinds = {plan.kind for plan in drawn}
    assert kinds >= {"plain", "floods", "fails", "stubborn", "reports", "parent", "follower"}
    assert {plan.policy.quarantine_after for plan in drawn} == {0, 3}
    assert any(plan.abort_after_s is not None for plan in drawn)
    assert any(plan.policy.max_requeues < PLENTY for plan in drawn)


def test_tasks_come_over_the_whole_time() -> None:
    drawn = plans.draw(1, 100, 60.0)
    assert sum(plan.pause_s for plan in drawn) == pytest.approx(60.0)


def test_a_follower_comes_after_its_parent() -> None:
    drawn = plans.draw(1, 300, 60.0)
    followers = [plan for plan in drawn if plan.follows >= 0]
    assert followers
    for plan in followers:
        assert plan.follows < plan.index
        assert drawn[plan.follows].kind == "parent"


def test_a_plan_travels_as_json_that_the_script_reads() -> None:
    (plan,) = plans.draw(1, 1, 1.0)
    assert {"work_s", "stdout", "stderr", "seed", "fails"} <= set(codec.to_json(plan.for_script()))
