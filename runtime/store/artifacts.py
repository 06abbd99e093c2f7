"""Artifacts of tasks; their bytes are blobs."""

from __future__ import annotations

import builtins

from dray.runtime.errors import NotEditable, NotFound
from dray.runtime.machine import Head
from dray.runtime.models import Artifact
from dray.runtime.states import State
from dray.runtime.store import audit, database, rows
from dray.runtime.store.contract import By
from dray.runtime.store.database import Database
from dray.runtime.store.fencing import fenced
from dray.runtime.store.session import Session

_PUT = """
INSERT INTO artifacts (task_id, name, sha256, document) VALUES (?, ?, ?, ?)
ON CONFLICT (task_id, name) DO UPDATE SET sha256 = excluded.sha256, document = excluded.document
"""
_GET = "SELECT document FROM artifacts WHERE task_id = ? AND name = ?"
_LIST = "SELECT document FROM artifacts WHERE task_id = ? ORDER BY name"
_TASK = "SELECT 1 FROM tasks WHERE id = ?"
_DELETE = "DELETE FROM artifacts WHERE task_id = ? AND name = ?"
_TOUCH = "UPDATE tasks SET updated_at = ? WHERE id = ?"


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

    async def add(self, task_id: str, artifact: Artifact, by: By, now: float) -> None:
        """Write one artifact from outside the task's run, and that into the audit.

        Raises:
            NotFound: no such task.
            NotEditable: it is published.
            StaleEpoch: ``by`` speaks for an attempt that is over.
        """

        async def unit(connection: Session) -> None:
            head = await _editable(connection, task_id, artifact.name)
            await put(connection, task_id, artifact)
            details = {"artifact": artifact.name, "sha256": artifact.sha256}
            await audit.record(connection, now, "artifact_added", head, head, by, details=details)
            await connection.execute(_TOUCH, (now, task_id))

        await self._state.write(fenced(by, unit))

    async def delete(self, task_id: str, name: str, by: By, now: float) -> Artifact:
        """Forget one artifact, and write that into the audit; its bytes may be others' too.

        Raises:
            NotFound: no such task or artifact.
            NotEditable: the task is published.
            StaleEpoch: ``by`` speaks for an attempt that is over.
        """

        async def unit(connection: Session) -> Artifact:
            head = await _editable(connection, task_id, name)
            row = await database.row(connection, _GET, (task_id, name))
            if row is None:
                raise _missing(task_id, name)
            await connection.execute(_DELETE, (task_id, name))
            details = {"artifact": name}
            await audit.record(connection, now, "artifact_deleted", head, head, by, details=details)
            await connection.execute(_TOUCH, (now, task_id))
            return rows.load(Artifact, row["document"])

        return await self._state.write(fenced(by, unit))

    async def get(self, task_id: str, name: str) -> Artifact:
        """One artifact by its name.

        Raises:
            NotFound: there is none.
        """
        row = await self._state.row(_GET, (task_id, name))
        if row is None:
            raise _missing(task_id, name)
        return rows.load(Artifact, row["document"])

    async def list(self, task_id: str) -> builtins.list[Artifact]:
        """Every artifact of a task by name."""
        return [
            rows.load(Artifact, row["document"])
            for row in await self._state.rows(_LIST, (task_id,))
        ]


async def _editable(connection: Session, task_id: str, name: str) -> Head:
    head = await rows.read_head(connection, task_id)
    if head.state is State.PUBLISHED:
        raise NotEditable(
            f"task {task_id[:8]} is published, which is final, so its artifact {name!r} cannot "
            "change; clone the task",
            task_id=task_id,
        )
    return head


def _missing(task_id: str, name: str) -> NotFound:
    return NotFound(f"task {task_id[:8]} has no artifact {name!r}", artifact=name)
