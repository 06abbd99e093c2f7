"""What cannot be used is refused by name, and says the way out."""

from __future__ import annotations

from typing import Any

import pytest

from dray.runtime.causes import exited
from dray.runtime.codec import to_json
from dray.runtime.records import Chunk, Frame, encode_frame
from tests.unit.api.conftest import BY, Api
from tests.unit.api.test_late_writes import supersede

NEW = {"name": "t", "project": "p"}
JSON = {"Content-Type": "application/json"}

#: (policy, the member that is named)
POLICIES: list[tuple[Any, str]] = [
    ({"retries": -1}, "policy.retries"),
    ({"max_requeues": -1}, "policy.max_requeues"),
    ({"quarantine_after": -1}, "policy.quarantine_after"),
    ({"retry_delay_s": -0.5}, "policy.retry_delay_s"),
    ({"stop_grace_s": -1}, "policy.stop_grace_s"),
    ({"max_run_time_s": 0}, "policy.max_run_time_s"),
    ({"max_run_time_s": -1}, "policy.max_run_time_s"),
    ({"retries": 10**12}, "policy.retries"),
    ({"retry_delay_s": 1e300}, "policy.retry_delay_s"),
    ({"retry": 1}, "policy.retry"),
]


@pytest.mark.parametrize(("policy", "field"), POLICIES)
async def test_a_policy_that_means_nothing_is_refused_when_it_is_made_and_when_it_is_edited(
    api: Api, policy: Any, field: str
) -> None:
    made = await api.admin.post("/tasks", json={**NEW, "policy": policy})
    task = await api.draft()
    edited = await api.admin.patch(f"/tasks/{task.id}", json={"policy": policy})
    for answer in (made, edited):
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert await api.store.tasks.get(task.id) == task


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
async def test_a_limit_that_is_no_finite_number_is_refused(api: Api, number: str) -> None:
    body = f'{{"name": "t", "project": "p", "policy": {{"max_run_time_s": {number}}}}}'
    answer = await api.admin.post("/tasks", content=body, headers=JSON)
    assert answer.status_code == 422, answer.text
    assert "max_run_time_s" in answer.json()["detail"]


@pytest.mark.parametrize("policy", [{"on_lost": "perhaps"}, {"retries": "many"}, {"retries": 1.5}])
async def test_a_policy_of_another_type_is_refused(api: Api, policy: Any) -> None:
    task = await api.draft()
    made = await api.admin.post("/tasks", json={**NEW, "policy": policy})
    edited = await api.admin.patch(f"/tasks/{task.id}", json={"policy": policy})
    for answer in (made, edited):
        assert answer.status_code == 422, answer.text
        assert next(iter(policy)) in answer.json()["detail"]


async def test_an_edit_of_one_member_of_the_policy_leaves_the_others(api: Api) -> None:
    task = await api.draft()
    for change in ({"retries": 2}, {"max_requeues": 0}, {"max_run_time_s": 60}):
        edited = await api.admin.patch(f"/tasks/{task.id}", json={"policy": change})
        assert edited.status_code == 200
    policy = edited.json()["policy"]
    assert (policy["retries"], policy["max_requeues"], policy["max_run_time_s"]) == (2, 0, 60.0)


@pytest.mark.parametrize("body", [{"agent": "", "claim_id": "c"}, {"agent": "a", "claim_id": ""}])
async def test_a_start_that_does_not_say_who_is_refused(api: Api, body: Any) -> None:
    """Two runs with an empty claim would each be told that it is theirs."""
    task = await api.draft()
    answer = await api.admin.post(f"/tasks/{task.id}/start", json=body)
    empty = next(name for name, value in body.items() if not value)
    assert (answer.status_code, answer.json()["field"]) == (422, empty)


async def test_a_parent_that_cannot_be_one_is_refused(api: Api) -> None:
    task = await api.draft()
    for parent in ("nonsense", task.id[:8], task.id.upper() + "0"):
        answer = await api.admin.post("/tasks", json={**NEW, "parent_id": parent})
        assert (answer.status_code, answer.json()["field"]) == (422, "parent_id")
    own = {**NEW, "id": "a" * 32, "parent_id": "a" * 32}
    answer = await api.admin.post("/tasks", json=own)
    assert (answer.status_code, answer.json()["field"]) == (422, "parent_id")


def frame(offset: int, data: bytes = b"x", stream: str = "stdout") -> bytes:
    return encode_frame(Frame([Chunk(stream, offset, data)]))


async def test_a_record_of_the_wrong_epoch_place_or_task_is_refused_with_the_reason(
    api: Api,
) -> None:
    task, other = await api.running(), await api.running()
    await api.send(task.id, Frame([Chunk("stdout", 0, b"abc")]))
    old = api.as_task(task.id)
    await supersede(api, task)
    new = api.as_task(task.id, 2)
    at = f"/tasks/{task.id}/attempts"
    table = [
        (old, f"{at}/1/frames", frame(3), 409, "stale_epoch", "at attempt 2"),
        (old, f"{at}/1/frames", frame(999), 409, "stale_epoch", "at attempt 2"),
        (old, f"{at}/2/frames", frame(0), 409, "stale_epoch", "at attempt 2"),
        (api.admin, f"{at}/1/frames", frame(3), 409, "stale_epoch", "at attempt 2"),
        (api.admin, f"{at}/3/frames", frame(0), 409, "stale_epoch", "attempt 3"),
        (new, f"{at}/2/frames", frame(1), 409, "offset_mismatch", "byte 0, the frame at 1"),
        (new, f"{at}/2/frames", frame(1, stream="records"), 409, "offset_mismatch", "byte 0"),
        (new, f"{at}/1/frames", frame(3), 403, "forbidden", "may not write to attempt 1"),
        (new, f"/tasks/{other.id}/attempts/1/frames", frame(0), 403, "forbidden", other.id[:8]),
        (new, f"{at}/2/frames", frame(1 << 62), 422, "invalid_input", "does not fit"),
        (new, f"{at}/2/frames", frame(-1), 422, "invalid_input", "does not fit"),
        (new, f"{at}/2/frames", frame(0, stream="stdin"), 422, "invalid_input", "stdin"),
    ]
    for client, path, body, status, code, reason in table:
        answer = await client.post(path, content=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert reason in answer.json()["detail"]
    raw = await api.admin.get(f"/tasks/{task.id}/console/raw", params={"epoch": 1})
    assert raw.content == b"abc"
    assert await api.store.results.offsets(task.id, 2) in ({}, {"stdout": 0})


async def test_a_frame_for_a_task_that_is_gone_is_not_found_whatever_its_offset(api: Api) -> None:
    task = await api.running()
    await api.store.tasks.delete(task.id, BY, force=True)
    for offset in (0, 5):
        answer = await api.send(task.id, Frame([Chunk("stdout", offset, b"x")]))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("action", ["abort", "dequeue", "mark"])
async def test_what_an_ended_task_cannot_do_is_refused_with_what_it_can(
    api: Api, action: str
) -> None:
    task = await api.running()
    await api.send(task.id, Frame(finish={"cause": to_json(exited(3))}))
    body = {"outcome": "completed"} if action == "mark" else {}
    answer = await api.admin.post(f"/tasks/{task.id}/{action}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
    assert "is failed" in answer.json()["detail"]
    assert "reset" in answer.json()["detail"]


async def test_the_end_of_an_attempt_that_was_being_stopped_is_answered_again(api: Api) -> None:
    task = await api.running()
    await api.admin.post(f"/tasks/{task.id}/abort", json={})
    for _ in range(2):
        answer = await api.send(task.id, Frame(finish={"cause": to_json(exited(3))}))
        assert (answer.status_code, answer.json()["state"]) == (200, "aborted"), answer.text
    other = await api.send(task.id, Frame(finish={"cause": to_json(exited(4))}))
    assert (other.status_code, other.json()["code"]) == (409, "stale_epoch")
