"""Queues and their pending entries, in the order in which they are claimed."""

from __future__ import annotations

import builtins
import re
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dray.runtime.clock import Clock
from dray.runtime.errors import Conflict, InvalidInput, NotFound
from dray.runtime.execution import RunDefaults
from dray.runtime.ids import new_id
from dray.runtime.machine import Dequeue
from dray.runtime.models import Queue, QueueEntry
from dray.runtime.run_defaults import checked_defaults, merged_defaults
from dray.runtime.store import database, rows, transitions
from dray.runtime.store.agents import Agents
from dray.runtime.store.contract import By
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session, Unit

_NAME = re.compile(r"[\w][\w .:@+-]{0,127}")

_ADD = "INSERT INTO queues (id, name, created_at, elastic, defaults) VALUES (?, ?, ?, ?, ?)"
_COLUMNS = "q.*, (SELECT COUNT(*) FROM queue_entries e WHERE e.queue = q.name) AS n_pending"
_GET = f"SELECT {_COLUMNS} FROM queues q WHERE q.name = ? OR q.id = ?"  # noqa: S608
_LIST = f"SELECT {_COLUMNS} FROM queues q ORDER BY q.name"  # noqa: S608
_DELETE = "DELETE FROM queues WHERE name = ?"
_DEFAULTS = "SELECT defaults FROM queues WHERE name = ?"
_ALL_DEFAULTS = "SELECT name, defaults FROM queues"
_EDIT = "UPDATE queues SET defaults = ? WHERE name = ?"
_WAITING = "SELECT task_id FROM queue_entries WHERE queue = ?"

_FIRST = """
SELECT * FROM queue_entries INDEXED BY queue_entries_in_claim_order
WHERE queue = ? ORDER BY priority DESC, rank LIMIT ?
"""
# Two ranges of the index instead of an OR, which would scan.
_NEXT = """
SELECT * FROM (
    SELECT * FROM (SELECT * FROM queue_entries WHERE queue = :queue AND priority = :priority
                   AND rank > :rank ORDER BY rank LIMIT :limit)
    UNION ALL
    SELECT * FROM (SELECT * FROM queue_entries WHERE queue = :queue AND priority < :priority
                   ORDER BY priority DESC, rank LIMIT :limit)
) ORDER BY priority DESC, rank LIMIT :limit
"""
_ELASTIC = "SELECT elastic FROM queues WHERE name = ?"
_COUNT = "SELECT COUNT(*) FROM queue_entries WHERE queue = ?"
_POSITION = """
SELECT (SELECT COUNT(*) FROM queue_entries e WHERE e.queue = m.queue AND e.priority > m.priority)
     + (SELECT COUNT(*) FROM queue_entries e WHERE e.queue = m.queue AND e.priority = m.priority
        AND e.rank <= m.rank) AS position
FROM queue_entries m WHERE m.task_id = ?
"""

#: States in which an agent takes tasks, or soon will.
_SERVING = ("starting", "ready")


class Queues:
    """Named lines of pending tasks."""

    def __init__(self, state: Database, clock: Clock, agents: Agents) -> None:
        self._state = state
        self._clock = clock
        self._agents = agents
        #: Of every queue by name, for claims; None when they have to be read again.
        self._defaults: dict[str, RunDefaults] | None = None
        self._n_edits = 0

    async def create(
        self, name: str, *, elastic: bool = True, defaults: RunDefaults | None = None
    ) -> Queue:
        """A new, empty queue; ``elastic``: agents are made for its tasks as needed.

        Raises:
            Conflict: there is one by that name.
            InvalidInput: not a name for a queue, or defaults that cannot be used.
        """
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"queue name {name!r}: use letters, digits and . _ - : @ +, at most 128",
                field="name",
                value=name,
            )
        kept = rows.dump(checked_defaults(defaults or RunDefaults()))

        async def unit(connection: Session) -> None:
            try:
                await connection.execute(_ADD, (new_id(), name, self._clock.now(), elastic, kept))
            except sqlite3.IntegrityError as exc:
                raise Conflict(f"there is a queue {name!r} already", queue=name) from exc

        await self._write(unit)
        return await self.get(name)

    async def edit(self, name: str, defaults: Mapping[str, Any]) -> Queue:
        """Change some members of a queue's defaults; what an agent was given already stays.

        Raises:
            NotFound: there is no such queue.
            InvalidInput: a member that does not exist, or a value that cannot be used.
        """
        queue = await self.get(name)

        async def unit(connection: Session) -> None:
            row = await database.row(connection, _DEFAULTS, (queue.name,))
            if row is None:
                raise _missing(name)
            merged = merged_defaults(rows.load(RunDefaults, row["defaults"]), defaults)
            await connection.execute(_EDIT, (rows.dump(merged), queue.name))

        await self._write(unit)
        return await self.get(queue.name)

    async def defaults(self, name: str) -> RunDefaults:
        """How tasks of a queue run that do not say it; nothing for a queue that is gone.

        From memory: this process alone writes them.
        """
        if self._defaults is None:
            n_edits = self._n_edits
            found = await self._state.rows(_ALL_DEFAULTS)
            read = {row["name"]: rows.load(RunDefaults, row["defaults"]) for row in found}
            if n_edits != self._n_edits:  # changed meanwhile: not to be kept
                return read.get(name, RunDefaults())
            self._defaults = read
        return self._defaults.get(name, RunDefaults())

    async def ensure(self, name: str, *, elastic: bool = True) -> Queue:
        """The queue of that name, made when it is not there."""
        with suppress(NotFound):
            return await self.get(name)
        with suppress(Conflict):  # somebody else was faster
            return await self.create(name, elastic=elastic)
        return await self.get(name)

    async def get(self, name: str) -> Queue:
        """One queue by its name or id.

        Raises:
            NotFound: there is none.
        """
        row = await self._state.row(_GET, (name, name))
        if row is None:
            raise _missing(name)
        return (await self._queues_of([row]))[0]

    async def list(self) -> builtins.list[Queue]:
        """Every queue by name."""
        return await self._queues_of(await self._state.rows(_LIST))

    async def delete(self, name: str, by: By, *, force: bool = False) -> None:
        """Remove a queue; with ``force`` its pending tasks become drafts again.

        Raises:
            NotFound: there is none.
            Conflict: tasks wait in it.
        """
        queue = await self.get(name)

        async def unit(connection: Session) -> None:
            waiting = await database.rows(connection, _WAITING, (queue.name,))
            if waiting and not force:
                raise Conflict(
                    f"{len(waiting)} tasks wait in queue {queue.name!r}; dequeue them or use force",
                    queue=queue.name,
                    n_pending=len(waiting),
                )
            for row in waiting:
                now = self._clock.now()
                await transitions.apply(connection, now, row["task_id"], Dequeue(), by)
            await connection.execute(_DELETE, (queue.name,))

        await self._write(unit)

    async def pending(
        self,
        queue: str,
        limit: int = 1000,
        after: tuple[int, int] | None = None,
    ) -> builtins.list[QueueEntry]:
        """Entries in claim order: priority descending, then first come.

        Args:
            queue: its name.
            limit: entries at most.
            after: ``ordering.sort_key`` of the last entry of the page before.
        """
        if after is None:
            found = await self._state.rows(_FIRST, (queue, limit))
        else:
            place = {"queue": queue, "priority": -after[0], "rank": after[1], "limit": limit}
            found = await self._state.rows(_NEXT, place)
        return [rows.entry_of(row) for row in found]

    async def is_served(self, name: str) -> bool | None:
        """Whether anything takes tasks from a queue, whatever waits in it; None: no such queue."""
        row = await self._state.row(_ELASTIC, (name,))
        if row is None:
            return None
        return bool(row["elastic"]) or name in await self._listed()

    async def count(self, queue: str) -> int:
        """How many tasks wait in it."""
        row = await self._state.row(_COUNT, (queue,))
        return 0 if row is None else int(row[0])

    async def position(self, task_id: str) -> int | None:
        """1 for the task that is next in its queue; None when it waits in none."""
        row = await self._state.row(_POSITION, (task_id,))
        return None if row is None else int(row["position"])

    async def _queues_of(self, found: builtins.list[sqlite3.Row]) -> builtins.list[Queue]:
        listed = await self._listed()
        return [
            Queue(
                id=row["id"],
                name=row["name"],
                created_at=row["created_at"],
                elastic=bool(row["elastic"]),
                defaults=rows.load(RunDefaults, row["defaults"]),
                n_pending=row["n_pending"],
                served=bool(row["elastic"]) or row["name"] in listed,
            )
            for row in found
        ]

    async def _write(self, unit: Unit[None]) -> None:
        """Change queues; what is remembered of them holds no more, whatever came of it."""
        try:
            await self._state.write(unit)
        finally:
            self._n_edits += 1
            self._defaults = None

    async def _listed(self) -> set[str]:
        """Queues that some agent names."""
        agents = await self._agents.list()
        return {name for agent in agents if agent.state in _SERVING for name in agent.queues}


def _missing(name: str) -> NotFound:
    return NotFound(
        f"there is no queue {name!r}; create it with `dray queue create {name}`", queue=name
    )
