"""What waits and what flows, over a real socket: pushed at the change, gone on after a cut."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest

from dray.runtime import causes
from dray.runtime.machine import Finish
from dray.runtime.records import Chunk, Frame
from tests.unit.api.conftest import BY, Api

#: Far above what a push takes and far below every time limit of the server's.
SOON_S = 5.0


@dataclass
class Event:
    name: str = ""
    id: str = ""
    data: str = ""


async def events(answer: httpx2.Response) -> AsyncIterator[Event]:
    event = Event()
    async for line in answer.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            event.name = value
        elif field == "id":
            event.id = value
        elif field == "data":
            event.data += value
        elif not line and event.name:
            yield event
            event = Event()


async def until_watched(api: Api, n: int = 1) -> None:
    """Wait until so many requests wait for a task."""

    async def watched() -> None:
        while api.hub.n_watchers != n:  # noqa: ASYNC110  (nobody tells who begins to wait)
            await asyncio.sleep(0.001)

    await asyncio.wait_for(watched(), SOON_S)


async def test_a_wait_ends_with_the_transition_and_asks_the_store_no_more_than_told(
    api: Api, socket_client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await api.running()
    reads = 0
    read_head = api.store.tasks.head

    async def counted(task_id: str) -> object:
        nonlocal reads
        reads += 1
        return await read_head(task_id)

    monkeypatch.setattr(api.store.tasks, "head", counted)
    path = f"/tasks/{task.id}/wait"
    waiting = asyncio.create_task(
        socket_client.get(path, params={"state": "completed", "timeout_s": 30})
    )
    await until_watched(api)
    reads_before_change = reads
    await api.store.tasks.apply(task.id, Finish(1, causes.exited(0)), BY)
    answer = await asyncio.wait_for(waiting, SOON_S)
    assert answer.json()["state"] == "completed"
    assert (reads_before_change, reads) == (1, 2)


async def test_a_wait_for_a_state_that_was_passed_ends_at_the_end(
    api: Api, socket_client: httpx2.AsyncClient
) -> None:
    task = await api.draft()
    waiting = asyncio.create_task(
        socket_client.get(f"/tasks/{task.id}/wait", params={"state": "completed"})
    )
    await until_watched(api)
    await api.store.queues.create("gpu")
    await api.admin.post(f"/tasks/{task.id}/enqueue", json={"queue": "gpu"})
    await api.admin.post(f"/tasks/{task.id}/abort")
    assert (await asyncio.wait_for(waiting, SOON_S)).json()["state"] == "aborted"


async def test_a_wait_for_a_task_that_is_deleted_ends(
    api: Api, socket_client: httpx2.AsyncClient
) -> None:
    task = await api.draft()
    waiting = asyncio.create_task(socket_client.get(f"/tasks/{task.id}/wait"))
    await until_watched(api)
    await api.admin.delete(f"/tasks/{task.id}")
    assert (await asyncio.wait_for(waiting, SOON_S)).status_code == 404


async def test_a_renewal_ends_with_the_request_to_stop(
    api: Api, socket_client: httpx2.AsyncClient
) -> None:
    task = await api.running()
    waiting = asyncio.create_task(
        socket_client.post(f"/tasks/{task.id}/attempts/1/renew", json={"wait_s": 30})
    )
    await until_watched(api)
    await api.admin.post(f"/tasks/{task.id}/abort", json={"reason": "enough"})
    reply = (await asyncio.wait_for(waiting, SOON_S)).json()
    assert (reply["phase"], reply["stop"]["message"]) == ("stopping", "enough")


async def test_a_renewal_ends_when_the_attempt_is_over(
    api: Api, socket_client: httpx2.AsyncClient
) -> None:
    task = await api.running()
    waiting = asyncio.create_task(
        socket_client.post(f"/tasks/{task.id}/attempts/1/renew", json={"wait_s": 30})
    )
    await until_watched(api)
    await api.end(task, causes.exited(1))
    answer = await asyncio.wait_for(waiting, SOON_S)
    assert (answer.status_code, answer.json()["code"]) == (409, "stale_epoch")


async def test_the_console_flows_and_ends_with_the_task(
    api: Api, socket_client: httpx2.AsyncClient
) -> None:
    task = await api.running()
    await api.send(task.id, Frame([Chunk("stdout", 0, b"one\n")]))
    path = f"/tasks/{task.id}/console/follow"
    async with socket_client.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        flow = events(answer)
        first = await asyncio.wait_for(anext(flow), SOON_S)
        assert (first.name, json.loads(first.data)["text"]) == ("piece", "one\n")
        await api.send(task.id, Frame([Chunk("stdout", 4, "zw\u00f6lf\n".encode())]))
        second = await asyncio.wait_for(anext(flow), SOON_S)
        assert json.loads(second.data)["text"] == "zw\u00f6lf\n"
        assert int(second.id) > int(first.id)
        await api.end(task)
        last = await asyncio.wait_for(anext(flow), SOON_S)
        assert (last.name, json.loads(last.data)) == ("closed", {"state": "completed"})
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(flow), SOON_S)


async def test_a_reader_goes_on_after_the_last_event_it_saw(
    api: Api, socket_client: httpx2.AsyncClient
) -> None:
    task = await api.running()
    for n, text in enumerate((b"a", b"b", b"c")):
        await api.send(task.id, Frame([Chunk("stdout", n, text)]))
    await api.end(task)
    path = f"/tasks/{task.id}/console/follow"
    async with socket_client.stream("GET", path) as answer:
        seen = [event async for event in events(answer)]
    assert [event.name for event in seen] == ["piece", "piece", "piece", "closed"]
    resumed = {"headers": {"Last-Event-ID": seen[0].id}, "params": {"after": "0"}}
    async with socket_client.stream("GET", path, **resumed) as answer:  # type: ignore[arg-type]
        assert [event async for event in events(answer)] == seen[1:]


async def test_a_reader_that_hangs_up_leaves_nothing_behind(
    api: Api, socket_client: httpx2.AsyncClient
) -> None:
    task = await api.running()
    async with socket_client.stream("GET", f"/tasks/{task.id}/console/follow"):
        await until_watched(api)
    await until_watched(api, 0)


async def test_a_server_that_goes_down_ends_streams_and_waits(
    api: Api, socket_client: httpx2.AsyncClient
) -> None:
    task = await api.running()
    waiting = asyncio.create_task(socket_client.get(f"/tasks/{task.id}/wait"))
    async with socket_client.stream("GET", f"/tasks/{task.id}/console/follow") as answer:
        await until_watched(api, 2)
        api.hub.close()
        assert [event async for event in events(answer)] == []
    assert (await asyncio.wait_for(waiting, SOON_S)).json()["state"] == "running"
