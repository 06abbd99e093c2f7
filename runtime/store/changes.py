"""Tell who listens what a commit did to a task, so that nobody has to ask again and again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from dray.runtime.store.contract import Change

_log = logging.getLogger(__name__)

Listener = Callable[[Change], None]


class Changes:
    """Listeners, called after the commit, in the order in which they subscribed."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call ``listener`` with every change from now on; it must not block."""
        self._listeners.append(listener)

    def tell(self, change: Change) -> Change:
        """Pass on a change that was committed; a mere renewal is none. Returns ``change``."""
        if change.entry is not None or _is_news(change):
            for listener in self._listeners:
                try:
                    listener(change)
                except Exception:  # the commit stands; the others must still hear of it
                    _log.exception("a listener failed on task %s", change.after.task_id)
        return change


def _is_news(change: Change) -> bool:
    return change.after != replace(change.before, lease_expires_at=change.after.lease_expires_at)
