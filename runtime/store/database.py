"""One SQLite file: a single writer that groups commits, and readers beside it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import aiosqlite

from dray.runtime.errors import DrayError, InsufficientStorage, StoreUnusable
from dray.runtime.folders import sync_file
from dray.runtime.store.ballast import Ballast, is_full
from dray.runtime.store.migrate import is_damage
from dray.runtime.store.session import Parameters, Session, Unit, drive

T = TypeVar("T")

#: What the running unit has announced; told to listeners if and when it is committed.
_announced: ContextVar[list[object]] = ContextVar("announced")

_log = logging.getLogger(__name__)

#: Units in one commit at most, so that the first of a flood does not wait for the last.
_GROUP_LIMIT = 200
_N_READERS = 3
#: aiosqlite's own default; it is about cursors, which are not used here.
_ITER_CHUNK_SIZE = 64
#: Only a backup tool from outside can hold the file; wait for it rather than fail.
_BUSY_TIMEOUT_S = 10.0
#: A hundred thousand waiting tasks and their indexes stay in memory.
_CACHE_KIB = 64 << 10


class _Connection(aiosqlite.Connection):
    """aiosqlite's connection, on whose thread a whole function may run."""

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` returns, in one trip to the thread."""
        execute = cast("Any", self._execute)  # pyright: ignore[reportUnknownMemberType]  (untyped)
        return cast("T", await execute(work, self._conn))


@dataclass
class _Waiting(Generic[T]):
    unit: Unit[T]
    future: asyncio.Future[T]


@dataclass
class _Outcome:
    waiting: _Waiting[Any]
    value: Any = None
    error: BaseException | None = None
    announced: list[object] = field(default_factory=list[object])

    def settle(self) -> None:
        if self.waiting.future.done():  # its caller was cancelled; the work stands all the same
            return
        if self.error is not None:
            self.waiting.future.set_exception(self.error)
        else:
            self.waiting.future.set_result(self.value)


class Database:
    """An open file. All writes go through :meth:`write`, in the order they were handed in."""

    def __init__(
        self,
        path: Path,
        writer: _Connection,
        readers: list[_Connection],
        ballast: Ballast | None,
        guard: Callable[[], None] | None,
    ) -> None:
        self._path = path
        self._ballast = ballast
        self._guard = guard
        self._writer = writer
        self._readers = readers
        self._free: asyncio.Queue[_Connection] = asyncio.Queue()
        for reader in readers:
            self._free.put_nowait(reader)
        self._inbox: asyncio.Queue[_Waiting[Any] | None] = asyncio.Queue()
        self._closed = False
        self._listeners: list[Callable[[object], None]] = []
        self._loop_task = asyncio.create_task(self._serve(), name=f"writer of {path.name}")

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        synchronous: str,
        ballast: Ballast | None = None,
        guard: Callable[[], None] | None = None,
    ) -> Database:
        """The database in ``path``, whose schema is already there.

        Args:
            path: the file.
            synchronous: ``FULL`` where a commit must survive a power cut, else ``NORMAL``.
            ballast: given up for a commit that finds the disk full.
            guard: asked before each write; raises where there is no room for it.

        Raises:
            StoreUnusable: the file cannot be opened.
        """
        connections: list[_Connection] = []
        try:
            for i in range(1 + _N_READERS):
                one = await _connect(path, synchronous, read_only=i > 0)
                connections.append(one)
        except sqlite3.Error as exc:
            for connection in connections:
                await connection.close()
            raise StoreUnusable(f"{path} cannot be opened: {exc}", path=str(path)) from exc
        return cls(path, connections[0], connections[1:], ballast, guard)

    async def close(self) -> None:
        """Finish what was handed in, then close; a second call is harmless."""
        if self._closed:
            return
        self._closed = True
        self._inbox.put_nowait(None)
        await asyncio.wait([self._loop_task])
        for connection in (*self._readers, self._writer):
            await connection.close()

    async def write(self, unit: Unit[T], *, gives_room: bool = False) -> T:
        """What ``unit`` returns, once its changes are durable.

        A unit that raises undoes its own changes only. A caller that is cancelled no longer
        waits; work that has begun is still committed.

        Args:
            unit: the work.
            gives_room: it deletes, so it is done on a full disk too.

        Raises:
            InsufficientStorage: the disk is full.
            StoreUnusable: it is closed, or cannot be written.
        """
        if self._guard is not None and not gives_room:
            self._guard()
        if self._closed:
            raise StoreUnusable(f"{self._path.name} is closed", path=str(self._path))
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait(_Waiting(unit, future))
        return await future

    def subscribe(self, listener: Callable[[object], None]) -> None:
        """Call ``listener`` with everything that was announced, in order, after its commit.

        It runs before the caller of :meth:`write` goes on; it must not block.
        """
        self._listeners.append(listener)

    async def read(self, unit: Unit[T]) -> T:
        """What ``unit`` returns, run beside the writer; it sees everything that was committed."""
        if self._closed:
            raise StoreUnusable(f"{self._path.name} is closed", path=str(self._path))
        reader = await self._free.get()
        try:
            return await reader.run(lambda connection: drive(unit, Session(connection)))
        except sqlite3.DatabaseError as exc:
            if not is_damage(exc):
                raise
            raise _explain(self._path, exc) from exc
        finally:
            self._free.put_nowait(reader)

    async def sync(self) -> None:
        """Return once everything that was committed survives a power cut.

        Where ``synchronous`` is ``NORMAL`` a commit is in the log of writes but perhaps not on
        the disk; what the log holds is as durable as the log.
        """
        log = self._path.with_name(f"{self._path.name}-wal")
        await asyncio.to_thread(sync_file, log)

    async def rows(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """All rows of one query, read beside the writer."""
        return await self.read(lambda session: rows(session, sql, parameters))

    async def row(self, sql: str, parameters: Parameters = ()) -> sqlite3.Row | None:
        """The first row of one query, read beside the writer."""
        found = await self.rows(sql, parameters)
        return found[0] if found else None

    async def _serve(self) -> None:
        while True:
            group = [await self._inbox.get()]
            while len(group) < _GROUP_LIMIT and not self._inbox.empty():
                group.append(self._inbox.get_nowait())
            waiting = [w for w in group if w is not None and not w.future.cancelled()]
            try:
                await self._commit(waiting)
            except asyncio.CancelledError:
                for one in waiting:
                    one.future.cancel()
                raise
            if None in group:  # close() hands it in last
                return

    async def _commit(self, group: list[_Waiting[Any]]) -> None:
        """Run a group in one transaction and settle every future."""
        if not group:
            return
        try:
            outcomes = await self._writer.run(lambda c: self._run(c, group))
        except Exception as exc:  # every caller must hear of it, whatever it was
            failure = _explain(self._path, exc)
            outcomes = [_Outcome(waiting, error=failure) for waiting in group]
        for outcome in outcomes:
            self._tell(outcome.announced)
            outcome.settle()

    def _run(self, connection: sqlite3.Connection, group: list[_Waiting[Any]]) -> list[_Outcome]:
        """A group in the writer's thread; on a full disk once more, without the ballast."""
        if self._ballast is None:
            return _run_group(connection, group, self._path)
        if self._ballast.is_out:
            self._ballast.take_again()
        try:
            return _run_group(connection, group, self._path)
        except sqlite3.Error as exc:
            if not is_full(exc) or not self._ballast.release():
                raise
        return _run_group(connection, group, self._path)

    def _tell(self, announced: list[object]) -> None:
        for thing in announced:
            for listener in self._listeners:
                try:
                    listener(thing)
                except Exception:  # what was committed stands, whatever a listener does
                    _log.exception("%s: a listener failed", self._path.name)


def _run_group(
    connection: sqlite3.Connection, group: list[_Waiting[Any]], path: Path
) -> list[_Outcome]:
    """All units of a group in one transaction, in the connection's thread."""
    session = Session(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [_run_unit(connection, session, waiting, path) for waiting in group]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            _roll_back(connection, path)
        raise
    return outcomes


def _run_unit(
    connection: sqlite3.Connection, session: Session, waiting: _Waiting[Any], path: Path
) -> _Outcome:
    """One unit in a savepoint; an error that ended the whole transaction is raised."""
    announced: list[object] = []
    _announced.set(announced)
    connection.execute("SAVEPOINT unit")
    try:
        value = drive(waiting.unit, session)
    except Exception as exc:
        if is_full(exc) or not connection.in_transaction:  # SQLite may have undone everything
            raise
        connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")
        error = _explain(path, exc) if isinstance(exc, sqlite3.Error) else exc
        return _Outcome(waiting, error=error)
    connection.execute("RELEASE unit")
    return _Outcome(waiting, value=value, announced=announced)


def _roll_back(connection: sqlite3.Connection, path: Path) -> None:
    try:
        connection.execute("ROLLBACK")
    except sqlite3.Error as exc:
        _log.warning("%s: rolling back failed: %s", path.name, exc)


def announce(thing: object) -> None:
    """Within a unit: have listeners told of ``thing`` once the unit is committed."""
    _announced.get().append(thing)


async def rows(session: Session, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
    """All rows of a statement; with ``RETURNING``, those a write touched."""
    return await session.execute_fetchall(sql, parameters)


async def row(session: Session, sql: str, parameters: Parameters = ()) -> sqlite3.Row | None:
    """The first row of a statement, or None."""
    found = await rows(session, sql, parameters)
    return found[0] if found else None


async def _connect(path: Path, synchronous: str, *, read_only: bool) -> _Connection:
    connection = _Connection(
        lambda: sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_S),
        _ITER_CHUNK_SIZE,
    )
    await connection
    try:
        connection.row_factory = sqlite3.Row
        await connection.executescript(
            f"PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON; "
            f"PRAGMA cache_size = -{_CACHE_KIB}; PRAGMA query_only = {int(read_only)};"
        )
    except BaseException:
        await connection.close()  # its thread would keep the process alive
        raise
    return connection


def _explain(path: Path, exc: BaseException) -> DrayError:
    error: DrayError
    if is_full(exc):
        message = f"{path.name} could not be written: the disk of {path.parent} is full; make room"
        error = InsufficientStorage(message, path=str(path))
    elif is_damage(exc):
        message = f"{path} is damaged ({exc}); restore a backup: dray backup restore FILE --force"
        error = StoreUnusable(message, path=str(path))
    else:
        error = StoreUnusable(f"{path.name} could not be written: {exc}", path=str(path))
    error.__cause__ = exc
    return error
