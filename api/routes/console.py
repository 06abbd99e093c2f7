"""What the process wrote: in pieces, as it grows, and byte for byte."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from dray.api import auth, sse
from dray.api.addresses import API_PREFIX
from dray.api.byte_ranges import RangeResponse
from dray.api.context import Ctx
from dray.api.replies import json_reply
from dray.runtime import records
from dray.runtime.answers import ConsolePage
from dray.runtime.states import is_terminal

#: One answer's console text; a page of a browser, a screenful many times over.
DEFAULT_LIMIT_BYTES = 256 << 10
LIMIT_BYTES = 4 << 20

router = APIRouter(
    prefix=f"{API_PREFIX}/tasks/{{id}}/console", tags=["console"], dependencies=[auth.READS]
)
Stream = Literal["stdout", "stderr", "prepare"]


@router.get("", response_model=ConsolePage)
async def console(
    context: Ctx,
    task_id: auth.TaskId,
    after: Annotated[int, Query(ge=0, lt=1 << 63, description="`next` of the page before")] = 0,
    tail_bytes: Annotated[
        int | None, Query(ge=0, description="instead of `after`: about this much of the end")
    ] = None,
    stream: Annotated[Stream | None, Query(description="this one only")] = None,
    limit_bytes: Annotated[int, Query(ge=1, le=LIMIT_BYTES)] = DEFAULT_LIMIT_BYTES,
) -> Response:
    """Console pieces in order of arrival, over all streams and attempts of the task."""
    # The state first: what arrives between the two reads is told by the next page.
    head = await context.store.tasks.head(task_id)
    page = await context.store.console.pieces(
        task_id, after=after, tail_bytes=tail_bytes, stream=stream, limit_bytes=limit_bytes
    )
    closed = is_terminal(head.state) and not page.pieces
    return json_reply(ConsolePage(page.pieces, page.next, closed))


@router.get("/raw")
async def raw(
    context: Ctx,
    task_id: auth.TaskId,
    stream: Stream = records.STDOUT,
    epoch: Annotated[
        int | None, Query(ge=1, lt=1 << 31, description="the latest attempt's unless said")
    ] = None,
    range: Annotated[str, Header(description="`bytes=0-1023`, `bytes=1024-` or `bytes=-512`")] = "",
) -> Response:
    """The bytes of one stream of one attempt, exactly as the process wrote them."""
    if epoch is None:
        head = await context.store.tasks.head(task_id)
        epoch = head.epoch
    stored = await context.store.console.raw(task_id, epoch, stream)
    return RangeResponse(stored.path, stored.n_bytes, range)


@router.get("/follow", response_class=sse.EventSourceResponse)
async def follow(
    context: Ctx, task_id: auth.TaskId, after: sse.StartAfter
) -> AsyncIterator[sse.ServerSentEvent]:
    """The console as it grows: an event `piece` for each, then `closed` when the task has ended.

    The id of a piece is its `seq`; with `Last-Event-ID` a reader goes on where it was cut off.
    """
    with context.hub.watch(task_id, console=True) as watcher:
        while True:
            head = await context.store.tasks.head(task_id)
            page = await context.store.console.pieces(
                task_id, after=after, limit_bytes=DEFAULT_LIMIT_BYTES
            )
            for piece in page.pieces:
                yield sse.piece_event(piece)
            after = page.next
            if page.pieces:
                continue
            if is_terminal(head.state):
                yield sse.closed_event(head.state)
                return
            if not await watcher.wait():
                return
