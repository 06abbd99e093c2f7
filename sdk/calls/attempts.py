"""Calls an attempt makes: start, ship frames, renew, hand over, report."""

from __future__ import annotations

from typing import Any

from dray.runtime.answers import Enqueued, FrameReply, Started
from dray.runtime.codec import to_json
from dray.runtime.records import FRAME_TYPE, Frame, encode_frame
from dray.sdk.http.call import Call, as_, as_nothing, at

#: A renewal that is not answered by then is tried again: the fence leaves room for few tries.
RENEW_TIMEOUT_S = 5.0


def start(
    task_id: str,
    *,
    agent: str,
    node: str,
    claim_id: str,
    initial_iteration: int | None = None,
) -> Call[Started]:
    """Begin a run started by hand; the same ``claim_id`` is answered again.

    A failed or aborted task goes on, counting its iterations from ``initial_iteration``,
    or from the last one reported plus one.
    """
    body: dict[str, Any] = {"agent": agent, "node": node, "claim_id": claim_id}
    if initial_iteration is not None:
        body["initial_iteration"] = initial_iteration
    return Call("POST", at("tasks", task_id, "start"), as_(Started), body=body, idempotent=True)


def hand_over(
    task_id: str,
    *,
    epoch: int,
    queue: str,
    execution: Any = None,
    parameters: Any = None,
    policy: Any = None,
    receipt: Any = None,
) -> Call[Enqueued]:
    """Move a run started by hand to a queue: its attempt ends, an agent goes on.

    A partial ``execution`` and ``parameters`` by flat name are merged into the task,
    ``policy`` replaces the task's; ``receipt`` maps each stream to ``{"n_bytes", "sha256"}``
    of what the local run wrote.
    """
    body: dict[str, Any] = {"epoch": epoch, "queue": queue}
    given = {
        "execution": execution,
        "parameters": parameters,
        "policy": policy,
        "receipt": receipt,
    }
    body.update({name: to_json(value) for name, value in given.items() if value is not None})
    path = at("tasks", task_id, "hand-over")
    return Call("POST", path, as_(Enqueued), body=body, idempotent=True)


def send_frame(task_id: str, epoch: int, frame: Frame) -> Call[FrameReply]:
    """Ship bytes of an attempt; not repeated here, the shipper keeps its own pace."""
    return Call(
        "POST",
        at("tasks", task_id, "attempts", str(epoch), "frames"),
        as_(FrameReply),
        body=encode_frame(frame),
        headers={"Content-Type": FRAME_TYPE},
        idempotent=True,
        retries=0,
    )


def renew(task_id: str, epoch: int, *, wait_s: float = 0.0) -> Call[FrameReply]:
    """Renew the lease; waits up to ``wait_s`` for a request to stop."""
    return Call(
        "POST",
        at("tasks", task_id, "attempts", str(epoch), "renew"),
        as_(FrameReply),
        body={"wait_s": wait_s},
        idempotent=True,
        retries=0,
        timeout_s=RENEW_TIMEOUT_S,
        extra_timeout_s=wait_s,
    )


def report(task_id: str, lines: bytes) -> Call[None]:
    """Report about a task from outside its run.

    Args:
        task_id: whole id.
        lines: records, one a line, as in a spool; blobs of media are uploaded already.

    Raises:
        NotEditable: the task is published.
        InvalidInput: a line that is no scalar, single, text, plot or media record.
    """
    return Call("POST", at("tasks", task_id, "reports"), as_nothing, body=lines)


def offsets(task_id: str, epoch: int) -> Call[dict[str, int]]:
    """Bytes of each stream of an attempt that the server has."""
    return Call("GET", at("tasks", task_id, "attempts", str(epoch), "offsets"), dict[str, int])
