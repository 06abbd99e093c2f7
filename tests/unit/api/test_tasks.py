"""Tasks over HTTP: made, found, edited, cloned, deleted."""

import pytest

from dray.runtime import causes, ids
from tests.unit.api.conftest import Api


async def test_a_task_is_made_as_a_draft(api: Api) -> None:
    body = {
        "name": "train",
        "project": "vision/digits",
        "type": "testing",
        "tags": ["a"],
        "parameters": {"Args/lr": {"value": "0.1", "type": "float"}},
        "execution": {"entry_point": "train.py", "resources": {"gpus": 0.5}},
    }
    answer = await api.admin.post("/tasks", json=body)
    assert answer.status_code == 201
    task = answer.json()
    assert (task["state"], task["owner"], task["project"]) == ("draft", "user", "vision/digits")
    assert task["parameters"]["Args/lr"]["value"] == "0.1"
    assert task["execution"]["resources"]["gpus"] == 0.5
    assert (await api.admin.get(f"/tasks/{task['id']}")).json() == task


async def test_a_task_that_was_read_may_be_sent_back_as_a_new_one(api: Api) -> None:
    read = (await api.admin.get(f"/tasks/{(await api.running()).id}")).json()
    answer = await api.admin.post("/tasks", json={**read, "id": ids.new_id()})
    assert (answer.status_code, answer.json()["state"], answer.json()["epoch"]) == (201, "draft", 0)


async def test_an_id_may_be_made_by_the_caller_and_is_used_once(api: Api) -> None:
    body = {"id": ids.new_id(), "name": "n", "project": "p"}
    assert (await api.admin.post("/tasks", json=body)).json()["id"] == body["id"]
    again = await api.admin.post("/tasks", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_a_unique_prefix_stands_for_an_id(api: Api) -> None:
    one, two = "aaaa" + "1" * 28, "aaaa" + "2" * 28
    for id in (one, two):
        await api.draft(id=id)
    assert (await api.admin.get("/tasks/aaaa1")).json()["id"] == one
    ambiguous = await api.admin.get("/tasks/aaaa")
    assert (ambiguous.status_code, ambiguous.json()["code"]) == (400, "ambiguous_id")
    assert ambiguous.json()["matches"] == [one, two]


@pytest.mark.parametrize(
    ("id", "status", "code"),
    [("beef" * 8, 404, "not_found"), ("beef", 404, "not_found"), ("xyz!", 422, "invalid_input")],
)
async def test_an_unknown_id_is_told_apart_from_no_id(
    api: Api, id: str, status: int, code: str
) -> None:
    for path in ("", "/why", "/history", "/attempts", "/console", "/console/follow", "/scalars"):
        answer = await api.admin.get(f"/tasks/{id}{path}")
        assert (answer.status_code, answer.json()["code"]) == (status, code), path


async def test_a_list_is_paged_to_its_end(api: Api) -> None:
    made = [(await api.draft(name=f"t{i}")).id for i in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await api.admin.get("/tasks", params={"limit": 2, "cursor": cursor})).json()
        seen += [task["id"] for task in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert sorted(seen) == sorted(made)
    assert len(seen) == 5


async def test_a_list_is_filtered(api: Api) -> None:
    await api.draft(name="one", project="a/b", tags=["x"])
    await api.draft(name="two", project="a", owner="ann")
    await api.running(name="three", project="c")

    async def names(**query: object) -> set[str]:
        page = (await api.admin.get("/tasks", params=query)).json()  # type: ignore[arg-type]
        return {task["name"] for task in page["items"]}

    assert await names() == {"one", "two", "three"}
    assert await names(project="a") == {"one", "two"}
    assert await names(state=["running", "failed"]) == {"three"}
    assert await names(tag="x") == {"one"}
    assert await names(owner="ann") == {"two"}
    assert await names(name="O") == {"one", "two"}
    assert await names(name_exact="two") == {"two"}
    assert await names(queue="gpu") == {"three"}
    assert await names(search="thre") == {"three"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"state": "asleep"}, "state"),
        ({"order": "luck"}, "order"),
        ({"cursor": "made-up"}, "cursor"),
    ],
)
async def test_a_list_refuses_what_it_cannot_use(api: Api, query: object, field: str) -> None:
    answer = await api.admin.get("/tasks", params=query)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert field in answer.json()["field"]


async def test_a_draft_is_edited_member_by_member(api: Api) -> None:
    task = await api.draft(properties={"a": "1", "b": "2"})
    edit = {
        "name": "renamed",
        "properties": {"a": None, "c": "3"},
        "parameters": {"Args/lr": {"value": "1"}},
        "execution": {"entry_point": "new.py", "resources": {"cpus": 3}},
        "priority": 5,
    }
    edited = (await api.admin.patch(f"/tasks/{task.id}", json=edit)).json()
    assert (edited["name"], edited["priority"]) == ("renamed", 5)
    assert edited["properties"] == {"b": "2", "c": "3"}
    assert edited["execution"]["entry_point"] == "new.py"
    assert edited["execution"]["resources"]["cpus"] == 3


async def test_only_a_draft_is_editable_but_for_its_labels(api: Api) -> None:
    task = await api.running()
    labels = {"comment": "x", "tags": ["t"], "project": "other", "properties": {"k": "v"}}
    assert (await api.admin.patch(f"/tasks/{task.id}", json=labels)).status_code == 200
    refused = await api.admin.patch(f"/tasks/{task.id}", json={"execution": {"commit": "c"}})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_editable")
    assert "clone" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        ({"titel": "x"}, "titel"),
        ({"execution": {"entrypoint": "x"}}, "execution.entrypoint"),
        ({"state": "completed"}, "state"),
    ],
)
async def test_an_edit_that_would_do_nothing_is_refused(api: Api, edit: object, field: str) -> None:
    task = await api.draft()
    answer = await api.admin.patch(f"/tasks/{task.id}", json=edit)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["field"] == field


async def test_a_clone_is_a_draft_that_names_its_source(api: Api) -> None:
    source = await api.running(tags=["t"])
    answer = await api.admin.post(f"/tasks/{source.id[:8]}/clone", json={"comment": "again"})
    assert answer.status_code == 201
    clone = answer.json()
    assert clone["name"] == "Clone of train"
    assert (clone["state"], clone["parent_id"]) == ("draft", source.id)
    assert (clone["comment"], clone["tags"]) == ("again", ["t"])


async def test_a_task_is_deleted_and_a_running_one_only_with_force(api: Api) -> None:
    draft, running = await api.draft(), await api.running()
    assert (await api.admin.delete(f"/tasks/{draft.id}")).status_code == 204
    assert (await api.admin.get(f"/tasks/{draft.id}")).status_code == 404
    assert (await api.admin.delete(f"/tasks/{running.id}")).status_code == 409
    forced = await api.admin.delete(f"/tasks/{running.id}", params={"force": True})
    assert (forced.status_code, forced.content) == (204, b"")
    assert (await api.admin.get(f"/tasks/{running.id}")).status_code == 404


async def test_why_tells_what_each_state_waits_for(api: Api) -> None:
    async def why(id: str) -> str:
        return (await api.admin.get(f"/tasks/{id}/why")).json()["reason"]

    draft, running = await api.draft(), await api.running()
    assert "enqueue it" in await why(draft.id)
    await api.admin.post(f"/tasks/{draft.id}/enqueue", json={"queue": "gpu"})
    assert "waits for a GPU" in await why(draft.id)
    assert "agent-1 as attempt 1" in await why(running.id)
    await api.end(running, causes.aborted("user", "dull"))
    assert await why(running.id) == "dull"


async def test_history_and_attempts_tell_the_story(api: Api) -> None:
    task = await api.running()
    history = (await api.admin.get(f"/tasks/{task.id}/history")).json()
    assert [entry["event"] for entry in history["items"]] == ["create", "enqueue", "claim"]
    first = (await api.admin.get(f"/tasks/{task.id}/history", params={"limit": 1})).json()
    assert len(first["items"]) == 1
    assert first["next_cursor"]
    for cursor in ("x", "-1", "9" * 30):
        path = f"/tasks/{task.id}/history"
        answer = await api.admin.get(path, params={"cursor": cursor})
        assert (answer.status_code, answer.json()["field"]) == (422, "cursor")
    (attempt,) = (await api.admin.get(f"/tasks/{task.id}/attempts")).json()["items"]
    assert (attempt["epoch"], attempt["agent"]) == (1, "agent-1")
