"""Server-sent events: what a console event looks like, and where a reader goes on.

Encoding, keep-alive comments and the end of a connection are FastAPI's (``fastapi.sse``).
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from dray.api.replies import to_json_bytes
from dray.runtime.answers import ConsolePiece
from dray.runtime.errors import InvalidInput
from dray.runtime.states import State

_SEQ = re.compile(r"\d{1,18}", re.ASCII)

__all__ = ["EventSourceResponse", "ServerSentEvent", "StartAfter", "closed_event", "piece_event"]


def piece_event(piece: ConsolePiece) -> ServerSentEvent:
    """One piece of console; its id is the place to go on from."""
    return ServerSentEvent(event="piece", id=str(piece.seq), raw_data=to_json_bytes(piece).decode())


def closed_event(state: State) -> ServerSentEvent:
    """Nothing will follow: the task came to its end in ``state``."""
    return ServerSentEvent(event="closed", data={"state": state.value})


async def start_after(
    after: Annotated[int, Query(ge=0, lt=1 << 63, description="`seq` of the last piece known")] = 0,
    last_event_id: Annotated[
        str, Header(description="sent by a browser that connects again; wins over `after`")
    ] = "",
) -> int:
    """The ``seq`` after which a reader goes on."""
    if not last_event_id:
        return after
    if not _SEQ.fullmatch(last_event_id):
        raise InvalidInput(
            f"Last-Event-ID is {last_event_id!r}; expected the id of a piece, a number",
            field="Last-Event-ID",
            value=last_event_id,
        )
    return int(last_event_id)


StartAfter = Annotated[int, Depends(start_after)]
