"""A unit of work's view of its connection: every call is done at once, in the connection's thread.

A unit is a coroutine function that awaits nothing but its session, so it never really waits. The
whole of it runs in one trip to the thread of the connection, instead of one trip per statement,
which cost more than the statements.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

Parameters = Sequence[Any] | Mapping[str, Any]


class Session:
    """What a unit may do."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def execute(self, sql: str, parameters: Parameters = ()) -> None:
        """One statement whose rows nobody wants."""
        self._connection.execute(sql, parameters)

    async def executemany(self, sql: str, parameters: Iterable[Parameters]) -> None:
        """One statement for each of many parameters."""
        self._connection.executemany(sql, parameters)

    async def execute_fetchall(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """All rows of one statement."""
        return self._connection.execute(sql, parameters).fetchall()


#: Work of one caller. It awaits nothing but its session.
Unit = Callable[[Session], Awaitable[T]]


def drive(unit: Unit[T], session: Session) -> T:
    """What ``unit`` returns, run to its end in this thread.

    Raises:
        RuntimeError: it awaited something else, which would hold the database up.
    """
    running = unit(session).__await__()
    try:
        next(running)
    except StopIteration as end:
        return end.value
    running.close()
    raise RuntimeError("a unit awaited something else than its session")
