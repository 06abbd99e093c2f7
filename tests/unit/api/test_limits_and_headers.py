"""What holds for every request: body limits, host check, security headers, health, the page."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dray.api import app as api_app
from dray.api import middleware
from dray.api.app import create_app
from dray.api.hub import Hub
from dray.api.orchestrator import Detached
from dray.runtime import records
from dray.runtime.config import Settings
from tests.unit.api.conftest import TOKEN, Api


async def in_blocks(n_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(n_bytes >> 16):
        yield bytes(1 << 16)


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/tasks", middleware.BODY_LIMIT_BYTES),
        ("POST", "/tasks/{id}/attempts/1/frames", 16 << 20),
        ("PUT", "/blobs/" + "0" * 64, 8 << 20),
    ],
)
async def test_a_body_over_the_limit_is_refused_whether_told_or_not(
    api: Api, method: str, path: str, limit: int
) -> None:
    at = path.format(id=(await api.running()).id)
    headers = {"Content-Type": "application/json"}
    for content in (bytes(limit + 1), in_blocks(limit + (1 << 16))):
        answer = await api.admin.request(method, at, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert answer.json()["limit_bytes"] == limit
    assert not list((api.settings.home / "blobs").rglob("0" * 64))


async def test_a_frame_may_be_larger_than_other_bodies(api: Api) -> None:
    task = await api.running()
    data = b"x" * (middleware.BODY_LIMIT_BYTES + 1)
    frame = records.Frame([records.Chunk("stdout", 0, data)])
    assert (await api.send(task.id, frame)).json()["offsets"]["stdout"] == len(data)


@pytest.mark.parametrize("length", ["-1", "many", "1e3"])
async def test_a_length_that_is_no_number_is_refused(api: Api, length: str) -> None:
    answer = await api.admin.post("/tasks", content=b"{}", headers={"Content-Length": length})
    assert (answer.status_code, answer.json()["field"]) == (422, "Content-Length")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8262", "[::1]:8262", "a.localhost"])
async def test_this_machines_names_are_served(api: Api, host: str) -> None:
    assert (await api.admin.get("/server", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8262", "10.0.0.1", ""])
async def test_a_name_that_was_bent_to_loopback_is_refused(api: Api, host: str) -> None:
    answer = await api.admin.get("/server", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_server_for_other_machines_is_known_by_any_name(
    api: Api, settings: Settings
) -> None:
    app = create_app(api.store, replace(settings, host="0.0.0.0"), Detached(), Hub(), token=TOKEN)
    stack = [item.cls for item in app.user_middleware]
    assert middleware.LoopbackHosts not in stack
    assert middleware.TokenRequired in stack


async def test_every_answer_carries_the_security_headers(api: Api) -> None:
    for path in ("/server", "/nothing", "/tasks/beef"):
        headers = (await api.admin.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
    preflight = await api.admin.options("/tasks", headers={"Origin": "http://evil.example"})
    assert preflight.status_code == 405


async def test_health_needs_no_token(api: Api) -> None:
    nobody = api.connect("", base="")
    assert (await nobody.get("/healthz")).json() == {"status": "ok"}
    assert (await nobody.get("/readyz")).json() == {"status": "ready", "storage": "plenty"}


async def test_a_server_whose_store_does_not_answer_is_not_ready(api: Api) -> None:
    await api.store.close()
    nobody = api.connect("", base="")
    assert (await nobody.get("/healthz")).status_code == 200
    answer = await nobody.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unusable")


async def test_the_server_describes_itself(api: Api) -> None:
    told = (await api.admin.get("/server")).json()
    assert told["home"] == str(api.settings.home)
    assert told["url"] == "http://127.0.0.1:8262"
    assert told["version"]
    assert told["started_at"] > 0
    assert told["components"] == [{"name": "scheduler", "state": "alive", "pid": 7, "restarts": 0}]


async def test_the_api_is_described(api: Api) -> None:
    document = (await api.connect("", base="").get("/openapi.json")).json()
    assert document["info"]["title"] == "Dray"
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation.get("description"), f"{method} {path} has no text"
    assert {"Task", "Attempt", "Queue", "NewTask"} <= set(document["components"]["schemas"])


async def test_the_page_is_served_with_nothing_inline(api: Api) -> None:
    nobody = api.connect("", base="")
    page = await nobody.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "<script>" not in page.text
    assert "style=" not in page.text
    for name, kind in (("app.js", "javascript"), ("style.css", "text/css")):
        assert f"/web/{name}" in page.text
        answer = await nobody.get(f"/web/{name}")
        assert (answer.status_code, kind in answer.headers["content-type"]) == (200, True)
    assert (await nobody.get("/web/..%2fapp.py")).status_code == 404


def test_the_page_puts_what_users_wrote_on_it_as_text_only() -> None:
    scripts = sorted((Path(api_app.__file__).parent / "web").glob("*.js"))
    assert len(scripts) >= 3
    for script in scripts:
        text = script.read_text()
        for way_in in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way_in not in text, f"{script.name} uses {way_in}"
