"""QueueActor: the order of one queue, and the push that wakes the scheduler."""

from __future__ import annotations

import asyncio

import anyio

from dray.actors import handles
from dray.actors.lifetime import run_for_life
from dray.actors.orders import Health, QueueDelta
from dray.runtime import ordering
from dray.runtime.clock import Clock, SystemClock
from dray.runtime.models import QueueEntry
from dray.runtime.ordering import Line

#: Entries the scheduler is told of ahead of need. More than the slots that can come free
#: between two pushes; a refill is pushed when half of them are gone.
WINDOW = 64
#: Entries fetched at once when the line is rebuilt.
PAGE = 5_000


class QueueActor:
    """The ordering authority and wake-up channel of one queue.

    Owns: the pending entries in memory, in order.
    Rebuilt from: the store, whenever it starts or is asked to.
    Guarantees: the scheduler hears of every entry that comes within the window; telling it
    something twice, or of an entry that is gone, does no harm, because the claim decides.
    """

    async def __init__(self, queue: str) -> None:
        self._queue = queue
        self._clock: Clock = SystemClock()
        self._line = Line()
        #: Task ids the scheduler was told of and that are still pending here.
        self._told: set[str] = set()
        #: What was told while the store was being read, which may or may not have seen it.
        self._meanwhile: list[QueueDelta] | None = None
        #: When the first retry that rests is due; None when none does.
        self._next_due: float | None = None
        self._due_changed = asyncio.Event()
        await self._rebuild()
        self._main = run_for_life(self._wake_retries(), f"queue {queue}")

    async def alive(self) -> Health:
        """That it does not hang."""
        return handles.own_health()

    async def changed(self, delta: QueueDelta) -> None:
        """What came and what left, in the order of the commits."""
        if self._meanwhile is not None:
            self._meanwhile.append(delta)
        self._apply(delta)
        self._push(may_wait=not delta.added)

    async def resync(self) -> None:
        """Read the store again and tell the scheduler everything within the window."""
        await self._rebuild()

    async def push_again(self) -> None:
        """Tell the scheduler the whole window once more, read again if it is not the store's."""
        if await handles.gateway().depth.remote(self._queue) != len(self._line):
            await self._rebuild()
            return
        self._told.clear()
        self._push(may_wait=False)

    async def position(self, task_id: str) -> int | None:
        """How many tasks come before this one; None when it does not wait here, or rests."""
        return self._line.position(task_id)

    async def depth(self) -> int:
        """How many tasks wait here."""
        return len(self._line)

    def _apply(self, delta: QueueDelta) -> None:
        for task_id in delta.removed:
            self._line.remove(task_id)
            self._told.discard(task_id)
        for entry in delta.added.values():
            self._line.add(entry)
            self._told.discard(entry.task_id)

    async def _rebuild(self) -> None:
        meanwhile = self._meanwhile = list[QueueDelta]()
        try:
            line = await self._read_line()
        except BaseException:
            if meanwhile is self._meanwhile:
                self._meanwhile = None
            raise
        if meanwhile is not self._meanwhile:
            return  # a later reading knows more
        self._line, self._told, self._meanwhile = line, set(), None
        for delta in meanwhile:
            self._apply(delta)
        self._push(may_wait=False)

    async def _read_line(self) -> Line:
        gateway = handles.gateway()
        line = Line()
        after: ordering.Key | None = None
        while True:
            page: list[QueueEntry] = await gateway.pending.remote(self._queue, after, PAGE)
            for entry in page:
                line.add(entry)
            if len(page) < PAGE:
                return line
            after = ordering.sort_key(page[-1])

    async def _wake_retries(self) -> None:
        """Push each retry when its time has come."""
        while True:
            self._due_changed.clear()
            rest_s = None if self._next_due is None else self._next_due - self._clock.now()
            with anyio.move_on_after(rest_s):
                await self._due_changed.wait()
            self._push(may_wait=True)

    def _push(self, *, may_wait: bool) -> None:
        next_due = self._line.wake(self._clock.now())
        if next_due != self._next_due:
            self._next_due = next_due
            self._due_changed.set()
        if may_wait and (len(self._told) >= WINDOW // 2 or len(self._told) == len(self._line)):
            return
        window = self._line.heads(WINDOW)
        news = [entry for entry in window if entry.task_id not in self._told]
        if news:
            self._told.update(entry.task_id for entry in news)
            handles.scheduler().offer.remote(self._queue, news)
