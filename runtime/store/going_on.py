"""A failed or aborted task that goes on counts its iterations further, in the same transaction.

How far it came is in ``results.db``, its state in ``state.db``. Reading the one and writing the
other is one step all the same, because nothing is added to a task's results without its lock:
not even by a frame that was being accepted when its attempt was closed.

Who starts a task again decides that it goes on: by enqueueing it, or ``continue_last_task``. When
Dray itself runs it again, after a lost worker or as a retry, nobody has decided anything, and the
new attempt counts from where the one before did: both are the same piece of work, tried twice.
"""

from __future__ import annotations

from typing import TypeVar

from dray.runtime.states import is_terminal
from dray.runtime.store import rows
from dray.runtime.store.database import Database
from dray.runtime.store.results import Results
from dray.runtime.store.session import Session, Unit
from dray.runtime.store.task_locks import TaskLocks

T = TypeVar("T")

_COUNT_FROM = "UPDATE tasks SET initial_iteration = ? WHERE id = ?"


class _MustCount(Exception):
    """The task goes on after an end, so how far it came must be known first."""


class GoingOn:
    """Takes the steps that start or enqueue a task, whether it goes on or begins."""

    def __init__(self, state: Database, results: Results, locks: TaskLocks) -> None:
        self._state = state
        self._results = results
        self._locks = locks

    async def step(self, task_id: str, unit: Unit[T], *, initial_iteration: int | None = None) -> T:
        """What ``unit`` returns, which starts or enqueues the task.

        Args:
            task_id: whole id.
            unit: takes the step.
            initial_iteration: count from there, whatever was reported.
        """

        async def unless_it_goes_on(session: Session) -> T:
            if is_terminal((await rows.read_head(session, task_id)).state):
                raise _MustCount
            return await unit(session)

        if initial_iteration is None:
            try:
                return await self._state.write(unless_it_goes_on)
            except _MustCount:
                pass  # most tasks begin, and need no look at their results
        lock = self._locks.of(task_id)
        async with lock:
            count_from = initial_iteration
            if count_from is None:
                count_from = await self._results.next_iteration(task_id)

            async def counting(session: Session) -> T:
                before = await rows.read_head(session, task_id)
                answer = await unit(session)
                if initial_iteration is not None or is_terminal(before.state):
                    await session.execute(_COUNT_FROM, (count_from, task_id))
                return answer

            return await self._state.write(counting)
