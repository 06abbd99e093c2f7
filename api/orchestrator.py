"""What the HTTP layer asks and tells the machinery behind it, and the stand-in for none."""

from __future__ import annotations

from typing import Protocol

from dray.runtime.answers import Component
from dray.runtime.models import Queue


class Orchestrator(Protocol):
    """What runs tasks. What happens to tasks it learns from the store, not from routes."""

    async def why(self, task_id: str) -> str:
        """One sentence: what a pending task waits for."""
        ...

    async def queues_changed(self, queues: list[Queue]) -> None:
        """A queue was created or deleted; these are there now. Must not wait for anybody."""
        ...

    async def components(self) -> list[Component]:
        """The parts of the running cluster, for people."""
        ...


class Detached:
    """An orchestrator that does nothing: a store that is served without a cluster."""

    async def why(self, task_id: str) -> str:
        """Nothing places tasks here."""
        _ = task_id
        return "no scheduler is attached to this server"

    async def queues_changed(self, queues: list[Queue]) -> None:
        """Nobody to tell."""

    async def components(self) -> list[Component]:
        """None."""
        return []
