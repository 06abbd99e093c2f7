"""Artifacts of tasks; their bytes are blobs."""

from __future__ import annotations

import builtins

from dray.runtime.errors import NotFound
from dray.runtime.models import Artifact
from dray.runtime.store import database, rows
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session

_PUT = """
INSERT INTO artifacts (task_id, name, sha256, document) VALUES (?, ?, ?, ?)
ON CONFLICT (task_id, name) DO UPDATE SET sha256 = excluded.sha256, document = excluded.document
"""
_GET = "SELECT document FROM artifacts WHERE task_id = ? AND name = ?"
_LIST = "SELECT document FROM artifacts WHERE task_id = ? ORDER BY name"
_TASK = "SELECT 1 FROM tasks WHERE id = ?"


async def put(connection: Session, task_id: str, artifact: Artifact) -> None:
    """Write one artifact; the last one of a name stays."""
    await connection.execute(_PUT, (task_id, artifact.name, artifact.sha256, rows.dump(artifact)))


class Artifacts:
    """Named outputs."""

    def __init__(self, state: Database) -> None:
        self._state = state

    async def put(self, task_id: str, artifact: Artifact) -> None:
        """Write one artifact; the last one of a name stays.

        Raises:
            NotFound: no such task.
        """

        async def unit(connection: Session) -> None:
            if await database.row(connection, _TASK, (task_id,)) is None:
                raise NotFound(f"there is no task {task_id}", id=task_id)
            await put(connection, task_id, artifact)

        await self._state.write(unit)

    async def get(self, task_id: str, name: str) -> Artifact:
        """One artifact by its name.

        Raises:
            NotFound: there is none.
        """
        row = await self._state.row(_GET, (task_id, name))
        if row is None:
            raise NotFound(f"task {task_id[:8]} has no artifact {name!r}", artifact=name)
        return rows.load(Artifact, row["document"])

    async def list(self, task_id: str) -> builtins.list[Artifact]:
        """Every artifact of a task by name."""
        return [
            rows.load(Artifact, row["document"])
            for row in await self._state.rows(_LIST, (task_id,))
        ]
