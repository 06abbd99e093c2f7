"""The order of a queue: priority first, then first come; positions, windows and merging."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from dray.runtime.models import QueueEntry

#: Smaller comes first.
Key = tuple[int, int]


def sort_key(entry: QueueEntry) -> Key:
    """Where an entry stands in its queue: higher priority first, then smaller rank."""
    return (-entry.priority, entry.rank)


class Line:
    """The pending entries of one queue in order.

    Not thread-safe; owned by one actor. Holding the same entry twice has no effect, so
    that every change may be told again.
    """

    def __init__(self, entries: Iterable[QueueEntry] = ()) -> None:
        #: {task_id: entry}, all and only the entries in the line.
        self._entries: dict[str, QueueEntry] = {entry.task_id: entry for entry in entries}
        #: (key, task_id) sorted; the same tasks as ``_entries``.
        self._order: list[tuple[Key, str]] = sorted(
            (sort_key(entry), entry.task_id) for entry in self._entries.values()
        )

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._entries

    def add(self, entry: QueueEntry) -> None:
        """Put an entry in its place; one for a task that is here already replaces it."""
        self.remove(entry.task_id)
        self._entries[entry.task_id] = entry
        insort(self._order, (sort_key(entry), entry.task_id))

    def remove(self, task_id: str) -> QueueEntry | None:
        """Take a task out; None when it was not here."""
        entry = self._entries.pop(task_id, None)
        if entry is not None:
            at = bisect_left(self._order, (sort_key(entry), task_id))
            del self._order[at]
        return entry

    def heads(self, n: int) -> list[QueueEntry]:
        """The first ``n`` entries in order."""
        return [self._entries[task_id] for _, task_id in self._order[:n]]

    def position(self, task_id: str) -> int | None:
        """How many entries stand before a task; None when it is not here."""
        entry = self._entries.get(task_id)
        if entry is None:
            return None
        return bisect_left(self._order, (sort_key(entry), task_id))


def merge(queues: Iterable[Iterable[QueueEntry]]) -> list[QueueEntry]:
    """Entries of several queues in the order a shared pool takes them.

    Priority first, then who was enqueued first; the rank breaks ties, so that the order is total.
    """
    return sorted(
        (entry for queue in queues for entry in queue),
        key=lambda entry: (-entry.priority, entry.enqueued_at, entry.rank),
    )
