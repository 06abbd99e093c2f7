"""Reports about a task that come from outside its run: another script's, or before any run."""

from __future__ import annotations

from dray.runtime.errors import InvalidInput, NotEditable
from dray.runtime.states import State
from dray.runtime.store import record_lines, results, rows
from dray.runtime.store.contract import By
from dray.runtime.store.database import Database
from dray.runtime.store.fencing import fenced
from dray.runtime.store.session import Session
from dray.runtime.store.task_locks import TaskLocks

#: Attempts count from 1; what no attempt reported is kept under this one, until a reset.
OUTSIDE = 0

_POSITION = "SELECT MAX(position) AS position FROM texts WHERE task_id = ? AND epoch = ?"


class OutsideReports:
    """The way in for results that no attempt puts out."""

    def __init__(self, state: Database, results_db: Database, locks: TaskLocks) -> None:
        self._state = state
        self._results = results_db
        self._locks = locks

    async def add(self, task_id: str, lines: bytes, by: By) -> None:
        """Take in records of scalars, single values, texts, plots and media: all of them or none.

        Raises:
            NotFound: no such task.
            NotEditable: it is published.
            StaleEpoch: ``by`` speaks for an attempt that is over.
            InvalidInput: a line that is no such record.
        """

        async def check(connection: Session) -> None:
            head = await rows.read_head(connection, task_id)
            if head.state is State.PUBLISHED:
                raise NotEditable(
                    f"task {task_id[:8]} is published and takes no reports; clone it",
                    id=task_id,
                    state=head.state.value,
                )

        async with self._locks.of(task_id):  # a reset that deletes results waits, or comes first
            await self._state.write(fenced(by, check))
            row = await self._results.row(_POSITION, (task_id, OUTSIDE))
            last = row["position"] if row is not None else None
            batch = _parsed(lines, 0 if last is None else last + 1).batch

            async def unit(connection: Session) -> None:
                await results.write_batch(connection, task_id, OUTSIDE, batch)

            await self._results.write(unit)


def _parsed(lines: bytes, position: int) -> record_lines.Parsed:
    parsed = record_lines.parse(lines, position)
    if parsed.n_malformed:
        raise InvalidInput(f"not a record: {parsed.sample}", field="body")
    if parsed.facts or parsed.of_models:
        raise InvalidInput(
            "reports are scalar, single, text, plot and media records; the rest of a task is "
            "changed by its own addresses",
            field="body",
        )
    return parsed
