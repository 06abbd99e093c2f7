"""A unit of work's view of its connection: every call is done at once, in the connection's thread.

A unit is a coroutine function that awaits nothing but its session, so it never really waits. The
whole of it runs in one trip to the thread of the connection, instead of one trip per statement,
which cost more than the statements.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

Parameters = Sequence[Any] | Mapping[str, Any]

#: Of SQLite's machine: a few milliseconds.
_STEPS_BETWEEN_LOOKS = 20_000


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

    @contextmanager
    def searching(
        self, functions: Mapping[str, Callable[..., Any]], is_over: Callable[[], bool]
    ) -> Generator[None]:
        """Have SQL call ``functions`` by name meanwhile, and end statements once ``is_over``."""
        for name, function in functions.items():
            self._connection.create_function(name, -1, function)
        self._connection.set_progress_handler(lambda: int(is_over()), _STEPS_BETWEEN_LOOKS)
        try:
            yield
        finally:
            self._connection.set_progress_handler(None, 0)
            for name in functions:
                self._connection.create_function(name, -1, None)

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
