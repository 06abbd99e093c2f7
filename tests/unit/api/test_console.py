"""The console: in pieces, by stream, and byte for byte."""

import json

import pytest

from dray.runtime import records
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
    await api.end(await api.store.tasks.get(id))
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


async def test_text_is_what_a_terminal_shows(api: Api) -> None:
    task = await api.running()
    bar = b"".join(b"\r%3d%%" % n for n in range(0, 101, 10))
    await api.send(task.id, Frame([Chunk("stdout", 0, b"\x1b[32mgo\x1b[0m\n" + bar)]))
    await api.send(task.id, Frame([Chunk("stdout", 5000, b"\nend", skipped=5000 - 12 - len(bar))]))
    answer = await api.admin.get(f"/tasks/{task.id}/console/text")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "go\n100%\n[4.9 kB not stored]\n\nend\n"
    params = {"colours": True, "format": "jsonl", "stream": "stdout"}
    lines = (await api.admin.get(f"/tasks/{task.id}/console/text", params=params)).text
    first = json.loads(lines.splitlines()[0])
    assert (first["epoch"], first["stream"]) == (1, "stdout")
    assert first["text"] == "\x1b[32mgo\x1b[0m"


async def test_text_is_bounded_to_the_end(api: Api) -> None:
    task = await api.running()
    for n in range(8):
        await api.send(task.id, Frame([Chunk("stdout", n * 5, b"%04d\n" % n)]))
    path = f"/tasks/{task.id}/console/text"
    assert (await api.admin.get(path, params={"tail_bytes": 8})).text == "0006\n0007\n"
    assert (await api.admin.get(path, params={"tail_bytes": 2 << 20})).status_code == 422


async def test_bytes_that_are_no_text_survive_the_round_trip(api: Api) -> None:
    """Invalid UTF-8, NUL bytes and lone surrogates: replaced in text, never in raw."""
    task = await api.running()
    written = bytes(range(256)) + b"\x00\x00\xed\xa0\x80 \xff\xfe \xf0\x9f\x98\n"
    for at in range(0, len(written), 7):
        await api.send(task.id, Frame([Chunk("stdout", at, written[at : at + 7])]))
    raw = await api.admin.get(f"/tasks/{task.id}/console/raw")
    assert raw.content == written
    assert "Dray-Gaps" not in raw.headers
    pieces = (await api.admin.get(f"/tasks/{task.id}/console")).json()["pieces"]
    text = "".join(piece["text"] for piece in pieces)
    assert text == written.decode("utf-8", "replace")
    shown = (await api.admin.get(f"/tasks/{task.id}/console/text")).text
    assert "\ufffd" in shown
    assert "\x00" not in shown


async def test_raw_bytes_leave_gaps_out_and_say_so(api: Api) -> None:
    task = await api.running()
    await api.send(task.id, Frame([Chunk("stdout", 0, b"one\n")]))
    await api.send(task.id, Frame([Chunk("stdout", 1000, b"two\n", skipped=996)]))
    path = f"/tasks/{task.id}/console/raw"
    answer = await api.admin.get(path)
    assert (answer.content, answer.headers["Dray-Gaps"]) == (b"one\ntwo\n", "4-999")
    part = await api.admin.get(path, headers={"Range": "bytes=4-"})
    assert (part.status_code, part.content) == (206, b"two\n")


@pytest.mark.parametrize(
    ("epoch", "chunk", "status", "code"),
    [
        (2, Chunk("stdout", 0, b"x"), 409, "stale_epoch"),
        (1, Chunk("stdout", 9, b"x"), 409, "offset_mismatch"),
        (1, Chunk("stdout", 12, b"x", skipped=3), 409, "offset_mismatch"),
        (1, Chunk("stdout", 3, b"x", skipped=4), 422, "invalid_input"),
        (1, Chunk("records", 9, b"x", skipped=5), 422, "invalid_input"),
    ],
)
async def test_frames_that_do_not_fit_are_refused_with_the_reason(
    api: Api, epoch: int, chunk: Chunk, status: int, code: str
) -> None:
    """Wrong epoch, an offset beyond the end, a hole nobody stated, gaps that cannot be."""
    id = await written(api)
    answer = await api.send(id, Frame([chunk]), epoch)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    raw = await api.admin.get(f"/tasks/{id}/console/raw")
    assert raw.content == b"one\ntwo\n"


async def test_a_frame_for_another_task_is_forbidden(api: Api) -> None:
    id, other = await written(api), await api.running()
    stranger = api.as_task(other.id)
    answer = await stranger.post(
        f"/tasks/{id}/attempts/1/frames",
        content=records.encode_frame(Frame([Chunk("stdout", 8, b"mine now\n")])),
        headers={"Content-Type": records.FRAME_TYPE},
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
