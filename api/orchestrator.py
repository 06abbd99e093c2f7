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

    async def drain_agent(self, name: str, reason: str) -> bool:
        """Give an agent no more work; False when it is not in the cluster."""
        ...

    async def resume_agent(self, name: str) -> bool:
        """Give a drained agent work again; False when it is not in the cluster."""
        ...

    async def stop_agent(self, name: str, by: str) -> bool:
        """End an agent, what it runs goes back to its queue; False when it is not there."""
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

    async def drain_agent(self, name: str, reason: str) -> bool:
        """No agent runs here."""
        _ = name, reason
        return False

    async def resume_agent(self, name: str) -> bool:
        """No agent runs here."""
        _ = name
        return False

    async def stop_agent(self, name: str, by: str) -> bool:
        """No agent runs here."""
        _ = name, by
        return False
