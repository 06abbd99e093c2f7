"""The fence: a write that speaks for an attempt is done only while that attempt is the open one.

Whoever writes with a task's token says which attempt it is (``By.attempt``). Every transaction
of such a write compares that epoch first, in the same transaction, so that there is no moment
between the look and the write. What was refused is counted, and the task's audit tells of it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict

from dray.runtime import machine
from dray.runtime.clock import Clock
from dray.runtime.errors import DrayError, NotFound, StaleEpoch
from dray.runtime.store import audit, rows
from dray.runtime.store.contract import By
from dray.runtime.store.database import Database, T
from dray.runtime.store.session import Session, Unit
from dray.runtime.tokens import TaskScope

#: What the audit calls a refused write.
REFUSED = "stale_write_refused"
#: Attempts whose refusals are counted at a time; of more, the longest silent are forgotten.
_COUNTED_ATTEMPTS = 10_000

_log = logging.getLogger(__name__)


def fenced(by: By, unit: Unit[T]) -> Unit[T]:
    """``unit``, refused where ``by`` speaks for an attempt that is not open when it runs."""
    attempt = by.attempt
    if attempt is None:
        return unit

    async def guarded(session: Session) -> T:
        await check_open(session, attempt)
        return await unit(session)

    return guarded


async def check_open(session: Session, attempt: TaskScope) -> None:
    """Refuse an attempt that is over, in the caller's transaction.

    Raises:
        StaleEpoch: it has ended, another one has begun, or its task is gone.
    """
    try:
        head = await rows.read_head(session, attempt.task_id)
    except NotFound as exc:
        raise StaleEpoch(
            f"attempt {attempt.epoch} of task {attempt.task_id[:8]} is over: the task was deleted",
            task_id=attempt.task_id,
            epoch=attempt.epoch,
            current_epoch=None,
        ) from exc
    machine.check_epoch(head, attempt.epoch)


class Fencing:
    """Asks whether an attempt is open, and keeps count of what came too late."""

    def __init__(self, state: Database, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._n_refused = 0
        #: Since the start: {attempt: writes refused}, least recently refused first.
        self._by_attempt: OrderedDict[TaskScope, int] = OrderedDict()

    @property
    def n_refused(self) -> int:
        """Late writes that were refused since the store was opened."""
        return self._n_refused

    async def check(self, by: By) -> None:
        """Refuse at once what its transaction would refuse; for work that has none.

        Raises:
            StaleEpoch: ``by`` speaks for an attempt that is over.
        """
        attempt = by.attempt
        if attempt is not None:
            await self._state.read(lambda session: check_open(session, attempt))

    async def note_refused(self, error: StaleEpoch, by: By) -> None:
        """Count a refused write; the 1st, 10th, 100th … of an attempt is told in the audit.

        It never fails: the refusal is the answer, whatever becomes of its record.
        """
        self._n_refused += 1
        attempt = by.attempt or _attempt_of(error)
        if attempt is None:
            return
        n = self._by_attempt.pop(attempt, 0) + 1
        self._by_attempt[attempt] = n
        if len(self._by_attempt) > _COUNTED_ATTEMPTS:
            self._by_attempt.popitem(last=False)
        if str(n).strip("0") != "1":
            return

        async def unit(session: Session) -> None:
            head = await rows.read_head(session, attempt.task_id)
            details = {"epoch": attempt.epoch, "current_epoch": head.epoch, "n_refused": n}
            await audit.record(session, self._clock.now(), REFUSED, head, head, by, details=details)

        try:
            await self._state.write(unit)
        except NotFound:
            _log.info("a late write for task %s, which was deleted", attempt.task_id)
        except DrayError as exc:
            _log.warning("a refused write of task %s is not told: %s", attempt.task_id, exc)


def _attempt_of(error: StaleEpoch) -> TaskScope | None:
    task_id, epoch = error.details.get("task_id"), error.details.get("epoch")
    if isinstance(task_id, str) and isinstance(epoch, int):
        return TaskScope(task_id, epoch)
    return None
