"""What a running attempt sends: start, frames, renewals, hand-over."""

import asyncio
import hashlib

import pytest

from dray.runtime.records import STREAMS, Chunk, Frame, encode_record
from tests.unit.api.conftest import Api
from tests.waiting import wait_until

OFFSETS = dict.fromkeys(STREAMS, 0)


async def test_a_local_start_gives_a_lease_and_a_token_for_that_attempt(api: Api) -> None:
    task = await api.draft()
    body = {"agent": "local:laptop", "node": "laptop", "claim_id": "c-1"}
    started = (await api.admin.post(f"/tasks/{task.id}/start", json=body)).json()
    assert (started["epoch"], started["lease_ttl_s"]) == (1, 30.0)
    assert (started["task"]["state"], started["task"]["phase"]) == ("running", "executing")
    own = api.connect(started["token"])
    assert (await own.post(f"/tasks/{task.id}/attempts/1/renew", json={})).status_code == 200
    again = (await api.admin.post(f"/tasks/{task.id}/start", json=body)).json()
    assert (again["epoch"], again["token"]) == (1, started["token"])
    other = await api.admin.post(f"/tasks/{task.id}/start", json={**body, "claim_id": "c-2"})
    assert (other.status_code, other.json()["code"]) == (409, "illegal_transition")


async def test_a_frame_is_taken_in_once(api: Api) -> None:
    task = await api.running()
    record = encode_record("scalar", 1.0, title="loss", series="train", i=1, v=0.5)
    frame = Frame([Chunk("stdout", 0, b"hello\n"), Chunk("records", 0, record)], executing=True)
    for _ in range(2):
        reply = (await api.send(task.id, frame)).json()
        assert reply["offsets"] == OFFSETS | {"stdout": 6, "records": len(record)}
        assert (reply["state"], reply["phase"], reply["stop"]) == ("running", "executing", None)
        assert reply["lease_ttl_s"] == 30.0
    read = (await api.admin.get(f"/tasks/{task.id}")).json()
    assert read["metrics"]["loss"]["train"]["n_points"] == 1


async def test_a_gap_is_refused_with_the_offset_that_is_expected(api: Api) -> None:
    task = await api.running()
    await api.send(task.id, Frame([Chunk("stdout", 0, b"abc")]))
    answer = await api.send(task.id, Frame([Chunk("stdout", 9, b"xyz")]))
    assert (answer.status_code, answer.json()["code"]) == (409, "offset_mismatch")
    assert answer.json()["expected"] == OFFSETS | {"stdout": 3}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no newline",
        b"{}\n",
        b'{"chunks": [{"stream": "stdin", "offset": 0, "n_bytes": 0}]}\n',
        b'{"chunks": []}\nleft over',
        b"[1]\n",
        b"\xff\xfe\n",
    ],
)
async def test_what_is_no_frame_is_refused(api: Api, body: bytes) -> None:
    task = await api.running()
    answer = await api.admin.post(f"/tasks/{task.id}/attempts/1/frames", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


async def test_an_attempt_that_is_over_is_told_so(api: Api) -> None:
    task = await api.running()
    for epoch in (0, 2, 2**31 - 1):
        answer = await api.send(task.id, Frame([Chunk("stdout", 0, b"x")]), epoch)
        assert (answer.status_code, answer.json()["code"]) == (409, "stale_epoch"), epoch
    path = f"/tasks/{task.id}/attempts/2/renew"
    assert (await api.admin.post(path, json={})).json()["code"] == "stale_epoch"


@pytest.mark.parametrize("wait_s", [b"NaN", b"Infinity", b"-1", b'"x"'])
async def test_a_time_to_wait_that_is_none_is_refused(api: Api, wait_s: bytes) -> None:
    task = await api.running()
    answer = await api.admin.post(
        f"/tasks/{task.id}/attempts/1/renew",
        content=b'{"wait_s": %s}' % wait_s,
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "wait_s")


async def test_a_finish_closes_the_attempt_with_its_receipt(api: Api) -> None:
    task = await api.running()
    data = b"bye\n"
    finish = {
        "cause": {"kind": "exit_code", "message": "exited with code 0", "exit_code": 0},
        "receipt": {"stdout": {"n_bytes": 4, "sha256": hashlib.sha256(data).hexdigest()}},
    }
    reply = await api.send(task.id, Frame([Chunk("stdout", 0, data)], finish=finish))
    assert (reply.status_code, reply.json()["state"]) == (200, "completed")
    read = (await api.admin.get(f"/tasks/{task.id}")).json()
    assert read["attempt"]["receipt"]["stdout"]["exact"] is True
    late = await api.send(task.id, Frame([Chunk("stdout", 4, b"more")]))
    assert late.json()["code"] == "stale_epoch"


async def test_a_stop_request_comes_with_the_next_reply(api: Api) -> None:
    task = await api.running()
    await api.admin.post(f"/tasks/{task.id}/abort", json={"reason": "enough"})
    path = f"/tasks/{task.id}/attempts/1/renew"
    for reply in (
        (await api.send(task.id, Frame())).json(),
        (await api.admin.post(path, json={"wait_s": 60})).json(),
    ):
        assert reply["phase"] == "stopping"
        assert reply["stop"]["message"] == "enough"


async def test_a_renewal_without_waiting_answers_at_once(api: Api) -> None:
    task = await api.running()
    await api.send(task.id, Frame([Chunk("stderr", 0, b"12345")]))
    reply = (await api.admin.post(f"/tasks/{task.id}/attempts/1/renew", json={})).json()
    assert reply["offsets"] == OFFSETS | {"stderr": 5}
    assert (reply["state"], reply["phase"], reply["stop"]) == ("running", "preparing", None)


async def test_a_renewal_that_waits_when_the_end_comes_is_no_late_write(api: Api) -> None:
    task = await api.running()
    path = f"/tasks/{task.id}/attempts/1/renew"
    waiting = asyncio.create_task(api.admin.post(path, json={"wait_s": 60}))
    await asyncio.to_thread(wait_until, lambda: api.app.state.context.hub.n_watchers)
    cause = {"kind": "exit_code", "message": "exited with code 0", "exit_code": 0}
    await api.send(task.id, Frame([], finish={"cause": cause, "receipt": {}}))
    assert (await waiting).json()["code"] == "stale_epoch"
    assert api.store.fencing.n_refused == 0
    await api.admin.post(path, json={})
    assert api.store.fencing.n_refused == 1


async def test_a_local_run_moves_into_a_queue(api: Api) -> None:
    task = await api.draft()
    await api.store.queues.create("gpu")
    body = {"agent": "local:laptop", "claim_id": "c"}
    started = (await api.admin.post(f"/tasks/{task.id}/start", json=body)).json()
    own = api.connect(started["token"])
    body = {
        "epoch": 1,
        "queue": "gpu",
        "execution": {"snapshot": "ab" * 32},
        "parameters": {"Args/lr": {"value": "1", "type": "int"}},
        "receipt": {"stdout": {"n_bytes": 0, "sha256": hashlib.sha256().hexdigest()}},
    }
    for _ in range(2):
        answer = await own.post(f"/tasks/{task.id}/hand-over", json=body)
        assert answer.status_code == 200
        moved = answer.json()["task"]
        assert (moved["state"], moved["queue"], moved["epoch"]) == ("pending", "gpu", 1)
        assert moved["execution"]["snapshot"] == "ab" * 32
        assert moved["parameters"]["Args/lr"]["value"] == "1"
    unknown = await own.post(f"/tasks/{task.id}/hand-over", json={**body, "queue": "tpu"})
    assert (unknown.status_code, unknown.json()["queues"]) == (404, ["gpu"])


async def test_a_hand_over_of_an_attempt_that_is_over_is_refused(api: Api) -> None:
    task = await api.running()
    body = {"epoch": 7, "queue": "gpu"}
    answer = await api.admin.post(f"/tasks/{task.id}/hand-over", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "stale_epoch")
