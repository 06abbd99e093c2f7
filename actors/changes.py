"""Waiting for a condition on an actor's own state, told by whoever changes that state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Changes:
    """A broadcast: everybody who waits looks again whenever something is told."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something changed."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait_until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as ``holds()``; safe to cancel."""
        while not holds():
            await self._next.wait()
