"""Retries, limits and losses as a script or a program sets them."""

from __future__ import annotations

import pytest

from dray.runtime.codec import to_json
from dray.runtime.errors import InvalidInput, NotEditable
from dray.runtime.models import OnLost
from dray.sdk.task import Task
from dray.sdk.tasks.handle import ServerHandle
from tests.unit.sdk.live import Live
from tests.unit.sdk.scripts import INIT, Machine, task_of


def draft_of(live: Live) -> Task:
    return Task(ServerHandle(live.client, to_json(live.client.create_task("proj", "draft"))))


def test_a_draft_takes_a_policy_member_by_member(live: Live) -> None:
    task = draft_of(live)
    task.set_policy(retries=2, max_run_time="2h30m")
    task.set_policy(on_lost="wait", retry_delay=5)
    policy = live.client.get_task(task.id).policy
    assert (policy.retries, policy.max_run_time_s, policy.retry_delay_s) == (2, 9000.0, 5.0)
    assert policy.on_lost is OnLost.WAIT
    assert task.get_policy()["retries"] == 2


def test_a_value_that_cannot_be_used_is_named(live: Live) -> None:
    with pytest.raises(InvalidInput, match="max_run_time 'soon' is no length of time"):
        draft_of(live).set_policy(max_run_time="soon")


def test_only_a_draft_takes_one(live: Live) -> None:
    task = draft_of(live)
    live.client.enqueue(task.id, "gpu")
    with pytest.raises(NotEditable, match="policy can be edited in a draft only"):
        task.set_policy(retries=1)


def test_a_run_takes_its_policy_along_when_it_moves(laptop: Machine, live: Live) -> None:
    ran = laptop.run(
        INIT + "task.set_policy(retries=3, stop_grace='30s')\n"
        "print(task.get_policy()['retries'])\n"
        "print(task.execute_remotely('gpu', True, False).get_policy()['retries'])\n"
        "task.execute_remotely('gpu')\n"
    )
    assert (ran.code, ran.out) == (0, "3\n3\n"), ran.err
    policy = live.client.get_task(task_of(ran)).policy
    assert (policy.retries, policy.stop_grace_s) == (3, 30.0)


def test_under_an_agent_the_stored_policy_counts(machine: Machine) -> None:
    ran = machine.run_under_agent(
        INIT + "task.set_policy(retries=3)\nprint(task.get_policy()['retries'])"
    )
    assert (ran.out, ran.records()) == ("0\n", []), ran.err
