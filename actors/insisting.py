"""Calls to coordinators that must get through, tried until they do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from dray.actors.handles import ActorTrouble, CallFailed, first_line

T = TypeVar("T")

log = logging.getLogger("dray.actors")

#: Between two tries, the first and the longest.
_PAUSE_S = (0.2, 5.0)


async def insist(what: str, call: Callable[[], Awaitable[T]]) -> T:
    """The answer to a call that must get through, tried until it does.

    What fails here is mostly the store that has no room: it says so itself, and nothing is
    lost by waiting.
    """
    pause_s, longest_s = _PAUSE_S
    while True:
        try:
            return await call()
        except (CallFailed, *ActorTrouble) as exc:
            log.warning("%s failed and is tried again: %s", what, first_line(exc))
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)
