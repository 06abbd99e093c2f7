"""What the process wrote: in pieces, as it grows, and byte for byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from starlette.responses import PlainTextResponse, Response

from dray.api import auth, sse
from dray.api.addresses import API_PREFIX
from dray.api.byte_ranges import RangeResponse
from dray.api.context import Ctx
from dray.api.replies import json_reply
from dray.runtime import records
from dray.runtime.answers import ConsolePage, ConsolePiece
from dray.runtime.codec import to_json
from dray.runtime.console_text import lines_of_pieces
from dray.runtime.states import is_terminal

#: One answer's console text; a page of a browser, a screenful many times over.
DEFAULT_LIMIT_BYTES = 256 << 10
LIMIT_BYTES = 4 << 20
#: Of text that is drawn; a terminal is slow work for a server.
TEXT_LIMIT_BYTES = 1 << 20

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


@router.get("/text", response_class=PlainTextResponse)
async def text(
    context: Ctx,
    task_id: auth.TaskId,
    tail_bytes: Annotated[
        int, Query(ge=1, le=TEXT_LIMIT_BYTES, description="about so much of the end is read")
    ] = DEFAULT_LIMIT_BYTES,
    stream: Annotated[Stream | None, Query(description="this one only")] = None,
    colours: Annotated[bool, Query(description="keep the escape sequences of colours")] = False,
    format: Annotated[
        Literal["text", "jsonl"],
        Query(description="`jsonl`: a JSON object a line with `epoch`, `stream`, `at`, `text`"),
    ] = "text",
) -> Response:
    """The end of the console as a terminal shows it, over all streams and attempts.

    Carriage returns and cursor moves are applied, so that a progress bar is one line. Where bytes
    are not stored, a line in brackets says how many.
    """
    page = await context.store.console.pieces(
        task_id, tail_bytes=tail_bytes, stream=stream, limit_bytes=tail_bytes
    )
    # Drawing is a matter of 100 ms for a full page, which others need not wait for.
    body = await asyncio.to_thread(_drawn, page.pieces, colours, as_json=format == "jsonl")
    media_type = "application/x-ndjson" if format == "jsonl" else "text/plain"
    return Response(body, media_type=media_type)


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
    """The stored bytes of one stream of one attempt, exactly as the process wrote them.

    Bytes that are not stored are left out; the header `Dray-Gaps` says which, such as
    `1000-2999, 5000-5999` by offset in what was written.
    """
    if epoch is None:
        head = await context.store.tasks.head(task_id)
        epoch = head.epoch
    stored = await context.store.console.raw(task_id, epoch, stream)
    answer = RangeResponse(stored.path, stored.n_bytes, range)
    gaps = await context.store.console.gaps(task_id, epoch, stream)
    if gaps:
        told = (f"{gap.offset}-{gap.offset + gap.n_bytes - 1}" for gap in gaps)
        answer.headers["Dray-Gaps"] = ", ".join(told)
    return answer


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


def _drawn(pieces: list[ConsolePiece], colours: bool, *, as_json: bool) -> str:
    lines = lines_of_pieces(pieces, colours=colours)
    return "".join(f"{json.dumps(to_json(line)) if as_json else line.text}\n" for line in lines)
