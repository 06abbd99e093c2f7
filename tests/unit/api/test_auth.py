"""Tokens: nobody without one, and task tokens only where they belong."""

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import Mount

from dray.api import addresses, auth
from dray.runtime import ids, records, tokens
from dray.runtime.records import Frame
from tests.unit.api.conftest import TOKEN, Api

#: What a task's token may do beyond its own task: (method, path).
CREATING = {
    ("post", "/api/v1/tasks"),
    ("post", "/api/v1/tasks/{id}/clone"),
    ("post", "/api/v1/tasks/{id}/enqueue"),
    ("post", "/api/v1/blobs/missing"),
    ("post", "/api/v1/blobs/batch"),
    ("put", "/api/v1/blobs/{sha256}"),
    ("patch", "/api/v1/blobs/{sha256}/part"),
    ("post", "/api/v1/models"),
    ("patch", "/api/v1/models/{id}"),
    ("delete", "/api/v1/models/{id}"),
    ("post", "/api/v1/models/{id}/publish"),
    ("post", "/api/v1/models/{id}/archive"),
    ("post", "/api/v1/models/{id}/unarchive"),
}
#: Asks for more than an address can hold, and changes nothing.
SEARCHES = {("post", "/api/v1/tasks/search")}


def calls_of(dependant: Dependant) -> set[object]:
    found: set[object] = {dependant.call}
    return found.union(*(calls_of(below) for below in dependant.dependencies))


@pytest.mark.invariant(10)
async def test_every_route_has_one_rule(api: Api) -> None:
    walked = set()
    for route in api.app.routes:
        if addresses.is_open(route.path) or isinstance(route, Mount):
            continue
        assert isinstance(route, APIRoute)
        rules = calls_of(route.dependant) & auth.RULES
        for method in route.methods:
            walked.add((method.lower(), route.path_format))
            assert len(rules) == 1, f"{method} {route.path} has {len(rules)} rules"
            reads = auth.reads in rules or (method == "GET" and auth.administers in rules)
            asks = method == "GET" or (method.lower(), route.path_format) in SEARCHES
            assert reads == asks, f"{method} {route.path}"
    assert set(operations(api)) == walked | {("get", "/healthz"), ("get", "/readyz")}


def operations(api: Api) -> list[tuple[str, str]]:
    """(method, path) of everything the API describes."""
    return [(method, path) for path, item in api.app.openapi()["paths"].items() for method in item]


async def test_a_strangers_task_token_can_change_nothing_anywhere(api: Api) -> None:
    task = await api.running()
    stranger = api.connect(tokens.mint_task_token(TOKEN, ids.new_id(), 1), base="")
    bodies = {"outcome": "failed", "agent": "a", "claim_id": "c", "epoch": 1, "queue": "gpu"}
    for method, path in operations(api):
        if method == "get" or (method, path) in CREATING | SEARCHES:
            continue
        body = {} if path.endswith("renew") else bodies
        needed = {
            "mark": ("outcome",),
            "start": ("agent", "claim_id"),
            "hand-over": ("epoch", "queue"),
        }.get(path.rpartition("/")[2], ())
        body = {"name": "n"} if not needed and "tasks" not in path else {k: body[k] for k in needed}
        at = path.format(id=task.id, epoch=1, name="gpu", project="demo", kind="input")
        answer = await stranger.request(method.upper(), at, json=body)
        assert answer.status_code == 403, f"{method} {path}: {answer.text}"


@pytest.mark.invariant(10)
async def test_without_a_token_nothing_of_the_api_answers(api: Api) -> None:
    nobody = api.connect("")
    for method, path in [("GET", "/tasks"), ("POST", "/tasks"), ("GET", "/no-such-route")]:
        answer = await nobody.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Basic {TOKEN}", "Bearer wrong", f"Bearer {TOKEN}x", "Bearer ü"],
)
async def test_a_wrong_token_is_refused(api: Api, header: str) -> None:
    answer = await api.connect("").get(
        "/tasks", headers=[(b"Authorization", header.encode("latin-1"))]
    )
    assert answer.status_code == 401


async def test_a_token_is_asked_for_before_the_body_is_read(api: Api) -> None:
    answer = await api.connect("").post("/tasks", content=b"{not json")
    assert answer.status_code == 401


async def test_a_forged_task_token_is_refused(api: Api) -> None:
    task = await api.running()
    good = api.as_task(task.id).headers["authorization"].removeprefix("Bearer ")
    assert (await api.connect(good).get("/tasks")).status_code == 200
    for forged in (good[:-1] + ("0" if good[-1] != "0" else "1"), good.replace(".1.", ".2.")):
        assert (await api.connect(forged).get("/tasks")).status_code == 401


async def test_a_task_token_writes_to_its_own_task_only(api: Api) -> None:
    own, other = await api.running(), await api.draft()
    client = api.as_task(own.id)
    assert (await client.patch(f"/tasks/{own.id}", json={"comment": "x"})).status_code == 200
    refused = await client.patch(f"/tasks/{other.id}", json={"comment": "x"})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    for action in ("dequeue", "abort", "reset", "publish"):
        assert (await client.post(f"/tasks/{other.id}/{action}")).status_code == 403
    assert (await client.delete(f"/tasks/{other.id}")).status_code == 403


async def test_a_task_token_reads_everything_and_makes_tasks(api: Api) -> None:
    own, other = await api.running(), await api.draft()
    client = api.as_task(own.id)
    assert (await client.get(f"/tasks/{other.id}")).status_code == 200
    assert (await client.get("/agents")).status_code == 200
    made = await client.post("/tasks", json={"name": "step", "project": "demo"})
    assert made.status_code == 201
    assert made.json()["owner"] == f"task:{own.id}"
    cloned = await client.post(f"/tasks/{other.id}/clone", json={})
    assert cloned.status_code == 201
    queued = await client.post(f"/tasks/{made.json()['id']}/enqueue", json={"queue": "gpu"})
    assert queued.status_code == 200


async def test_a_task_token_writes_to_what_it_made_and_to_its_children(api: Api) -> None:
    own, source = await api.running(), await api.draft()
    client = api.as_task(own.id)
    cloned = (await client.post(f"/tasks/{source.id}/clone", json={})).json()["id"]
    child = (await api.draft(parent_id=own.id)).id
    for task_id in (cloned, child):
        edited = await client.patch(f"/tasks/{task_id}", json={"tags": ["mine"]})
        assert (edited.status_code, edited.json()["tags"]) == (200, ["mine"])
        await client.post(f"/tasks/{task_id}/enqueue", json={"queue": "gpu"})
        assert (await client.post(f"/tasks/{task_id}/dequeue")).status_code == 200
    refused = await client.patch(f"/tasks/{source.id}", json={"tags": ["mine"]})
    assert refused.status_code == 403
    await api.end(own)
    late = await client.patch(f"/tasks/{child}", json={"tags": ["late"]})
    assert (late.status_code, late.json()["code"]) == (409, "stale_epoch")


async def test_a_task_token_does_not_administer(api: Api) -> None:
    client = api.as_task((await api.running()).id)
    for method, path, body in [
        ("POST", "/queues", {"name": "q"}),
        ("DELETE", "/queues/gpu", None),
        ("POST", "/projects", {"name": "p"}),
        ("PATCH", "/projects/demo", {"description": "d"}),
        ("DELETE", "/projects/demo", None),
    ]:
        answer = await client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path


async def test_a_token_of_an_older_attempt_writes_no_more(api: Api) -> None:
    task = await api.running()
    answer = await api.as_task(task.id, epoch=2).patch(f"/tasks/{task.id}", json={"comment": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "stale_epoch")


async def test_an_attempts_token_writes_frames_of_that_attempt_only(api: Api) -> None:
    task = await api.running()
    client = api.as_task(task.id)
    body = records.encode_frame(Frame())
    assert (await client.post(f"/tasks/{task.id}/attempts/1/frames", content=body)).is_success
    for path in (f"/tasks/{task.id}/attempts/2/frames", f"/tasks/{ids.new_id()}/attempts/1/frames"):
        assert (await client.post(path, content=body)).status_code == 403


async def test_the_audit_tells_who_did_it_and_by_which_request(api: Api) -> None:
    task = await api.running()
    await api.as_task(task.id).patch(
        f"/tasks/{task.id}", json={"comment": "x"}, headers={"X-Request-ID": "edit-7"}
    )
    story = (await api.admin.get(f"/tasks/{task.id}/history")).json()["items"]
    assert (story[-1]["by"], story[-1]["request_id"]) == (f"task:{task.id}", "edit-7")
