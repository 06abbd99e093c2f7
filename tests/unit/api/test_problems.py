"""Errors: one form, a stable code, the field and the way out, and no internals."""

import httpx2
import pytest

from dray.api import problems
from dray.runtime import errors
from dray.runtime.errors import DrayError
from tests.unit.api.conftest import Api


def test_every_error_class_has_a_status() -> None:
    assert set(problems.STATUS_BY_CLASS) == set(errors.error_classes().values())


@pytest.mark.parametrize("kind", errors.error_classes().values(), ids=lambda k: k.code)
def test_an_error_is_told_with_its_code_details_and_request(kind: type[DrayError]) -> None:
    scope = {"type": "http", "state": {"request_id": "r-1"}}
    response = problems.answer(kind("it broke", hint="mend it", status="shadowed"), scope)
    body = httpx2.Response(response.status_code, content=response.body).json()
    assert response.media_type == "application/problem+json"
    assert body == {
        "type": f"urn:dray:error:{kind.code}",
        "title": kind.code.replace("_", " ").capitalize(),
        "status": problems.STATUS_BY_CLASS[kind],
        "code": kind.code,
        "detail": "it broke",
        "hint": "mend it",
        "request_id": "r-1",
    }


async def test_malformed_json_is_told_with_its_place(api: Api) -> None:
    answer = await api.admin.post(
        "/tasks", content=b'{"name": oops}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "malformed_json"
    assert "character 9" in answer.json()["detail"]


async def test_bytes_that_are_no_text_are_malformed_json(api: Api) -> None:
    answer = await api.admin.post(
        "/tasks", content=b'{"name": "\xff"}', headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"project": "p"}, "name"),
        ({"name": "n", "project": 7}, "project"),
        ({"name": "n", "project": "p", "type": "cooking"}, "type"),
        ({"name": "n", "project": "p", "tagz": []}, "tagz"),
        ({"name": "n", "project": "p", "execution": {"resources": {"gpus": "two"}}}, "gpus"),
        ({"name": " ", "project": "p"}, "name"),
        ({"name": "n", "project": "/"}, "project"),
        ({"name": "n", "project": "p", "id": "xyz"}, "id"),
        ({"name": "n", "project": "p", "execution": {"resources": {"gpus": -1}}}, "gpus"),
        ([], "body"),
    ],
)
async def test_invalid_input_names_the_field(api: Api, body: object, field: str) -> None:
    answer = await api.admin.post("/tasks", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_input")
    assert field in problem["field"]


async def test_half_a_character_is_invalid_input(api: Api) -> None:
    answer = await api.admin.post(
        "/tasks",
        content=b'{"name": "\\ud800", "project": "p"}',
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert "surrogate" in answer.json()["detail"]


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-1"])
async def test_an_amount_that_is_none_is_invalid_input(api: Api, amount: str) -> None:
    resources = b'{"resources": {"cpus": %s}}' % amount.encode()
    answer = await api.admin.post(
        "/tasks",
        content=b'{"name": "n", "project": "p", "execution": %s}' % resources,
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "resources.cpus")


async def test_a_long_invalid_value_is_cut_in_the_message(api: Api) -> None:
    answer = await api.admin.post("/tasks", json={"name": ["x" * 100_000], "project": "p"})
    assert answer.status_code == 422
    assert len(answer.content) < 3000


async def test_a_body_that_is_not_said_to_be_json_is_refused(api: Api) -> None:
    answer = await api.admin.post(
        "/tasks",
        content=b'{"name": "n", "project": "p"}',
        headers={"Content-Type": "text/plain"},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


async def test_an_unknown_route_is_not_found(api: Api) -> None:
    answer = await api.admin.get("/nothing/here")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "GET /api/v1/nothing/here" in answer.json()["detail"]


async def test_a_wrong_method_names_the_right_ones(api: Api) -> None:
    answer = await api.admin.put("/server", json={})
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


async def test_our_own_fault_tells_the_request_id_and_nothing_else(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api.store.queues, "list", broken)
    answer = await api.admin.get("/queues", headers={"X-Request-ID": "trace-me"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "trace-me"
    assert answer.json()["code"] == "error"
    assert "secret detail" not in answer.text


async def test_a_request_id_that_is_none_is_replaced(api: Api) -> None:
    answer = await api.admin.get("/queues", headers={"X-Request-ID": "a b<script>"})
    assert len(answer.headers["x-request-id"]) == 32
