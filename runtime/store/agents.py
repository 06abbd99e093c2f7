"""Agents as the store knows them; what they run is derived from the open attempts."""

from __future__ import annotations

import builtins
from dataclasses import replace

from dray.runtime.errors import NotFound
from dray.runtime.models import AgentRecord
from dray.runtime.store import rows
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session

_PUT = """
INSERT INTO agents (name, record) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET record = excluded.record
"""
_REMOVE = "DELETE FROM agents WHERE name = ?"
_GET = "SELECT record FROM agents WHERE name = ?"
_LIST = "SELECT record FROM agents ORDER BY name"
_RUNNING = "SELECT agent, id FROM tasks WHERE state = 'running' ORDER BY id"
_RUNNING_ON = "SELECT agent, id FROM tasks WHERE state = 'running' AND agent = ? ORDER BY id"


class Agents:
    """Who takes tasks."""

    def __init__(self, state: Database) -> None:
        self._state = state

    async def put(self, agent: AgentRecord) -> None:
        """Write an agent as it is now; ``task_ids`` is derived and not kept."""
        record = rows.dump(replace(agent, task_ids=[]))

        async def unit(connection: Session) -> None:
            await connection.execute(_PUT, (agent.name, record))

        await self._state.write(unit)

    async def remove(self, name: str) -> None:
        """Forget an agent; one that is not there is no error."""

        async def unit(connection: Session) -> None:
            await connection.execute(_REMOVE, (name,))

        await self._state.write(unit)

    async def get(self, name: str) -> AgentRecord:
        """One agent by its name.

        Raises:
            NotFound: there is none.
        """
        row = await self._state.row(_GET, (name,))
        if row is None:
            raise NotFound(f"there is no agent {name!r}", agent=name)
        running = await self._state.rows(_RUNNING_ON, (name,))
        agent = rows.load(AgentRecord, row["record"])
        return replace(agent, task_ids=[task["id"] for task in running])

    async def list(self) -> builtins.list[AgentRecord]:
        """Every agent by name."""
        task_ids: dict[str, builtins.list[str]] = {}
        for row in await self._state.rows(_RUNNING):
            task_ids.setdefault(row["agent"], []).append(row["id"])
        agents = [rows.load(AgentRecord, row["record"]) for row in await self._state.rows(_LIST)]
        return [replace(agent, task_ids=task_ids.get(agent.name, [])) for agent in agents]
