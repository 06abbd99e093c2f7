"""``client.workers``: agents, and what they run."""

from __future__ import annotations

from typing import Any

from dray.runtime.models import AgentRecord
from dray.sdk.backend.entity import Answers, Entity
from dray.sdk.backend.queues import when
from dray.sdk.backend.service import Service, unknown


class Workers(Service):
    """Agents by name."""

    name, entity = "workers", "worker"

    def get_all(self, last_seen: int | None = None, **others: Any) -> Answers[Entity]:
        """Every agent there is; ones that are gone are not listed, whatever ``last_seen``."""
        del last_seen
        unknown("workers.get_all", others)
        return Answers([Entity(self, self._shape(a)) for a in self._client.list_agents()])

    def get_by_id(self, worker: str, **others: Any) -> Entity:
        """One agent."""
        unknown("workers.get_by_id", others)
        return Entity(self, self._shape(self._client.get_agent(worker)))

    def _shape(self, agent: AgentRecord) -> dict[str, Any]:
        running = agent.task_ids[0] if agent.task_ids else None
        task = None
        if running is not None:
            task = {"id": running, "name": self._client.get_task(running).name}
        return {
            "id": agent.name,
            "ip": agent.node,
            "queues": [{"id": name, "name": name} for name in agent.queues],
            "task": task,
            "tags": [],
            "register_time": when(agent.created_at),
            "last_activity_time": when(agent.last_seen_at),
        }
