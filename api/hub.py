"""Wake-ups inside the gateway's process: who waits for a task is told, and nobody polls."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import anyio


class Watcher:
    """One waiter's flag: changes coalesce into it, so a slow waiter costs no memory."""

    def __init__(self, *, console: bool) -> None:
        self.console = console
        self._changed = asyncio.Event()
        self._closed = False

    def wake(self) -> None:
        """Say that something changed."""
        self._changed.set()

    def close(self) -> None:
        """Say that nothing will change any more."""
        self._closed = True
        self._changed.set()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Whether something changed since the last wait, waiting for it at most ``timeout_s``.

        False when the time is over or the hub is closed: then there is no point in waiting again.
        """
        with anyio.move_on_after(timeout_s):
            await self._changed.wait()
        changed = self._changed.is_set() and not self._closed
        self._changed.clear()
        return changed


class Hub:
    """Publish and subscribe by task id, within one event loop.

    A reader subscribes first and reads then, so that a change between its reading and its
    waiting wakes it at once:

        with hub.watch(task_id) as watcher:
            while not good(await read()):
                if not await watcher.wait(remaining_s):
                    break

    The app passes on what the store commits; only console bytes are told by their route. All of
    it happens in the event loop the waiters run in.
    """

    def __init__(self) -> None:
        #: All and only watchers inside their ``with`` block: {task id: watchers}.
        self._watchers_by_task: dict[str, set[Watcher]] = {}
        self._closed = False

    def publish(self, task_id: str) -> None:
        """State, phase, or attempt of the task changed, or it was deleted."""
        for watcher in self._watchers_by_task.get(task_id, ()):
            watcher.wake()

    def console_grew(self, task_id: str) -> None:
        """Bytes of the task's console were stored."""
        for watcher in self._watchers_by_task.get(task_id, ()):
            if watcher.console:
                watcher.wake()

    @contextmanager
    def watch(self, task_id: str, *, console: bool = False) -> Generator[Watcher]:
        """A watcher of one task, of its console too where asked."""
        watcher = Watcher(console=console)
        if self._closed:
            watcher.close()
        self._watchers_by_task.setdefault(task_id, set()).add(watcher)
        try:
            yield watcher
        finally:
            rest = self._watchers_by_task[task_id]
            rest.discard(watcher)
            if not rest:
                del self._watchers_by_task[task_id]

    def close(self) -> None:
        """End every wait, now and from now on: the server is going down."""
        self._closed = True
        for watchers in self._watchers_by_task.values():
            for watcher in watchers:
                watcher.close()

    @property
    def n_watchers(self) -> int:
        """How many wait at this moment."""
        return sum(len(watchers) for watchers in self._watchers_by_task.values())
