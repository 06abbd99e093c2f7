"""What a running attempt sends: its start, frames of its spool, lease renewals, its hand-over."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from dray.api import auth, bodies, problems, queueing
from dray.api.addresses import API_PREFIX
from dray.api.context import Context, Ctx
from dray.api.replies import json_reply
from dray.runtime import records, tokens
from dray.runtime.answers import Enqueued, FrameReply, Started
from dray.runtime.errors import StaleEpoch
from dray.runtime.machine import Head
from dray.runtime.models import StreamReceipt
from dray.runtime.states import Phase

router = APIRouter(prefix=f"{API_PREFIX}/tasks/{{id}}", tags=["attempts"])
_FRAME_BODY = bodies.raw(records.FRAME_TYPE)


@router.post("/start")
async def start(
    body: bodies.StartBody, context: Ctx, task_id: auth.TaskId, by: auth.TaskWriter
) -> Started:
    """Begin a run by hand: a lease, and a token that may write for this attempt alone.

    A failed or aborted task goes on: its outputs stay, its iterations count further.
    Repeated with the same `claim_id`, it is answered again.
    """
    given = await context.store.attempts.start_local(
        task_id,
        body.agent,
        body.node,
        body.claim_id,
        context.settings.lease_ttl_s,
        by,
        initial_iteration=body.initial_iteration,
    )
    token = tokens.mint_task_token(context.token, task_id, given.epoch)
    return Started(given.task, given.epoch, token, given.lease_ttl_s)


@router.post("/attempts/{epoch}/frames", response_model=FrameReply, openapi_extra=_FRAME_BODY)
async def frames(
    request: Request,
    context: Ctx,
    task_id: auth.AttemptsTaskId,
    epoch: auth.Epoch,
    by: auth.AttemptWriter,
) -> Response:
    """Take bytes of the attempt's streams, each once, and renew its lease.

    The body is one frame: a JSON header line, then the bytes of its chunks. An overlap is
    skipped; a gap is refused with the offset that is expected.
    """
    frame = records.decode_frame(await request.body())
    reply = await context.store.ingest.accept(task_id, epoch, frame, by)
    if reply.n_console_bytes:
        context.hub.console_grew(task_id)
    return json_reply(
        FrameReply(reply.offsets, reply.phase, reply.stop, reply.lease_ttl_s, reply.state)
    )


@router.post("/attempts/{epoch}/renew", response_model=FrameReply)
async def renew(
    body: bodies.RenewBody,
    request: Request,
    context: Ctx,
    task_id: auth.AttemptsTaskId,
    epoch: auth.Epoch,
    by: auth.AttemptWriter,
) -> Response:
    """Renew the lease, then wait up to `wait_s` for a request to stop."""
    _ = by
    wait_s = min(body.wait_s, context.settings.heartbeat_s)
    deadline = context.clock.monotonic() + wait_s
    with context.hub.watch(task_id) as watcher:
        head = await _renewed(context, task_id, epoch)
        while not _is_stopping(head):
            left = deadline - context.clock.monotonic()
            if left <= 0 or not await watcher.wait(left):
                break
            try:
                head = await _renewed(context, task_id, epoch)
            except StaleEpoch as exc:
                # Asked while the attempt was open, it is no late write and does not count as one.
                return problems.answer(exc, request.scope)
    found = await context.store.results.offsets(task_id, epoch)
    offsets = {stream: found.get(stream, 0) for stream in records.STREAMS}
    stop = head.cause if _is_stopping(head) else None
    ttl_s = context.settings.lease_ttl_s
    return json_reply(FrameReply(offsets, head.phase, stop, ttl_s, head.state))


@router.post("/hand-over")
async def hand_over(
    body: bodies.HandOverBody, context: Ctx, task_id: auth.TaskId, by: auth.HandingOver
) -> Enqueued:
    """Move a run started by hand into a queue: its attempt ends, an agent goes on.

    Repeated with the same `epoch`, it is answered again.
    """
    await auth.check_epoch(context, by, body.epoch)
    await queueing.check_queue(context, body.queue)
    receipt = {
        name: StreamReceipt(end.n_bytes, end.sha256) for name, end in (body.receipt or {}).items()
    }
    await context.store.attempts.hand_over(
        task_id,
        body.epoch,
        body.queue,
        by,
        execution=body.execution,
        parameters=body.parameters,
        policy=body.policy,
        receipt=receipt,
    )
    return await queueing.enqueued(context, await context.store.tasks.get(task_id))


async def _renewed(context: Context, task_id: str, epoch: int) -> Head:
    return await context.store.attempts.renew(task_id, epoch, context.settings.lease_ttl_s)


def _is_stopping(head: Head) -> bool:
    return head.phase is Phase.STOPPING
