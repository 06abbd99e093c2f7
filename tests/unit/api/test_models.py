"""Models over HTTP: made once, listed in pages, edited as far as allowed, named by tasks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.conftest import Api


async def make(api: Api, **members: Any) -> dict[str, Any]:
    answer = await api.admin.post("/models", json={"name": "net", "project": "demo", **members})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_model_is_made_once_for_a_key(api: Api) -> None:
    body = {"name": "net", "project": "demo", "labels": {"cat": 1}}
    headers = {"Idempotency-Key": "one"}
    answers = [await api.admin.post("/models", json=body, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len((await api.admin.get("/models")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "/models", {"name": "net", "project": "p", "colour": 1}, "colour"),
        ("POST", "/models", {"name": "", "project": "p"}, "name"),
        ("POST", "/models", {"name": "n", "project": "p", "labels": {"a": "b"}}, "labels"),
        ("PATCH", "/models/{id}", {"published": True}, "published"),
        ("PATCH", "/models/{id}", {"tags": [""]}, "tags"),
        ("GET", "/models?order=size", None, "order"),
        ("GET", "/models?metadata=x", None, "metadata"),
        ("GET", "/models?cursor=x", None, "cursor"),
    ],
)
async def test_what_cannot_be_used_is_named(
    api: Api, method: str, path: str, body: Any, named: str
) -> None:
    model = await make(api)
    answer = await api.admin.request(method, path.format(id=model["id"]), json=body)
    assert answer.status_code == 422 or answer.status_code == 400
    assert named in answer.text


async def test_lists_are_filtered_and_paged(api: Api) -> None:
    for name in "abc":
        await make(api, name=name, tags=[name], metadata={"n": {"value": name, "type": "str"}})
    page = (await api.admin.get("/models", params={"limit": 2, "order": "name"})).json()
    assert [model["name"] for model in page["items"]] == ["a", "b"]
    query = {"limit": 2, "order": "name", "cursor": page["next_cursor"]}
    rest = (await api.admin.get("/models", params=query)).json()
    assert ([model["name"] for model in rest["items"]], rest["next_cursor"]) == (["c"], None)
    by = {"tag": ["a", "b"], "metadata": "n=b"}
    assert len((await api.admin.get("/models", params=by)).json()["items"]) == 1


async def test_a_published_model_names_the_way_out(api: Api) -> None:
    model = await make(api)
    await api.admin.post(f"/models/{model['id']}/publish")
    answer = await api.admin.patch(f"/models/{model['id']}", json={"labels": {"a": 1}})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_editable")
    assert "make another one" in answer.json()["detail"]
    gone = await api.admin.delete(f"/models/{model['id']}")
    assert (gone.status_code, "force" in gone.json()["detail"]) == (409, True)
    assert (await api.admin.delete(f"/models/{model['id']}?force=true")).status_code == 200


async def test_weights_are_a_download(api: Api) -> None:
    sha256 = await api.store.blobs.put(b"weights")
    model = await make(api, sha256=sha256, filename="net.pt")
    answer = await api.admin.get(f"/models/{model['id']}/content")
    assert answer.content == b"weights"
    assert answer.headers["content-disposition"] == 'attachment; filename="net.pt"'
    elsewhere = await make(api, uri="s3://bucket/net.pt", sha256=sha256)
    missing = await api.admin.get(f"/models/{elsewhere['id']}/content")
    assert (missing.status_code, missing.json()["uri"]) == (404, "s3://bucket/net.pt")


async def test_a_task_names_models(api: Api) -> None:
    task, model = await api.draft(), await make(api)
    path = f"/tasks/{task.id}/models"
    put = await api.admin.put(f"{path}/input/a/b", json={"model_id": model["id"][:8]})
    assert put.status_code == 204
    assert (await api.admin.get(path)).json() == {"input": [{"id": model["id"], "name": "a/b"}]}
    await api.admin.delete(f"{path}/input", params={"model_id": model["id"]})
    assert (await api.admin.get(path)).json() == {}


async def test_what_happened_is_told_also_of_a_deleted_model(api: Api) -> None:
    model = await make(api)
    await api.admin.post(f"/models/{model['id']}/archive")
    await api.admin.delete(f"/models/{model['id']}")
    told = (await api.admin.get(f"/models/{model['id']}/history")).json()["items"]
    assert [event["event"] for event in told] == ["create", "archive", "delete"]
    assert {event["by"] for event in told} == {"user"}


class TestTaskTokens:
    async def test_they_make_and_publish_models(self, api: Api) -> None:
        task = await api.running()
        as_task = api.as_task(task.id)
        body = {"name": "net", "project": "demo", "task_id": task.id}
        model = (await as_task.post("/models", json=body)).json()
        published = await as_task.post(f"/models/{model['id']}/publish")
        assert published.json()["published"]

    async def test_they_delete_only_what_their_task_made(self, api: Api) -> None:
        task = await api.running()
        own, other = await make(api, task_id=task.id), await make(api)
        as_task = api.as_task(task.id)
        assert (await as_task.delete(f"/models/{own['id']}")).status_code == 200
        refused = await as_task.delete(f"/models/{other['id']}")
        assert (refused.status_code, "archive" in refused.json()["detail"]) == (403, True)

    async def test_they_write_nothing_once_their_attempt_is_over(self, api: Api) -> None:
        task, model = await api.running(), await make(api)
        await api.end(task)
        as_task = api.as_task(task.id)
        answer = await as_task.patch(f"/models/{model['id']}", json={"comment": "late"})
        assert answer.status_code == 409
        assert (await as_task.get(f"/models/{model['id']}")).json()["comment"] == ""

    async def test_they_name_models_of_their_own_task_alone(self, api: Api) -> None:
        task, other, model = await api.running(), await api.draft(), await make(api)
        as_task = api.as_task(task.id)
        for one, status in ((task, 204), (other, 403)):
            path = f"/tasks/{one.id}/models/input/a"
            answer = await as_task.put(path, json={"model_id": model["id"]})
            assert answer.status_code == status
