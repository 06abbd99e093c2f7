"""The console: in pieces, by stream, and byte for byte."""

import pytest

from dray.runtime.records import Chunk, Frame
from tests.unit.api.conftest import Api


async def written(api: Api) -> str:
    """A running task that has written to both streams."""
    task = await api.running()
    await api.send(task.id, Frame([Chunk("stdout", 0, b"one\n")]))
    await api.send(task.id, Frame([Chunk("stderr", 0, b"oops\n"), Chunk("stdout", 4, b"two\n")]))
    return task.id


async def test_pieces_come_in_order_and_go_on_after_a_place(api: Api) -> None:
    id = await written(api)
    page = (await api.admin.get(f"/tasks/{id}/console")).json()
    assert sorted(piece["text"] for piece in page["pieces"]) == ["one\n", "oops\n", "two\n"]
    assert page["pieces"][0]["text"] == "one\n"
    assert page["next"] == page["pieces"][-1]["seq"]
    params = {"after": page["pieces"][0]["seq"]}
    rest = (await api.admin.get(f"/tasks/{id}/console", params=params)).json()
    assert rest["pieces"] == page["pieces"][1:]


async def test_one_stream_and_the_tail_can_be_asked_for(api: Api) -> None:
    id = await written(api)
    page = (await api.admin.get(f"/tasks/{id}/console", params={"stream": "stderr"})).json()
    assert [piece["text"] for piece in page["pieces"]] == ["oops\n"]
    params = {"stream": "stdout", "tail_bytes": 2}
    page = (await api.admin.get(f"/tasks/{id}/console", params=params)).json()
    assert [piece["text"] for piece in page["pieces"]] == ["two\n"]


async def test_a_console_is_closed_when_all_of_an_ended_task_was_read(api: Api) -> None:
    id = await written(api)
    page = (await api.admin.get(f"/tasks/{id}/console")).json()
    after = {"after": page["next"]}
    assert (await api.admin.get(f"/tasks/{id}/console", params=after)).json()["closed"] is False
    await api.admin.post(f"/tasks/{id}/mark", json={"outcome": "completed"})
    last = (await api.admin.get(f"/tasks/{id}/console", params=after)).json()
    assert last == {"pieces": [], "next": page["next"], "closed": True}


async def test_raw_bytes_are_what_was_written(api: Api) -> None:
    id = await written(api)
    answer = await api.admin.get(f"/tasks/{id}/console/raw")
    assert (answer.status_code, answer.content) == (200, b"one\ntwo\n")
    assert answer.headers["content-type"] == "application/octet-stream"
    other = await api.admin.get(f"/tasks/{id}/console/raw", params={"stream": "stderr", "epoch": 1})
    assert other.content == b"oops\n"


@pytest.mark.parametrize(
    ("asked", "status", "content", "told"),
    [
        ("bytes=4-", 206, b"two\n", "bytes 4-7/8"),
        ("bytes=0-2", 206, b"one", "bytes 0-2/8"),
        ("bytes=-2", 206, b"o\n", "bytes 6-7/8"),
        ("bytes=8-", 416, b"", "bytes */8"),
    ],
)
async def test_raw_bytes_come_in_ranges(
    api: Api, asked: str, status: int, content: bytes, told: str
) -> None:
    id = await written(api)
    answer = await api.admin.get(f"/tasks/{id}/console/raw", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, content)
    assert answer.headers["content-range"] == told


async def test_a_stream_nobody_wrote_is_not_found(api: Api) -> None:
    id = await written(api)
    answer = await api.admin.get(f"/tasks/{id}/console/raw", params={"stream": "prepare"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "query",
    [
        {"stream": "stdin"},
        {"after": -1},
        {"after": 2**63},
        {"limit_bytes": 0},
        {"tail_bytes": "all"},
    ],
)
async def test_what_cannot_be_asked_for_is_refused(api: Api, query: object) -> None:
    id = await written(api)
    answer = await api.admin.get(f"/tasks/{id}/console", params=query)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


@pytest.mark.parametrize("last", ["abc", "-1", "1.5", "9" * 30])
async def test_a_last_event_id_that_is_none_is_refused(api: Api, last: str) -> None:
    task = await api.draft()
    path = f"/tasks/{task.id}/console/follow"
    answer = await api.admin.get(path, headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.json()["field"]) == (422, "Last-Event-ID")
