"""The audit: what happened to each task, who did it, by which request."""

from __future__ import annotations

import json
import re
from typing import Any

from dray.runtime.causes import Cause
from dray.runtime.errors import InvalidInput
from dray.runtime.machine import Head
from dray.runtime.models import AuditEntry
from dray.runtime.store import rows
from dray.runtime.store.contract import By, Page
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session

_INSERT = """
INSERT INTO audit (at, task_id, event, from_state, to_state, by, epoch, request_id, cause, details)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_PAGE = "SELECT * FROM audit WHERE task_id = ? AND seq > ? ORDER BY seq LIMIT ?"
_FORGET = "DELETE FROM audit WHERE task_id = ?"

#: A row's number; SQLite's integers end at 19 digits.
_CURSOR = re.compile(r"\d{1,18}")


async def record(
    connection: Session,
    now: float,
    event: str,
    before: Head,
    after: Head,
    by: By,
    *,
    cause: Cause | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Write one row, in the transaction of what it tells about."""
    await connection.execute(
        _INSERT,
        (
            now,
            after.task_id,
            event,
            str(before.state),
            str(after.state),
            by.who,
            after.epoch,
            by.request_id,
            rows.dump_cause(cause),
            rows.dump(details or {}),
        ),
    )


async def forget(connection: Session, task_id: str) -> None:
    """Remove the story of a task that is being deleted."""
    await connection.execute(_FORGET, (task_id,))


class Audit:
    """The story of each task, oldest first."""

    def __init__(self, state: Database) -> None:
        self._state = state

    async def list(
        self, task_id: str, cursor: str | None = None, limit: int = 100
    ) -> Page[AuditEntry]:
        """What happened to a task, after ``cursor``."""
        after = _after(cursor)
        found = await self._state.rows(_PAGE, (task_id, after, limit + 1))
        entries = [
            AuditEntry(
                seq=row["seq"],
                at=row["at"],
                task_id=row["task_id"],
                event=row["event"],
                from_state=row["from_state"],
                to_state=row["to_state"],
                by=row["by"],
                epoch=row["epoch"],
                request_id=row["request_id"],
                cause=rows.load_cause(row["cause"]),
                details=json.loads(row["details"]),
            )
            for row in found[:limit]
        ]
        return Page(entries, str(entries[-1].seq) if len(found) > limit else None)

    async def note(
        self, event: str, head: Head, by: By, now: float, details: dict[str, Any]
    ) -> None:
        """Write down something that changed no state."""

        async def unit(connection: Session) -> None:
            await record(connection, now, event, head, head, by, details=details)

        await self._state.write(unit)


def _after(cursor: str | None) -> int:
    if not cursor:
        return 0
    if not _CURSOR.fullmatch(cursor):
        raise InvalidInput(
            f"cursor {cursor!r} is not one this list gave", field="cursor", value=cursor
        )
    return int(cursor)
