"""Creating calls with an idempotency key: repeated, they are answered again."""

import asyncio

import pytest

from dray.runtime.store.contract import StoredReply
from tests.unit.api.conftest import Api

BODY = {"name": "n", "project": "p"}


async def n_tasks(api: Api) -> int:
    return len((await api.admin.get("/tasks")).json()["items"])


async def test_a_repeated_creation_makes_one_task(api: Api) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await api.admin.post("/tasks", json=BODY, headers=headers)
    again = await api.admin.post("/tasks", json=BODY, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await n_tasks(api) == 1


async def test_repetitions_at_the_same_time_make_one_task(api: Api) -> None:
    headers = {"Idempotency-Key": "k-1"}
    posts = [api.admin.post("/tasks", json=BODY, headers=headers) for _ in range(5)]
    answers = await asyncio.gather(*posts)
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await n_tasks(api) == 1
    assert not api.app.state.context.idempotency.n_busy


async def test_other_keys_and_no_keys_make_others(api: Api) -> None:
    for headers in ({"Idempotency-Key": "a"}, {"Idempotency-Key": "b"}, {}, {}):
        await api.admin.post("/tasks", json=BODY, headers=headers)
    assert await n_tasks(api) == 4


async def test_a_key_belongs_to_one_request(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    await api.admin.post("/tasks", json=BODY, headers=headers)
    other = await api.admin.post("/tasks", json={**BODY, "name": "m"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert await n_tasks(api) == 1


async def test_a_key_belongs_to_one_caller(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    task = await api.running()
    made = [
        (await client.post("/tasks", json=BODY, headers=headers)).json()["id"]
        for client in (api.admin, api.as_task(task.id))
    ]
    assert len(set(made)) == 2


async def test_a_refusal_is_not_kept(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    path = f"/tasks/{'b' * 32}/clone"
    assert (await api.admin.post(path, json={}, headers=headers)).status_code == 404
    await api.draft(id="b" * 32)
    assert (await api.admin.post(path, json={}, headers=headers)).status_code == 201


async def test_a_creation_whose_answer_was_lost_in_a_crash_is_not_done_twice(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(key: str, reply: StoredReply) -> None:
        raise RuntimeError("the server died here")

    task = await api.draft()
    for n, path in enumerate(("/tasks", f"/tasks/{task.id}/clone")):
        headers = {"Idempotency-Key": f"k-{n}"}
        body = BODY if n == 0 else {}
        with monkeypatch.context() as patch:
            patch.setattr(api.store.idempotency, "put", crash)
            assert (await api.admin.post(path, json=body, headers=headers)).status_code == 500
        again = await api.admin.post(path, json=body, headers=headers)
        assert again.status_code == 201
        assert await n_tasks(api) == 2 + n
        assert (await api.admin.get(f"/tasks/{again.json()['id']}")).json() == again.json()


async def test_an_id_of_the_callers_choice_does_not_hide_what_was_made_before_a_crash(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(key: str, reply: StoredReply) -> None:
        raise RuntimeError("the server died here")

    body, headers = {**BODY, "id": "c" * 32}, {"Idempotency-Key": "k"}
    with monkeypatch.context() as patch:
        patch.setattr(api.store.idempotency, "put", crash)
        assert (await api.admin.post("/tasks", json=body, headers=headers)).status_code == 500
    other = {**body, "name": "another"}
    assert (await api.admin.post("/tasks", json=other, headers=headers)).status_code == 409
    again = await api.admin.post("/tasks", json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (201, "c" * 32)
    assert await n_tasks(api) == 1


async def test_queues_and_projects_honour_keys_too(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    for path in ("/queues", "/projects"):
        at = {"json": {"name": "x"}, "headers": {"Idempotency-Key": f"k{path}"}}
        assert [(await api.admin.post(path, **at)).status_code for _ in range(2)] == [201, 201]
    assert headers


@pytest.mark.parametrize("key", ["has space", "x" * 256])
async def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    answer = await api.admin.post("/tasks", json=BODY, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")
