"""What moves a task through its states over HTTP."""

import pytest

from dray.runtime import causes
from dray.runtime.models import AgentRecord
from dray.runtime.resources import Resources
from tests.unit.api.conftest import BY, Api


def agent(*queues: str) -> AgentRecord:
    return AgentRecord("static-1", "static", Resources(), list(queues), state="ready")


async def test_an_enqueued_task_waits(api: Api) -> None:
    task = await api.draft()
    await api.store.queues.create("gpu")
    await api.store.agents.put(agent("gpu"))
    answer = await api.admin.post(f"/tasks/{task.id}/enqueue", json={"queue": "gpu", "priority": 3})
    assert answer.status_code == 200
    assert (answer.json()["queue_served"], answer.json()["warning"]) == (True, "")
    queued = answer.json()["task"]
    assert (queued["state"], queued["queue"], queued["priority"]) == ("pending", "gpu", 3)
    (entry,) = (await api.admin.get("/queues/gpu/tasks")).json()["items"]
    assert (entry["task_id"], entry["priority"]) == (task.id, 3)


async def test_a_queue_nobody_serves_is_accepted_with_a_warning(api: Api) -> None:
    task = await api.draft()
    await api.admin.post("/queues", json={"name": "empty", "elastic": False})
    answer = await api.admin.post(f"/tasks/{task.id}/enqueue", json={"queue": "empty"})
    assert answer.status_code == 200
    assert answer.json()["task"]["state"] == "pending"
    assert answer.json()["queue_served"] is False
    assert "no agent serves queue 'empty'" in answer.json()["warning"]


async def test_an_unknown_queue_is_not_found_and_the_known_ones_are_named(api: Api) -> None:
    task = await api.draft()
    for name in ("cpu", "gpu"):
        await api.store.queues.create(name)
    answer = await api.admin.post(f"/tasks/{task.id}/enqueue", json={"queue": "gqu"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.json()["queues"] == ["cpu", "gpu"]
    assert "cpu, gpu" in answer.json()["detail"]
    assert (await api.store.tasks.get(task.id)).state == "draft"


async def test_an_enqueued_task_can_be_taken_out_again(api: Api) -> None:
    task = await api.draft()
    await api.store.queues.create("gpu")
    await api.admin.post(f"/tasks/{task.id}/enqueue", json={"queue": "gpu"})
    answer = await api.admin.post(f"/tasks/{task.id}/dequeue", json={})
    assert (answer.status_code, answer.json()["state"]) == (200, "draft")


async def test_a_pending_task_is_aborted_at_once(api: Api) -> None:
    task = await api.draft()
    await api.store.queues.create("gpu")
    await api.admin.post(f"/tasks/{task.id}/enqueue", json={"queue": "gpu"})
    aborted = (await api.admin.post(f"/tasks/{task.id}/abort")).json()
    assert (aborted["state"], aborted["cause"]["by"]) == ("aborted", "user")


async def test_a_running_task_is_asked_to_stop(api: Api) -> None:
    task = await api.running()
    path = f"/tasks/{task.id}/abort"
    stopping = (await api.admin.post(path, json={"reason": "enough"})).json()
    assert (stopping["state"], stopping["phase"]) == ("running", "stopping")
    assert stopping["cause"]["message"] == "enough"
    again = (await api.admin.post(path, json={"reason": "really"})).json()
    assert again["cause"]["message"] == "enough"


@pytest.mark.parametrize("outcome", ["completed", "failed", "aborted"])
async def test_a_run_started_by_hand_is_marked_at_once(api: Api, outcome: str) -> None:
    task = await api.draft()
    await api.store.attempts.start_local(task.id, "local:laptop", "laptop", "c", 30.0, BY)
    body = {"outcome": outcome, "reason": "I say so"}
    for _ in range(2):  # a repetition finds its effect standing
        answer = await api.admin.post(f"/tasks/{task.id}/mark", json=body)
        assert answer.status_code == 200
        assert (answer.json()["state"], answer.json()["cause"]["kind"]) == (outcome, "marked")
        assert answer.json()["cause"]["message"] == "I say so"


@pytest.mark.parametrize("outcome", ["completed", "failed", "aborted"])
async def test_a_task_whose_process_is_at_hand_is_marked_once_that_has_ended(
    api: Api, outcome: str
) -> None:
    task = await api.running()
    for _ in range(2):
        answer = await api.admin.post(f"/tasks/{task.id}/mark", json={"outcome": outcome})
        assert (answer.json()["state"], answer.json()["phase"]) == ("running", "stopping")
    await api.end(task, causes.killed(9))
    ended = (await api.admin.get(f"/tasks/{task.id}")).json()
    assert (ended["state"], ended["cause"]["kind"]) == (outcome, "marked")
    assert "SIGKILL" in ended["cause"]["evidence"]


async def test_an_ended_task_is_published_or_reset(api: Api) -> None:
    task = await api.running()
    await api.end(task)
    reset = (await api.admin.post(f"/tasks/{task.id}/reset", json={})).json()
    assert (reset["state"], reset["cause"], reset["attempt"]) == ("draft", None, None)
    other = await api.running()
    await api.end(other)
    published = (await api.admin.post(f"/tasks/{other.id}/publish", json={})).json()
    assert published["state"] == "published"


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("dequeue", None),
        ("abort", None),
        ("reset", None),
        ("publish", None),
        ("mark", {"outcome": "completed"}),
    ],
)
async def test_what_a_drafts_state_does_not_allow_is_refused(
    api: Api, action: str, body: object
) -> None:
    task = await api.draft()
    answer = await api.admin.post(f"/tasks/{task.id}/{action}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_transition")
    assert answer.json()["state"] == "draft"
    assert "is draft" in answer.json()["detail"]


async def test_an_outcome_nobody_knows_is_refused(api: Api) -> None:
    task = await api.running()
    answer = await api.admin.post(f"/tasks/{task.id}/mark", json={"outcome": "great"})
    assert (answer.status_code, answer.json()["field"]) == (422, "outcome")


async def test_waiting_for_a_state_that_is_there_returns_at_once(api: Api) -> None:
    task = await api.running()
    for state in ("running", ["failed", "running"]):
        answer = await api.admin.get(f"/tasks/{task.id}/wait", params={"state": state})
        assert answer.json()["state"] == "running"


async def test_waiting_ends_with_its_time(api: Api) -> None:
    task = await api.draft()
    answer = await api.admin.get(f"/tasks/{task.id}/wait", params={"timeout_s": 0})
    assert (answer.status_code, answer.json()["state"]) == (200, "draft")


@pytest.mark.parametrize("timeout", ["nan", "-1", "1e9", "soon"])
async def test_a_time_limit_that_is_none_is_refused(api: Api, timeout: str) -> None:
    task = await api.draft()
    answer = await api.admin.get(f"/tasks/{task.id}/wait", params={"timeout_s": timeout})
    assert (answer.status_code, answer.json()["field"]) == (422, "timeout_s")
