"""The store: one facade over the repositories, the two databases and the files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

from dray.runtime.clock import Clock
from dray.runtime.errors import StoreUnusable
from dray.runtime.paths import HomePaths
from dray.runtime.store.agents import Agents
from dray.runtime.store.artifacts import Artifacts
from dray.runtime.store.attempts import Attempts
from dray.runtime.store.audit import Audit
from dray.runtime.store.backup import Backup, Moment, clear_aside
from dray.runtime.store.ballast import Ballast
from dray.runtime.store.blobs import Blobs
from dray.runtime.store.console import Console
from dray.runtime.store.contract import Change
from dray.runtime.store.database import Database
from dray.runtime.store.fencing import Fencing
from dray.runtime.store.going_on import GoingOn
from dray.runtime.store.holding import Holding
from dray.runtime.store.idempotency import Idempotency
from dray.runtime.store.ingest import Ingest
from dray.runtime.store.migrate import migrate, migrations
from dray.runtime.store.models import Models
from dray.runtime.store.outputs import Outputs
from dray.runtime.store.outside import OutsideReports
from dray.runtime.store.partial_blobs import PartialBlobs
from dray.runtime.store.projects import Projects
from dray.runtime.store.queues import Queues
from dray.runtime.store.refusals import Refusals
from dray.runtime.store.reserve import Limits, Reserve
from dray.runtime.store.results import Results
from dray.runtime.store.session import Session
from dray.runtime.store.task_locks import TaskLocks
from dray.runtime.store.task_search import TaskSearches
from dray.runtime.store.tasks import Tasks


class Store:
    """Everything Dray keeps. Open it once per data folder; close it with ``async with``.

    Owns: both databases, blobs and console files of the folder. Guarantees: what a method
    returned after a change is durable; a method that raised has changed nothing.
    """

    def __init__(
        self,
        home: HomePaths,
        clock: Clock,
        reserve: Reserve,
        holding: Holding,
        state: Database,
        results: Database,
    ) -> None:
        self._home = home
        self._clock = clock
        self._holding = holding
        self.reserve = reserve
        self._state = state
        self._results_db = results
        self.console = Console(home, results)
        self.results = Results(results)
        locks = TaskLocks()
        self._outputs = Outputs(state, results, self.console, locks)
        self.agents = Agents(state)
        self.queues = Queues(state, clock, self.agents)
        self.projects = Projects(state, clock)
        going_on = GoingOn(state, self.results, locks)
        self.tasks = Tasks(state, self.results, clock, going_on, self._outputs.purge)
        self.searches = TaskSearches(state, self.results, results)
        self.attempts = Attempts(state, clock, going_on)
        self.refusals = Refusals(state, clock)
        self.artifacts = Artifacts(state)
        self.models = Models(state, clock, self._outputs.purge)
        self.audit = Audit(state)
        self.fencing = Fencing(state, clock)
        self.blobs = Blobs(home.blobs, reserve)
        self.partial_blobs = PartialBlobs(home.blobs, self.blobs, reserve, clock)
        self.idempotency = Idempotency(state, clock)
        self.outside = OutsideReports(state, results, locks)
        self.ingest = Ingest(state, results, self.console, clock, locks, reserve)

    @classmethod
    async def open(cls, home: HomePaths, clock: Clock, limits: Limits | None = None) -> Store:
        """The store of a data folder, made or brought to the newest schema where needed.

        Args:
            home: the data folder.
            clock: the time of whatever happens.
            limits: the free space to keep; None: the defaults.

        Raises:
            StoreUnusable: not writable, held by another server, damaged, or newer than us.
        """
        holding = await asyncio.to_thread(Holding.take, home.state_db.parent)
        opened: list[Database] = []
        try:
            reserve = Reserve(home.state_db.parent, clock, limits)
            ballast = Ballast(home.ballast, reserve)
            await asyncio.to_thread(ballast.prepare)
            await asyncio.to_thread(_prepare, home)
            opened.append(await Database.open(home.state_db, synchronous="FULL", ballast=ballast))
            opened.append(
                await Database.open(
                    home.results_db, synchronous="NORMAL", guard=ballast.require_room_for_results
                )
            )
            store = cls(home, clock, reserve, holding, *opened)
            await asyncio.to_thread(store.blobs.clear_incoming)
            await asyncio.to_thread(store.partial_blobs.sweep)
            await store._outputs.purge()
        except BaseException:
            for one in opened:
                await one.close()
            holding.release()
            raise
        return store

    @asynccontextmanager
    async def backup(self) -> AsyncGenerator[Iterator[bytes]]:
        """The bytes of a backup of this moment, to be asked for off the loop, one at a time.

        The store goes on; what is given up meanwhile is deleted afterwards.

        Raises:
            InsufficientStorage: no room for the copies of the databases.
            StoreUnusable: a file has less than the databases say.
        """

        async def open_moment(_: Session) -> Moment:
            return Moment.open(self._home)

        async with self._outputs.kept():
            moment = await self._state.write(open_moment)
            try:
                made_at = self._clock.now()
                made = await asyncio.to_thread(Backup.prepare, self._home, moment, made_at)
            finally:
                moment.close()
            try:
                yield made.blocks()
            finally:
                await asyncio.to_thread(made.close)

    def subscribe(self, listener: Callable[[Change], None]) -> None:
        """Call ``listener`` with every change of a task's head, right after its commit.

        A pending task's place is told again when it changes. The listener must not block.
        """
        self._state.subscribe(lambda thing: listener(thing) if isinstance(thing, Change) else None)

    async def close(self) -> None:
        """Finish what was begun and let others open the folder; a second call is harmless."""
        await self._state.close()
        await self._results_db.close()
        self._holding.release()

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _prepare(home: HomePaths) -> None:
    if home.restoring.exists():
        raise StoreUnusable(
            f"{home.root} is being restored, or that was broken off: run the same "
            "`dray backup restore FILE --force` again",
            path=str(home.root),
        )
    clear_aside(home)
    try:
        for folder in (home.blobs, home.console):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as exc:
        raise StoreUnusable(f"{home.root} cannot be written: {exc}", path=str(home.root)) from exc
    schemas: tuple[tuple[str, Path], ...] = (
        ("state", home.state_db),
        ("results", home.results_db),
    )
    for schema, path in schemas:
        migrate(path, migrations(schema), home.snapshots)
