"""Invariant 2, at the API: whoever writes for an attempt that is over is refused, on every route.

The table names every route that writes, with a body it would take. A route that is not in it
fails a test, so that nobody adds a way around the fence by accident.
"""

import hashlib
from typing import Any

import httpx2
import pytest
from fastapi.routing import APIRoute

from dray.api import addresses, app
from dray.runtime import blob_batch, records
from dray.runtime.causes import exited
from dray.runtime.codec import to_json
from dray.runtime.machine import ProveDead
from dray.runtime.models import Task
from dray.runtime.records import Frame
from dray.runtime.store import ClaimRequest
from dray.runtime.store.fencing import REFUSED, Fencing
from tests.unit.api.conftest import BY, Api

BLOB = b"weights"
SHA256 = hashlib.sha256(BLOB).hexdigest()
FRAME = records.encode_frame(Frame(executing=True))
MODEL_ID = "a" * 32
REPORT = records.encode_record("single", 1.0, name="best", v=1.0)

#: Routes that a task's token may use on its own task while its attempt is open.
OF_ITS_TASK: dict[tuple[str, str], Any] = {
    ("PATCH", "/tasks/{id}"): {"comment": "late"},
    ("DELETE", "/tasks/{id}"): None,
    ("POST", "/tasks/{id}/dequeue"): None,
    ("POST", "/tasks/{id}/abort"): {},
    ("POST", "/tasks/{id}/reset"): None,
    ("POST", "/tasks/{id}/publish"): None,
    ("POST", "/tasks/{id}/mark"): {"outcome": "completed"},
    ("POST", "/tasks/{id}/start"): {"agent": "local:laptop", "claim_id": "again"},
    ("POST", "/tasks/{id}/hand-over"): {"epoch": 1, "queue": "gpu"},
    ("PUT", "/tasks/{id}/artifacts/{name}"): {"type": "string"},
    ("DELETE", "/tasks/{id}/artifacts/{name}"): None,
    ("POST", "/tasks/{id}/reports"): REPORT,
    ("PUT", "/tasks/{id}/models/{kind}/{name}"): {"model_id": MODEL_ID},
    ("DELETE", "/tasks/{id}/models/{kind}"): None,
    ("POST", "/tasks/{id}/attempts/{epoch}/frames"): FRAME,
    ("POST", "/tasks/{id}/attempts/{epoch}/renew"): {},
}
#: Routes that it may use beyond its own task.
CREATING: dict[tuple[str, str], Any] = {
    ("POST", "/tasks"): {"name": "step", "project": "demo"},
    ("POST", "/tasks/{id}/clone"): {},
    ("POST", "/tasks/{id}/enqueue"): {"queue": "gpu"},
    ("POST", "/blobs/missing"): {"sha256": [SHA256]},
    ("POST", "/blobs/batch"): blob_batch.encode([(SHA256, BLOB)]),
    ("PUT", "/blobs/{sha256}"): BLOB,
    ("PATCH", "/blobs/{sha256}/part"): BLOB,
}
#: Routes that it may use on models, here one that its task made.
OF_MODELS: dict[tuple[str, str], Any] = {
    ("POST", "/models"): {"name": "net", "project": "demo"},
    ("PATCH", "/models/{id}"): {"comment": "late"},
    ("DELETE", "/models/{id}"): None,
    ("POST", "/models/{id}/publish"): None,
    ("POST", "/models/{id}/archive"): None,
    ("POST", "/models/{id}/unarchive"): None,
}
#: Routes that no task's token may use.
NEVER: dict[tuple[str, str], Any] = {
    ("POST", "/agents/{name}/drain"): {"reason": "mine"},
    ("POST", "/agents/{name}/resume"): None,
    ("POST", "/agents/{name}/stop"): None,
    ("POST", "/queues"): {"name": "mine"},
    ("PATCH", "/queues/{name}"): {},
    ("DELETE", "/queues/{name}"): None,
    ("POST", "/environments/build"): {"task_id": "t"},
    ("POST", "/environments/prune"): {},
    ("POST", "/projects"): {"name": "mine"},
    ("PATCH", "/projects/{project}"): {"description": "mine"},
    ("DELETE", "/projects/{project}"): None,
}
WRITING = {**OF_ITS_TASK, **CREATING, **OF_MODELS}
#: The look at the fence is all these have: they write to no row of the store.
WITHOUT_TRANSACTION = {
    ("POST", "/blobs/missing"),
    ("POST", "/blobs/batch"),
    ("PUT", "/blobs/{sha256}"),
    ("PATCH", "/blobs/{sha256}/part"),
}


async def supersede(api: Api, task: Task) -> None:
    """Attempt 1 of ``task`` is proved dead and goes back; another agent has it as attempt 2."""
    await api.store.tasks.apply(task.id, ProveDead(1, "node gone"), BY)
    request = ClaimRequest(task.id, "agent-2", "node", "claim-2", 30.0)
    assert await api.store.attempts.claim([request], BY) != [None]


async def call(
    client: httpx2.AsyncClient, route: tuple[str, str], body: Any, id: str, epoch: int = 1
) -> httpx2.Response:
    method, path = route
    places = {"name": "gpu", "project": "demo", "sha256": SHA256, "kind": "input"}
    at = path.format(id=id, epoch=epoch, **places)
    content = {"content": body} if isinstance(body, bytes) else {"json": body}
    params = {"model_id": MODEL_ID} if path.endswith("{kind}") else {}
    return await client.request(method, at, params=params, **content)


async def target_of(api: Api, route: tuple[str, str], task: Task, draft: Task) -> str:
    """What the route is tried on; there is always a model, and the task has it."""
    made = {"id": MODEL_ID, "name": "base", "project": "demo", "task_id": task.id}
    assert (await api.admin.post("/models", json=made)).status_code == 201
    link = f"/tasks/{task.id}/models/input/base"
    await api.admin.put(link, json={"model_id": MODEL_ID})
    if route in OF_MODELS:
        return MODEL_ID
    return draft.id if route in CREATING else task.id


def writing_routes() -> set[tuple[str, str]]:
    """(method, path) of every route of the app that does not merely read."""
    return {
        (method, route.path.removeprefix(addresses.API_PREFIX).replace(":path}", "}"))
        for route in app.ROUTES
        if isinstance(route, APIRoute) and not addresses.is_open(route.path)
        for method in route.methods
        if method != "GET"
    }


def test_every_route_that_writes_has_a_verdict_on_late_writes() -> None:
    assert writing_routes() == {*WRITING, *NEVER, ("POST", "/tasks/search")}, "a search only reads"


@pytest.mark.invariant(2)
@pytest.mark.parametrize("route", WRITING, ids=" ".join)
async def test_a_late_write_is_refused_naming_both_epochs(api: Api, route: tuple[str, str]) -> None:
    task = await api.running()
    await supersede(api, task)
    draft = await api.draft()
    target = await target_of(api, route, task, draft)
    before, model = await api.store.tasks.get(task.id), await api.store.models.get(MODEL_ID)
    answer = await call(api.as_task(task.id), route, WRITING[route], target)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "stale_epoch"), answer.text
    assert (problem["epoch"], problem["current_epoch"]) == (1, 2)
    assert "attempt 1" in problem["detail"]
    assert "at attempt 2" in problem["detail"]
    assert await api.store.tasks.get(task.id) == before
    assert await api.store.models.get(MODEL_ID) == model
    assert not await api.store.blobs.has(SHA256)


@pytest.mark.parametrize("route", sorted(set(WRITING) - WITHOUT_TRANSACTION), ids=" ".join)
async def test_an_attempt_that_is_superseded_between_look_and_write_is_refused(
    api: Api, route: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, draft = await api.running(), await api.draft()
    target = await target_of(api, route, task, draft)
    n_tasks = len((await api.admin.get("/tasks")).json()["items"])
    model, look = await api.store.models.get(MODEL_ID), Fencing.check

    async def look_then_supersede(self: Fencing, by: Any) -> None:
        await look(self, by)  # still open at this moment
        await supersede(api, task)

    monkeypatch.setattr(Fencing, "check", look_then_supersede)
    if "{epoch}" in route[1] or "hand-over" in route[1]:  # they do not look first
        await supersede(api, task)
    answer = await call(api.as_task(task.id), route, WRITING[route], target)
    assert await api.store.models.get(MODEL_ID) == model
    assert (answer.status_code, answer.json()["code"]) == (409, "stale_epoch"), answer.text
    assert len((await api.admin.get("/tasks")).json()["items"]) == n_tasks
    assert (await api.store.tasks.head(draft.id)).state == "draft"
    assert (await api.store.tasks.head(task.id)).epoch == 2


@pytest.mark.parametrize("route", NEVER, ids=" ".join)
async def test_no_tasks_token_administers(api: Api, route: tuple[str, str]) -> None:
    task = await api.running()
    for epoch in (1, 2):
        answer = await call(api.as_task(task.id, epoch), route, NEVER[route], task.id)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text


@pytest.mark.parametrize("route", OF_ITS_TASK, ids=" ".join)
async def test_a_foreign_task_is_forbidden(api: Api, route: tuple[str, str]) -> None:
    own, other = await api.running(), await api.running()
    answer = await call(api.as_task(own.id), route, OF_ITS_TASK[route], other.id)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text
    assert other.id[:8] in answer.json()["detail"]


async def test_an_upload_that_ends_after_its_attempt_is_not_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await api.running()

    async def body() -> Any:
        yield BLOB[:3]
        await supersede(api, task)
        yield BLOB[3:]

    answer = await api.as_task(task.id).put(f"/blobs/{SHA256}", content=body())
    assert (answer.status_code, answer.json()["code"]) == (409, "stale_epoch")
    assert not await api.store.blobs.has(SHA256)


async def test_an_attempt_that_ended_writes_no_more_before_another_begins(api: Api) -> None:
    task = await api.running()
    await api.send(task.id, Frame(finish={"cause": to_json(exited(0))}))
    late = api.as_task(task.id)
    for route in (("POST", "/tasks"), ("PATCH", "/tasks/{id}"), ("POST", "/tasks/{id}/reset")):
        answer = await call(late, route, WRITING[route], task.id)
        assert (answer.status_code, answer.json()["code"]) == (409, "stale_epoch")
        assert answer.json()["state"] == "completed"


async def test_a_task_made_again_under_its_id_takes_nothing_of_its_old_attempts(api: Api) -> None:
    task = await api.running()
    await api.admin.delete(f"/tasks/{task.id}", params={"force": True})
    late = api.as_task(task.id)
    gone = await late.post("/tasks", json={"name": "step", "project": "demo"})
    assert (gone.status_code, gone.json()["code"]) == (409, "stale_epoch")
    assert "deleted" in gone.json()["detail"]
    again = await api.running(id=task.id)
    assert again.epoch == 2
    answer = await late.post(f"/tasks/{task.id}/attempts/1/frames", content=FRAME)
    assert (answer.status_code, answer.json()["code"]) == (409, "stale_epoch")


async def test_a_token_of_one_attempt_does_not_speak_for_another(api: Api) -> None:
    task = await api.running()
    for path, body in (("attempts/2/renew", {}), ("hand-over", {"epoch": 2, "queue": "gpu"})):
        early = await api.as_task(task.id).post(f"/tasks/{task.id}/{path}", json=body)
        assert (early.status_code, early.json()["code"]) == (403, "forbidden")
    await supersede(api, task)
    for path, body in (("attempts/2/renew", {}), ("hand-over", {"epoch": 2, "queue": "gpu"})):
        late = await api.as_task(task.id).post(f"/tasks/{task.id}/{path}", json=body)
        assert (late.status_code, late.json()["code"]) == (409, "stale_epoch")


async def test_a_late_reader_is_answered(api: Api) -> None:
    task = await api.running()
    await supersede(api, task)
    late = api.as_task(task.id)
    for path in (f"/tasks/{task.id}", "/tasks", f"/tasks/{task.id}/console", "/server"):
        assert (await late.get(path)).status_code == 200


async def test_refused_writes_are_counted_and_told_once_for_each_power_of_ten(api: Api) -> None:
    task = await api.running()
    await supersede(api, task)
    late = api.as_task(task.id)
    for _ in range(12):
        await late.patch(f"/tasks/{task.id}", json={"comment": "late"})
    assert (await api.admin.get("/server")).json()["refused_stale_writes"] == 12
    story = (await api.admin.get(f"/tasks/{task.id}/history")).json()["items"]
    told = [entry for entry in story if entry["event"] == REFUSED]
    assert [entry["details"] for entry in told] == [
        {"epoch": 1, "current_epoch": 2, "n_refused": 1},
        {"epoch": 1, "current_epoch": 2, "n_refused": 10},
    ]
    assert {entry["by"] for entry in told} == {f"task:{task.id}"}
    assert {(entry["from_state"], entry["to_state"]) for entry in told} == {("running", "running")}


async def test_late_frames_are_counted_whoever_sends_them(api: Api) -> None:
    task = await api.running()
    await supersede(api, task)
    assert (await api.send(task.id, Frame(executing=True))).status_code == 409
    assert (await api.admin.get("/server")).json()["refused_stale_writes"] == 1


async def test_the_end_of_an_attempt_is_answered_again_to_its_own_token(api: Api) -> None:
    task = await api.running()
    end = records.encode_frame(Frame(finish={"cause": to_json(exited(0))}))
    client = api.as_task(task.id)
    for _ in range(2):
        answer = await client.post(f"/tasks/{task.id}/attempts/1/frames", content=end)
        assert (answer.status_code, answer.json()["state"]) == (200, "completed")
    assert (await api.admin.get("/server")).json()["refused_stale_writes"] == 0


async def test_a_hand_over_is_answered_again_even_when_an_agent_has_the_task_by_then(
    api: Api,
) -> None:
    await api.store.queues.ensure("gpu")
    task = await api.draft()
    given = await api.store.attempts.start_local(task.id, "local:laptop", "", "claim", 30.0, BY)
    client = api.as_task(task.id, given.epoch)
    body = {"epoch": 1, "queue": "gpu"}
    assert (await client.post(f"/tasks/{task.id}/hand-over", json=body)).status_code == 200
    again = await client.post(f"/tasks/{task.id}/hand-over", json=body)
    assert (again.status_code, again.json()["task"]["state"]) == (200, "pending")
    request = ClaimRequest(task.id, "agent-1", "node", "claim-2", 30.0)
    assert await api.store.attempts.claim([request], BY) != [None]
    once_more = await client.post(f"/tasks/{task.id}/hand-over", json=body)
    assert (once_more.status_code, once_more.json()["task"]["state"]) == (200, "running")
