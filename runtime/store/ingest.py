"""Accept frames of an attempt: each byte once, whatever is repeated, lost or cut off.

A frame becomes durable in this order: facts of the task (idempotent), console bytes in their
files (idempotent), results together with the new offsets, and last the end of the attempt.
A crash in between leaves the offsets behind, so the shipper sends again what is not sure.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from dray.runtime import records
from dray.runtime.clock import Clock
from dray.runtime.errors import OffsetMismatch
from dray.runtime.execution import EnvironmentReport
from dray.runtime.machine import BeginExecuting, Finish, Head, Renew, check_epoch, is_told_by
from dray.runtime.models import StreamReceipt
from dray.runtime.records import CONSOLE_STREAMS, RECORDS, Frame
from dray.runtime.states import Phase
from dray.runtime.store import (
    attempts,
    console,
    database,
    facts,
    model_rows,
    results,
    rows,
    transitions,
)
from dray.runtime.store.audit import Audit
from dray.runtime.store.console import Console
from dray.runtime.store.contract import By, Change, FrameReply
from dray.runtime.store.database import Database
from dray.runtime.store.incoming import (
    Accepted,
    Claimed,
    End,
    Incoming,
    end_details,
    incoming_of,
    offsets,
    read_end,
    read_environment,
    read_records,
)
from dray.runtime.store.reserve import Level, Reserve
from dray.runtime.store.session import Session
from dray.runtime.store.task_locks import TaskLocks

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_STREAMS = "SELECT * FROM offsets WHERE task_id = ? AND epoch = ?"
_MOVE = """
INSERT INTO offsets (task_id, epoch, stream, n_bytes, tail, n_malformed, n_missing)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task_id, epoch, stream) DO UPDATE
SET n_bytes = excluded.n_bytes, tail = excluded.tail, n_malformed = excluded.n_malformed,
    n_missing = excluded.n_missing
"""
_ATTEMPT = "SELECT ended_at, cause, lease_ttl_s FROM attempts WHERE task_id = ? AND epoch = ?"
_FIRST_OUTPUT = """
UPDATE attempts SET first_output_at = ?
WHERE task_id = ? AND epoch = ? AND first_output_at IS NULL
"""


@dataclass(frozen=True)
class _Renewed:
    """What the first transaction of a frame came to."""

    before: Head
    head: Head
    ttl_s: float


class Ingest:
    """The way in for everything an attempt puts out."""

    def __init__(
        self,
        state: Database,
        results: Database,
        console: Console,
        clock: Clock,
        locks: TaskLocks,
        reserve: Reserve | None = None,
    ) -> None:
        self._state = state
        self._results = results
        self._console = console
        self._clock = clock
        self._locks = locks
        self._reserve = reserve
        self._audit = Audit(state)

    async def accept(self, task_id: str, epoch: int, frame: Frame, by: By) -> FrameReply:
        """Take in a frame and renew the attempt's lease.

        A frame that was taken in before is answered again; bytes that were accepted before
        are skipped.

        Raises:
            NotFound: no such task.
            StaleEpoch: the attempt is over.
            OffsetMismatch: bytes are missing before a chunk; ``expected`` says from where.
            InvalidInput: a finish or an environment that cannot be read.
        """
        end = read_end(frame.finish)
        environment = read_environment(frame.environment)
        lock = self._locks.of(task_id)
        async with lock:
            accepted = await self._accepted(task_id, epoch)
            if end is not None and (reply := await self._again(task_id, epoch, end, accepted)):
                return reply
            try:
                incoming = incoming_of(task_id, epoch, by, accepted, frame.chunks)
            except OffsetMismatch:
                # Whoever is over, or gone, must hear that: it would send the rest again for ever.
                check_epoch(await self._state.read(lambda s: rows.read_head(s, task_id)), epoch)
                raise
            await read_records(incoming)
            renewed = await self._renew(incoming, environment, executing=frame.executing)
            await self._write(incoming)
            change = Change(renewed.before, renewed.head)
            if end is not None:
                finished = await self._finish(incoming, end)
                change = Change(renewed.before, finished.after)
            return _reply(incoming, change, renewed.ttl_s)

    async def _accepted(self, task_id: str, epoch: int) -> dict[str, Accepted]:
        found = await self._results.rows(_STREAMS, (task_id, epoch))
        return {
            row["stream"]: Accepted(
                row["n_bytes"], row["tail"], row["n_malformed"], row["n_missing"]
            )
            for row in found
        }

    async def _again(
        self, task_id: str, epoch: int, end: End, accepted: dict[str, Accepted]
    ) -> FrameReply | None:
        """The reply to a finish whose effect already stands."""

        async def look(session: Session) -> tuple[Head, sqlite3.Row | None]:
            head = await rows.read_head(session, task_id)
            return head, await database.row(session, _ATTEMPT, (task_id, epoch))

        head, row = await self._state.read(look)
        stored = rows.load_cause(row["cause"]) if row is not None and row["ended_at"] else None
        if row is None or stored is None or not is_told_by(stored, end.cause):
            return None
        incoming = Incoming(task_id, epoch, By(""), accepted)
        return _reply(incoming, Change(head, head), row["lease_ttl_s"])

    async def _renew(
        self, incoming: Incoming, environment: EnvironmentReport | None, *, executing: bool
    ) -> _Renewed:
        task_id, epoch, by = incoming.task_id, incoming.epoch, incoming.by

        async def unit(connection: Session) -> _Renewed:
            now = self._clock.now()
            await rows.read_head(connection, task_id)
            ttl_s = await attempts.read_ttl(connection, task_id, epoch)
            renew = Renew(epoch, now + ttl_s)
            change = await transitions.apply(connection, now, task_id, renew, by)
            before, after = change.before, change.after
            if executing:
                begin = BeginExecuting(epoch)
                after = (await transitions.apply(connection, now, task_id, begin, by)).after
            if any(run.stream in (records.STDOUT, records.STDERR) for run in incoming.runs):
                await connection.execute(_FIRST_OUTPUT, (now, task_id, epoch))
            if environment is not None:
                await attempts.set_environment(connection, task_id, epoch, environment)
            await facts.write(connection, task_id, incoming.parsed.facts, now)
            return _Renewed(before, after, ttl_s)

        return await self._state.write(unit)

    async def _write(self, incoming: Incoming) -> None:
        """Console bytes to files, then results, index and offsets in one transaction."""
        if not incoming.is_new():
            return
        task_id, epoch, now = incoming.task_id, incoming.epoch, self._clock.now()
        if incoming.runs:
            await self._keep_console(incoming)
        moved, of_models = incoming.moved(), incoming.parsed.of_models
        models = set[str]()

        async def unit(connection: Session) -> None:
            for run, position in incoming.placed():
                await console.index(connection, task_id, epoch, run, position, now)
            await results.write_batch(connection, task_id, epoch, incoming.parsed.batch)
            for model_id in models:
                await results.write_batch(connection, model_id, 0, of_models[model_id])
            for stream, after in moved.items():
                if after is not incoming.accepted.get(stream):
                    how_far = (after.n_bytes, after.tail, after.n_malformed, after.n_missing)
                    await connection.execute(_MOVE, (task_id, epoch, stream, *how_far))

        async with AsyncExitStack() as held:
            for model_id in sorted(of_models):  # a purge of its reports waits until we are done
                await held.enter_async_context(self._locks.of(model_id))
            models = await self._models_there(of_models)
            await self._results.write(unit)
        if incoming.parsed.n_malformed:
            await self._note_malformed(incoming)

    async def _models_there(self, ids: Iterable[str]) -> set[str]:
        """Those models that can have reports: one may have been deleted meanwhile."""
        wanted = list(ids)
        if not wanted:
            return set()
        return await self._state.read(lambda session: model_rows.there(session, wanted))

    async def _keep_console(self, incoming: Incoming) -> None:
        """Write the console's bytes, or make them a gap where the disk has no room to spare."""
        has_room = self._reserve is None or self._reserve.level() < Level.NO_CONSOLE
        if has_room:
            try:
                await asyncio.to_thread(self._append, incoming)
            except OSError as exc:
                if exc.errno not in _NO_ROOM:
                    raise
                has_room = False
        if not has_room:
            incoming.runs = [run.without_bytes() for run in incoming.runs]

    async def _note_malformed(self, incoming: Incoming) -> None:
        head = await self._state.read(lambda session: rows.read_head(session, incoming.task_id))
        details = {
            "n_lines": incoming.parsed.n_malformed,
            "n_lines_in_all": incoming.moved()[RECORDS].n_malformed,
            "first": incoming.parsed.sample,
        }
        await self._audit.note("records_malformed", head, incoming.by, self._clock.now(), details)

    async def _finish(self, incoming: Incoming, end: End) -> Change:
        task_id, epoch = incoming.task_id, incoming.epoch
        moved = incoming.moved()
        receipt = {
            stream: await self._compare(incoming, stream, said, moved.get(stream, Accepted()))
            for stream, said in end.receipt.items()
        }
        details = end_details(receipt, moved)
        # Nobody sends again what a closed attempt put out, so it must be as durable as its end.
        await self._results.sync()

        async def unit(connection: Session) -> Change:
            await attempts.set_receipt(connection, task_id, epoch, receipt)
            now = self._clock.now()
            finish = Finish(epoch, end.cause, now)
            return await transitions.apply(
                connection, now, task_id, finish, incoming.by, details=details
            )

        return await self._state.write(unit)

    def _append(self, incoming: Incoming) -> None:
        for run, position in incoming.placed():
            if run.data:
                self._console.append(
                    incoming.task_id, incoming.epoch, run.stream, position, run.data
                )

    async def _compare(
        self, incoming: Incoming, stream: str, said: Claimed, has: Accepted
    ) -> StreamReceipt:
        """What was written against what is stored; records are judged by their length alone."""
        of, stored_bytes = (incoming.task_id, incoming.epoch, stream), has.n_bytes - has.n_missing
        exact = (has.n_bytes, has.n_missing) == (said.n_bytes, said.missing_bytes)
        if exact and stream in CONSOLE_STREAMS:
            digest = await asyncio.to_thread(self._console.digest, *of, stored_bytes)
            exact = digest == said.kept_sha256
        gaps = await self._console.gaps(*of) if has.n_missing else []
        return StreamReceipt(said.n_bytes, said.sha256, stored_bytes, exact, has.n_missing, gaps)


def _reply(incoming: Incoming, change: Change, ttl_s: float) -> FrameReply:
    head = change.after
    is_stopping = Phase.STOPPING in (head.phase, head.phase_before)
    return FrameReply(
        offsets=offsets(incoming.moved()),
        state=head.state,
        phase=head.phase,
        stop=head.cause if is_stopping else None,
        lease_ttl_s=ttl_s,
        change=change,
        n_console_bytes=incoming.n_console_bytes(),
    )
