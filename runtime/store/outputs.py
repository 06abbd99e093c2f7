"""Delete the outputs that a reset or a deletion gave up, also after a crash in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from dray.runtime.store import series
from dray.runtime.store.console import Console
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session
from dray.runtime.store.task_locks import TaskLocks

_DUE = "SELECT task_id, epoch FROM purges"
_DONE = "DELETE FROM purges WHERE task_id = ? AND epoch = ?"
_RESULTS = (
    "DELETE FROM singles WHERE task_id = :task AND epoch <= :epoch",
    "DELETE FROM plots WHERE task_id = :task AND epoch <= :epoch",
    "DELETE FROM texts WHERE task_id = :task AND epoch <= :epoch",
    "DELETE FROM media WHERE task_id = :task AND epoch <= :epoch",
    "DELETE FROM console WHERE task_id = :task AND epoch <= :epoch",
    "DELETE FROM offsets WHERE task_id = :task AND epoch <= :epoch",
)


class Outputs:
    """The second half of every reset and deletion, idempotent."""

    def __init__(
        self, state: Database, results: Database, console: Console, locks: TaskLocks
    ) -> None:
        self._state = state
        self._results = results
        self._console = console
        self._locks = locks
        self._n_holding = 0
        #: Held while something is deleted, so that whoever keeps all can wait for that.
        self._deleting = asyncio.Lock()

    @asynccontextmanager
    async def kept(self) -> AsyncGenerator[None]:
        """Delete nothing inside; what was given up meanwhile goes afterwards."""
        self._n_holding += 1
        try:
            async with self._deleting:
                pass  # what is half deleted by now is to be gone as a whole
            yield
        finally:
            self._n_holding -= 1
            await self.purge()

    async def purge(self) -> None:
        """Delete everything that committed transactions gave up, unless it is being kept."""
        if self._n_holding:
            return
        for row in await self._state.rows(_DUE):
            lock = self._locks.of(row["task_id"])
            # A frame that is being accepted would write after us.
            async with lock, self._deleting:
                if self._n_holding:
                    return
                await self._purge_one(row["task_id"], row["epoch"])

    async def _purge_one(self, task_id: str, epoch: int) -> None:
        async def forget(connection: Session) -> None:
            await series.drop_points(connection, task_id, epoch)
            for sql in _RESULTS:
                await connection.execute(sql, {"task": task_id, "epoch": epoch})

        async def done(connection: Session) -> None:
            await connection.execute(_DONE, (task_id, epoch))

        await self._results.write(forget, gives_room=True)
        await asyncio.to_thread(self._console.remove, task_id, epoch)
        await self._state.write(done)
