"""Queues, agents and projects over HTTP."""

import pytest

from dray.runtime.machine import ProveDead
from dray.runtime.models import AgentRecord
from dray.runtime.resources import Resources
from tests.unit.api.conftest import BY, Api


async def test_a_queue_comes_and_goes_and_the_machinery_is_told(api: Api) -> None:
    made = await api.admin.post("/queues", json={"name": "gpu", "elastic": False})
    assert (made.status_code, made.json()["name"], made.json()["elastic"]) == (201, "gpu", False)
    listed = (await api.admin.get("/queues")).json()
    assert [queue["name"] for queue in listed["items"]] == ["gpu"]
    assert (await api.admin.get("/queues/gpu")).json() == listed["items"][0]
    assert (await api.admin.delete("/queues/gpu")).status_code == 204
    assert (await api.admin.get("/queues/gpu")).status_code == 404
    assert api.orchestrator.queues == [["gpu"], []]


async def test_a_queues_name_is_taken_once(api: Api) -> None:
    await api.admin.post("/queues", json={"name": "gpu"})
    again = await api.admin.post("/queues", json={"name": "gpu"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize("name", ["", "a/b", "-x", "x" * 200])
async def test_a_name_that_is_none_is_refused(api: Api, name: str) -> None:
    answer = await api.admin.post("/queues", json={"name": name})
    assert (answer.status_code, answer.json()["field"]) == (422, "name")


async def test_tasks_that_came_back_to_their_queue_are_on_its_pages_first(api: Api) -> None:
    lost = [await api.running() for _ in range(3)]
    for task in lost:
        await api.store.tasks.apply(task.id, ProveDead(1, "node gone"), BY)
    cursor, seen = "", []
    while True:
        params = {"limit": 1, "cursor": cursor}
        page = (await api.admin.get("/queues/gpu/tasks", params=params)).json()
        seen += [entry["task_id"] for entry in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert seen == [task.id for task in reversed(lost)]


async def test_a_queue_with_tasks_goes_only_with_force(api: Api) -> None:
    await api.store.queues.create("gpu")
    task = await api.draft()
    await api.admin.post(f"/tasks/{task.id}/enqueue", json={"queue": "gpu"})
    refused = await api.admin.delete("/queues/gpu")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (await api.admin.delete("/queues/gpu", params={"force": "true"})).status_code == 204
    assert (await api.store.tasks.get(task.id)).state == "draft"


async def test_a_queues_tasks_are_paged_in_the_order_of_claims(api: Api) -> None:
    await api.store.queues.create("gpu")
    made = [(await api.draft(priority=p)).id for p in (0, 5, 0, -1, 5)]
    for id in made:
        await api.admin.post(f"/tasks/{id}/enqueue", json={"queue": "gpu"})
    seen: list[str] = []
    cursor = ""
    while True:
        params = {"limit": 2, "cursor": cursor}
        page = (await api.admin.get("/queues/gpu/tasks", params=params)).json()
        seen += [entry["task_id"] for entry in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert seen == [made[i] for i in (1, 4, 0, 2, 3)]
    bad = await api.admin.get("/queues/gpu/tasks", params={"cursor": "x"})
    assert (bad.status_code, bad.json()["field"]) == (422, "cursor")
    assert (await api.admin.get("/queues/none/tasks")).status_code == 404


async def test_agents_are_listed_with_what_they_run(api: Api) -> None:
    task = await api.running()
    await api.store.agents.put(AgentRecord("agent-1", "static", Resources(), ["gpu"]))
    (agent,) = (await api.admin.get("/agents")).json()["items"]
    assert (agent["name"], agent["task_ids"]) == ("agent-1", [task.id])
    assert (await api.admin.get("/agents/agent-1")).json() == agent
    assert (await api.admin.get("/agents/nobody")).status_code == 404


async def test_projects_nest_and_count_what_is_below(api: Api) -> None:
    await api.draft(project="vision/digits")
    body = {"name": "vision", "description": "seeing"}
    made = await api.admin.post("/projects", json=body)
    assert (made.status_code, made.json()["n_tasks"]) == (201, 1)
    assert made.json()["description"] == "seeing"
    listed = (await api.admin.get("/projects")).json()["items"]
    assert [project["name"] for project in listed] == ["vision", "vision/digits"]
    for at in ("vision/digits", "vision%2Fdigits", listed[1]["id"]):
        assert (await api.admin.get(f"/projects/{at}")).json() == listed[1]


async def test_projects_are_paged(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.store.projects.ensure(name)
    first = (await api.admin.get("/projects", params={"limit": 2})).json()
    assert ([p["name"] for p in first["items"]], first["next_cursor"]) == (["a", "b"], "b")
    params = {"limit": 2, "cursor": "b"}
    second = (await api.admin.get("/projects", params=params)).json()
    assert ([p["name"] for p in second["items"]], second["next_cursor"]) == (["c"], None)


async def test_a_project_is_renamed_with_what_is_below_it(api: Api) -> None:
    task = await api.draft(project="a/b")
    answer = await api.admin.patch("/projects/a", json={"name": "z", "description": "d"})
    assert (answer.json()["name"], answer.json()["description"]) == ("z", "d")
    assert (await api.store.tasks.get(task.id)).project == "z/b"


async def test_only_an_empty_project_is_deleted(api: Api) -> None:
    task = await api.draft(project="p")
    refused = await api.admin.delete("/projects/p")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    await api.admin.delete(f"/tasks/{task.id}")
    assert (await api.admin.delete("/projects/p")).status_code == 204
    assert (await api.admin.get("/projects/p")).status_code == 404


async def test_how_a_queues_tasks_run_is_edited_member_by_member(api: Api) -> None:
    defaults = {"environment_manager": "pip", "container": {"image": "python:3.12"}}
    made = await api.admin.post("/queues", json={"name": "gpu", "defaults": defaults})
    assert made.json()["defaults"]["container"]["image"] == "python:3.12"
    body = {"defaults": {"container": {"arguments": "--ipc=host"}}}
    edited = (await api.admin.patch("/queues/gpu", json=body)).json()["defaults"]
    assert edited["environment_manager"] == "pip"
    assert edited["container"] == {
        "image": "python:3.12",
        "arguments": "--ipc=host",
        "setup_script": "",
    }
    bad = {"defaults": {"environment_manager": "apt"}}
    refused = await api.admin.patch("/queues/gpu", json=bad)
    assert (refused.status_code, refused.json()["field"]) == (422, "defaults.environment_manager")
    assert (await api.admin.patch("/queues/none", json=body)).status_code == 404
