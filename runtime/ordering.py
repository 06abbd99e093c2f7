"""The order of a queue: priority first, then first come; positions, windows and merging."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from dray.runtime.machine import MAX_RETRY_DELAY_S
from dray.runtime.models import QueueEntry

#: Smaller comes first.
Key = tuple[int, int]
#: Of each shape this many entries are within the window however many of other shapes come
#: first, so that what fits nowhere hides nothing that would fit.
HEADS_PER_SHAPE = 8


def sort_key(entry: QueueEntry) -> Key:
    """Where an entry stands in its queue: higher priority first, then smaller rank."""
    return (-entry.priority, entry.rank)


def is_due(entry: QueueEntry, now: float) -> bool:
    """Whether an entry may be placed now; a retry waits until its time has come.

    No retry waits longer than ``MAX_RETRY_DELAY_S``: more than that is a clock put back.
    """
    return entry.not_before is None or not 0 < entry.not_before - now <= MAX_RETRY_DELAY_S


class Line:
    """The pending entries of one queue in order.

    Not thread-safe; owned by one actor. Holding the same entry twice has no effect, so
    that every change may be told again.
    """

    def __init__(self, entries: Iterable[QueueEntry] = ()) -> None:
        #: {task_id: entry}, all and only the entries in the line.
        self._entries: dict[str, QueueEntry] = {}
        #: (key, task_id) sorted, without those that rest.
        self._order: list[tuple[Key, str]] = []
        #: {shape: the same for its entries alone}.
        self._by_shape: dict[str, list[tuple[Key, str]]] = {}
        #: Tasks whose retry may not start yet.
        self._resting: set[str] = set()
        for entry in entries:
            self.add(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._entries

    def add(self, entry: QueueEntry) -> None:
        """Put an entry in its place; one for a task that is here already replaces it."""
        self.remove(entry.task_id)
        self._entries[entry.task_id] = entry
        if entry.not_before is None:
            self._line_up(entry)
        else:
            self._resting.add(entry.task_id)

    def remove(self, task_id: str) -> QueueEntry | None:
        """Take a task out; None when it was not here."""
        entry = self._entries.pop(task_id, None)
        if entry is None:
            return None
        if task_id in self._resting:
            self._resting.discard(task_id)
            return entry
        place, shape = (sort_key(entry), task_id), entry.resources.label()
        del self._order[bisect_left(self._order, place)]
        alike = self._by_shape[shape]
        del alike[bisect_left(alike, place)]
        if not alike:
            del self._by_shape[shape]
        return entry

    def wake(self, now: float) -> float | None:
        """Line up the retries that are due; when the next one is, None when none rests."""
        for task_id in list(self._resting):
            if is_due(self._entries[task_id], now):
                self._resting.discard(task_id)
                self._line_up(self._entries[task_id])
        rest = (self._entries[task_id].not_before for task_id in self._resting)
        return min((at for at in rest if at is not None), default=None)

    def heads(self, n: int) -> list[QueueEntry]:
        """The first ``n`` entries in order, and the first ``HEADS_PER_SHAPE`` of each shape."""
        chosen = dict.fromkeys(self._order[:n])
        if len(self._order) > n:
            for alike in self._by_shape.values():
                chosen.update(dict.fromkeys(alike[:HEADS_PER_SHAPE]))
        return [self._entries[task_id] for _, task_id in sorted(chosen)]

    def position(self, task_id: str) -> int | None:
        """How many entries stand before a task; None when it is not here or its retry rests."""
        entry = self._entries.get(task_id)
        if entry is None or task_id in self._resting:
            return None
        return bisect_left(self._order, (sort_key(entry), task_id))

    def _line_up(self, entry: QueueEntry) -> None:
        place = (sort_key(entry), entry.task_id)
        insort(self._order, place)
        insort(self._by_shape.setdefault(entry.resources.label(), []), place)


def merge(queues: Iterable[Iterable[QueueEntry]]) -> list[QueueEntry]:
    """Entries of several queues in the order a shared pool takes them.

    Priority first, then who was enqueued first; the rank breaks ties, so that the order is total.
    """
    return sorted(
        (entry for queue in queues for entry in queue),
        key=lambda entry: (-entry.priority, entry.enqueued_at, entry.rank),
    )
