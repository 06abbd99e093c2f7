"""The asynchronous client is the blocking one, awaited: same calls, same errors, every route."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from dray.runtime.environments import EnvironmentRequest
from dray.runtime.errors import InvalidInput, NotFound, ServerUnreachable
from dray.runtime.records import Frame
from dray.runtime.states import State
from dray.sdk.async_client import AsyncClient
from dray.sdk.calls import admin, attempts, blobs, environments, models, results, tasks
from dray.sdk.client import Client
from dray.sdk.http.call import Call
from tests.unit.sdk.live import TOKEN, Live

#: What comes or goes piece by piece: method and path, as both clients ask for it.
STREAMED = {
    ("GET", "/tasks/{id}/console/follow"),
    ("GET", "/tasks/{id}/console/raw"),
    ("GET", "/tasks/{id}/artifacts/{name}/content"),
    ("GET", "/blobs/{sha256}"),
    ("PUT", "/blobs/{sha256}"),
    ("GET", "/blobs/batch"),
    ("GET", "/server/backup"),
}
#: Fetched by the address an answer gave, with ``download_path``.
BY_ADDRESS = {
    ("GET", "/models/{id}/content"),
    ("GET", "/tasks/{id}/media/{seq}/{filename}"),
}
#: For people and for load balancers: no client asks.
NOT_FOR_CLIENTS = {("GET", "/tasks/{id}/console/text"), ("GET", "/readyz")}

ARGUMENTS: dict[str, Any] = {
    "agent": "a",
    "claim_id": "c",
    "contents": {"0" * 64: b""},
    "defaults": {"environment_manager": "pip"},
    "epoch": 1,
    "filter": {},
    "frame": Frame([]),
    "key": "k",
    "kind": "input",
    "lines": b"",
    "members": {"name": "n"},
    "model_id": "m",
    "name": "n",
    "node": "h",
    "outcome": "completed",
    "project": "p",
    "queue": "q",
    "reason": "r",
    "request": EnvironmentRequest("t"),
    "series": "s",
    "sha256": ["0" * 64],
    "source": Path(__file__),
    "task_id": "t",
    "title": "t",
}


def public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")}


def first_call(function: Any) -> Call[Any]:
    wanted = inspect.signature(function).parameters.values()
    needed = {p.name: ARGUMENTS[p.name] for p in wanted if p.default is p.empty and p.kind < 2}
    named = {p.name: ARGUMENTS[p.name] for p in wanted if p.default is p.empty and p.kind == 3}
    if function is blobs.send_in_pieces:
        needed["sha256"] = "0" * 64
    made = function(**needed, **named)
    return made if isinstance(made, Call) else next(made)


def builders() -> list[Any]:
    return [
        function
        for module in (admin, attempts, blobs, environments, models, results, tasks)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
        if str(function.__annotations__["return"]).startswith(("Call[", "Conversation["))
    ]


def test_both_clients_have_the_same_methods() -> None:
    assert public(Client) == public(AsyncClient)


@pytest.mark.parametrize("function", builders(), ids=lambda f: f.__name__)
def test_every_call_is_a_method_of_both_with_the_words_it_was_written_with(function: Any) -> None:
    if function is blobs.send_in_pieces:
        return  # put_blob sends so what is large
    for cls in (Client, AsyncClient):
        method = getattr(cls, function.__name__)
        assert method.__doc__ == function.__doc__
        assert inspect.iscoroutinefunction(method) == (cls is AsyncClient)


def test_every_route_of_the_server_is_covered(live: Live) -> None:
    request = Request(f"{live.url}/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"})
    with urlopen(request) as answer:
        schema = json.load(answer)
    routes = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, operations in schema["paths"].items()
        for method in operations
    }
    asked = [first_call(function) for function in builders()]
    asked.append(Call("PATCH", f"/blobs/{'0' * 64}/part", lambda a: a))

    def is_asked(method: str, path: str) -> bool:
        pattern = re.sub(r"\{[^}]*\}", "[^/]+", path)
        return any(c.method == method and re.fullmatch(pattern, c.path) for c in asked)

    left = {route for route in routes if not is_asked(*route)}
    assert left == STREAMED | BY_ADDRESS | NOT_FOR_CLIENTS


async def test_tasks_are_made_found_and_moved(live: Live) -> None:
    async with AsyncClient(live.url, TOKEN) as client:
        made = await client.create_task("proj", "one", tags=["x"])
        assert (await client.get_task(made.id[:8])).name == "one"
        await asyncio.gather(*(client.create_task("proj", f"n{i}") for i in range(5)))
        names = {task.name async for task in client.iter_tasks(project="proj", page_size=2)}
        assert names == {"one", "n0", "n1", "n2", "n3", "n4"}
        assert {p.name for p in await client.list_projects()} == {"proj"}


async def test_a_wait_ends_when_the_task_does(live: Live) -> None:
    async with AsyncClient(live.url, TOKEN) as client:
        made = await client.create_task("proj", "one")
        started = await client.start(made.id, agent="local:here", node="here", claim_id="c")
        waiting = asyncio.create_task(client.wait(made.id))
        await client.mark(made.id, "completed")
        assert (await waiting).state is State.COMPLETED
        assert started.epoch == 1


async def test_a_wait_gives_up_when_its_time_is_over(live: Live) -> None:
    async with AsyncClient(live.url, TOKEN) as client:
        made = await client.create_task("proj", "one")
        assert (await client.wait(made.id, timeout=0.05)).state is State.DRAFT


async def test_the_servers_refusals_are_raised_as_what_they_are(live: Live) -> None:
    async with AsyncClient(live.url, TOKEN) as client:
        with pytest.raises(NotFound, match="f" * 32):
            await client.get_task("f" * 32)
        with pytest.raises(InvalidInput):
            await client.create_task("", "")


async def test_no_server_is_said_so() -> None:
    async with AsyncClient("http://127.0.0.1:9", TOKEN, retries=0) as client:
        with pytest.raises(ServerUnreachable, match="dray up"):
            await client.server_info()


async def test_blobs_travel_small_and_in_pieces(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "PIECE_BYTES", 1 << 16)
    large = tmp_path / "large"
    large.write_bytes(os.urandom(200_000))
    async with AsyncClient(live.url, TOKEN) as client:
        small = await client.put_blob(b"small")
        seen: list[int] = []
        address = await client.put_blob(large, on_progress=seen.append)
        assert seen[-1] == 200_000
        assert await client.read_blob(small) == b"small"
        fetched = await client.get_blob(address, tmp_path / "back")
        assert fetched.read_bytes() == large.read_bytes()
        assert await client.missing_blobs([small, "0" * 64]) == ["0" * 64]


async def test_a_console_is_followed_to_its_end(live: Live) -> None:
    async with AsyncClient(live.url, TOKEN) as client:
        made = await client.create_task("proj", "one")
        await client.start(made.id, agent="local:here", node="here", claim_id="c")
        await client.mark(made.id, "completed")
        async with aclosing(client.follow_console(made.id)) as pieces:
            assert [piece async for piece in pieces] == []


async def test_a_call_that_is_cancelled_leaves_the_client_usable(live: Live) -> None:
    async with AsyncClient(live.url, TOKEN) as client:
        made = await client.create_task("proj", "one")
        waiting = asyncio.create_task(client.wait(made.id))
        await client.get_task(made.id)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await client.get_task(made.id)).id == made.id
