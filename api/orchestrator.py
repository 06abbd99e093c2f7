"""What the HTTP layer asks and tells the machinery behind it, and the stand-in for none."""

from __future__ import annotations

from typing import Protocol

from dray.runtime.answers import Component
from dray.runtime.environments import (
    EnvironmentBuilt,
    EnvironmentDetails,
    EnvironmentRequest,
    EnvironmentWhy,
    NodeEnvironments,
    Pruned,
)
from dray.runtime.errors import NotFound
from dray.runtime.models import Queue


class Caches(Protocol):
    """What the nodes keep of environments; nodes that do not answer are named in the answers."""

    async def all(self) -> list[NodeEnvironments]:
        """The cache of every node."""
        ...

    async def one(self, key: str, node: str) -> EnvironmentDetails:
        """The environment whose key begins so; ``node``: of that node alone."""
        ...

    async def why(self, key: str, against: str, node: str) -> EnvironmentWhy:
        """What sets an environment apart from another, or from those before it."""
        ...

    async def prune(self, keys: list[str], unused_for_s: float) -> list[Pruned]:
        """Remove what nothing uses on every node; ``keys``: these alone."""
        ...


class Orchestrator(Protocol):
    """What runs tasks. What happens to tasks it learns from the store, not from routes."""

    @property
    def caches(self) -> Caches:
        """What the nodes keep of environments."""
        ...

    async def build_environment(self, request: EnvironmentRequest) -> EnvironmentBuilt:
        """Make an environment on a node, for somebody who waits for it."""
        ...

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


class NoCaches:
    """The caches of no node at all."""

    async def all(self) -> list[NodeEnvironments]:
        """None."""
        return []

    async def one(self, key: str, node: str) -> EnvironmentDetails:
        """No node has it."""
        _ = node
        raise NotFound(f"no node is attached to this server, so none has {key!r}", id=key)

    async def why(self, key: str, against: str, node: str) -> EnvironmentWhy:
        """No node has it."""
        _ = against, node
        raise NotFound(f"no node is attached to this server, so none has {key!r}", id=key)

    async def prune(self, keys: list[str], unused_for_s: float) -> list[Pruned]:
        """Nothing is there."""
        _ = keys, unused_for_s
        return []


class Detached:
    """An orchestrator that does nothing: a store that is served without a cluster."""

    caches = NoCaches()

    async def build_environment(self, request: EnvironmentRequest) -> EnvironmentBuilt:
        """No node to build on."""
        raise NotFound("no node is attached to this server", node=request.node)

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
