"""One lock per task, for work that spans both databases and the files."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class TaskLocks:
    """Locks by task id; one that nobody holds or waits for is gone."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, task_id: str) -> asyncio.Lock:
        """The lock of a task; keep the reference as long as it is needed."""
        lock = self._locks.get(task_id)
        if lock is None:
            lock = self._locks[task_id] = asyncio.Lock()
        return lock
