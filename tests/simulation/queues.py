"""A queue's actor; mirrors ``actors/queue.py`` around the real ``ordering.Line``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dray.actors.orders import QueueDelta
from dray.runtime import ordering
from dray.runtime.models import QueueEntry
from dray.runtime.ordering import Line
from tests.simulation.timeline import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Smaller than the real ones, so that a handful of tasks passes both limits.
WINDOW = 4
PAGE = 3


class Queue(Process):
    """Mirrors ``QueueActor``."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world.time, f"queue {name}")
        self._world = world
        self._queue = name
        self._start()

    def _start(self) -> None:
        self._line = Line()
        self._told: set[str] = set()
        #: Each reading of the store under way, with what was told meanwhile.
        self._meanwhile: list[QueueDelta] | None = None
        self._next_due: float | None = None
        self._rebuild()

    def on_death(self) -> None:
        """Ray restarts it."""
        self.time.count("queue killed")
        self.time.at(self.time.random.uniform(0.2, 3.0), None, self.revive)

    def revive(self) -> None:
        """The next life."""
        if not self.is_alive:
            self.is_alive = True
            self.do(self._start, ())

    def changed(self, delta: QueueDelta) -> None:
        """Mirrors ``QueueActor.changed``."""
        if self._meanwhile is not None:
            self._meanwhile.append(delta)
        self._apply(delta)
        self._push(may_wait=not delta.added)

    def resync(self) -> None:
        """Mirrors ``QueueActor.resync``."""
        self._rebuild()

    def push_again(self) -> None:
        """Mirrors ``QueueActor.push_again``."""
        self._told.clear()
        self._push(may_wait=False)

    def _apply(self, delta: QueueDelta) -> None:
        for task_id in delta.removed:
            self._line.remove(task_id)
            self._told.discard(task_id)
        for entry in delta.added.values():
            self._line.add(entry)
            self._told.discard(entry.task_id)

    def _rebuild(self) -> None:
        meanwhile = self._meanwhile = list[QueueDelta]()
        self._read_page(Line(), None, meanwhile)

    def _read_page(
        self, line: Line, after: ordering.Key | None, meanwhile: list[QueueDelta]
    ) -> None:
        def read(page: list[QueueEntry]) -> None:
            for entry in page:
                line.add(entry)
            if len(page) == PAGE:
                self._read_page(line, ordering.sort_key(page[-1]), meanwhile)
            elif meanwhile is self._meanwhile:  # else a later reading knows more
                self._line, self._told, self._meanwhile = line, set(), None
                for delta in meanwhile:
                    self._apply(delta)
                self._push(may_wait=False)

        gateway = self._world.gateway
        self._world.net.call(
            self, gateway, gateway.pending, self._queue, after, PAGE, then=read, by_ray=True
        )

    def _push(self, *, may_wait: bool) -> None:
        now = self._world.gateway.now()
        next_due = self._line.wake(now)
        if next_due is not None and next_due != self._next_due:
            self.after(max(next_due - now, 0.0) + 1e-3, self._push_due)
        self._next_due = next_due
        if may_wait and (len(self._told) >= WINDOW // 2 or len(self._told) == len(self._line)):
            return
        window = self._line.heads(WINDOW)
        news = [entry for entry in window if entry.task_id not in self._told]
        if news:
            self._told.update(entry.task_id for entry in news)
            scheduler = self._world.scheduler
            self._world.net.tell(scheduler, scheduler.offer, self._queue, news)

    def _push_due(self) -> None:
        """Mirrors ``QueueActor._wake_retries``."""
        self._push(may_wait=True)
