"""One step of one task's life, written to the store: state, lease, queue, attempt and audit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dray.runtime import machine
from dray.runtime.errors import IllegalTransition, NotFound, StaleEpoch
from dray.runtime.ids import new_id
from dray.runtime.machine import Command, Head
from dray.runtime.states import TRANSITIONS, Phase, State, is_terminal
from dray.runtime.store import audit, database, models, rows
from dray.runtime.store.contract import By, Change
from dray.runtime.store.session import Session

_UPDATE = """
UPDATE tasks SET state = ?, phase = ?, phase_before = ?, epoch = ?, agent = ?, claim_id = ?,
    lease_expires_at = ?, queue = ?, cause = ?, n_requeues = ?,
    n_retries = ?, lost_agents = ?, not_before = ?
WHERE id = ? AND state = ? AND epoch = ?
RETURNING id
"""
_PENDING_SINCE = "UPDATE tasks SET updated_at = ?, enqueued_at = ?, ended_at = NULL WHERE id = ?"
_RUNNING_SINCE = "UPDATE tasks SET updated_at = ?, started_at = ?, ended_at = NULL WHERE id = ?"
_ENDED = "UPDATE tasks SET updated_at = ?, ended_at = ? WHERE id = ?"
_COMPLETED = "UPDATE tasks SET updated_at = ?, ended_at = ?, progress = 100 WHERE id = ?"
_TOUCHED = "UPDATE tasks SET updated_at = ? WHERE id = ?"
_OUT_OF_QUEUE = "UPDATE tasks SET updated_at = ?, enqueued_at = NULL WHERE id = ?"
_DRAFT_AGAIN = """
UPDATE tasks SET updated_at = ?, enqueued_at = NULL, started_at = NULL, ended_at = NULL,
    progress = NULL, initial_iteration = 0
WHERE id = ?
"""

_PUBLISHES = "SELECT 1 FROM tasks WHERE id = ? AND publish_on_completion"
_QUEUE_EXISTS = "SELECT 1 FROM queues WHERE name = ?"
_MAKE_QUEUE = "INSERT OR IGNORE INTO queues (id, name, created_at) VALUES (?, ?, ?)"
_ENTER_QUEUE = """
INSERT INTO queue_entries (rank, task_id, queue, priority, enqueued_at, resources, owner,
    not_before)
SELECT ?, t.id, t.queue, t.priority, COALESCE(?, t.enqueued_at, ?),
    json_extract(d.execution, '$.resources'), t.owner, t.not_before
FROM tasks t JOIN documents d ON d.task_id = t.id WHERE t.id = ?
"""
_FIRST_RANK = "SELECT MIN(rank) AS rank FROM queue_entries"
_LEAVE_QUEUE = "DELETE FROM queue_entries WHERE task_id = ?"
_PRIORITY = "UPDATE tasks SET priority = ? WHERE id = ?"
_ENTRY_PRIORITY = "UPDATE queue_entries SET priority = ? WHERE task_id = ?"

_OPEN_ATTEMPT = """
INSERT INTO attempts (task_id, epoch, agent, node, kind, claim_id, lease_ttl_s, claimed_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_CLOSE_ATTEMPT = """
UPDATE attempts SET ended_at = ?, cause = ? WHERE task_id = ? AND epoch = ? AND ended_at IS NULL
"""
_EXECUTING = """
UPDATE attempts SET executing_at = ? WHERE task_id = ? AND epoch = ? AND executing_at IS NULL
"""

_ENQUEUED_BY = """
SELECT 1 FROM audit WHERE task_id = ? AND event = 'enqueue' AND request_id = ? LIMIT 1
"""

_FORGET_OUTPUTS = (
    "DELETE FROM artifacts WHERE task_id = ?",
    "DELETE FROM attempts WHERE task_id = ?",
    "UPDATE documents SET runtime = '{}' WHERE task_id = ?",
)
_TO_PURGE = """
INSERT INTO purges (task_id, epoch) VALUES (?, ?)
ON CONFLICT (task_id) DO UPDATE SET epoch = excluded.epoch
"""


@dataclass(frozen=True)
class Opening:
    """Facts of an attempt that is being opened, beyond what the command says."""

    node: str
    lease_ttl_s: float


async def apply(
    connection: Session,
    now: float,
    task_id: str,
    command: Command,
    by: By,
    *,
    opening: Opening | None = None,
    priority: int | None = None,
    details: dict[str, Any] | None = None,
) -> Change:
    """Take one step inside the caller's transaction.

    Args:
        connection: the writer's, in a transaction.
        now: wall time of the step.
        task_id: whole id.
        command: what is to happen.
        by: who asked.
        opening: for commands that open an attempt.
        priority: for :class:`machine.Enqueue`: the new priority.
        details: more for the audit row.

    Raises:
        NotFound: no such task, or no such queue to enter.
        IllegalTransition: the table has no such step.
        StaleEpoch: the command speaks for an attempt that is over.
    """
    before = await rows.read_head(connection, task_id)
    _refuse_early(before, command, now)
    if isinstance(command, machine.Enqueue) and await _was_enqueued(connection, before, by):
        return await _told(connection, before, before)
    after = machine.step(before, command)
    if priority is not None and isinstance(command, machine.Enqueue):
        await connection.execute(_PRIORITY, (priority, task_id))
        await connection.execute(_ENTRY_PRIORITY, (priority, task_id))
    if after == before:
        # Telling a pending task's place again is how a new priority is heard of.
        return await _told(connection, before, after)
    await _write_head(connection, before, after)
    if after.state is not before.state:
        await _change_state(connection, now, before, after, command, opening, by)
    if _began_executing(before, after):
        await connection.execute(_EXECUTING, (now, task_id, after.epoch))
    event = event_name(before, after, command)
    if event:
        cause = after.cause if after.cause != before.cause else None
        await audit.record(connection, now, event, before, after, by, cause=cause, details=details)
    if await _is_to_be_published(connection, before, after):
        return await _published(connection, now, before, after, by)
    return await _told(connection, before, after)


async def _is_to_be_published(connection: Session, before: Head, after: Head) -> bool:
    if after.state is not State.COMPLETED or before.state is State.COMPLETED:
        return False
    return await database.row(connection, _PUBLISHES, (after.task_id,)) is not None


async def _published(
    connection: Session, now: float, before: Head, completed: Head, by: By
) -> Change:
    """Completed and published in one transaction: nobody sees the one without the other."""
    after = machine.step(completed, machine.Publish())
    await _write_head(connection, completed, after)
    await connection.execute(_TOUCHED, (now, after.task_id))
    await models.publish_last(connection, before.task_id, by, now)
    await audit.record(connection, now, "publish", completed, after, by)
    return await _told(connection, before, after)


async def _told(connection: Session, before: Head, after: Head) -> Change:
    """The change, to be told to the store's listeners once it is committed."""
    pending = after.state is State.PENDING
    entry = await rows.read_entry(connection, after.task_id) if pending else None
    change = Change(before, after, entry)
    same_but_lease = replace(before, lease_expires_at=after.lease_expires_at)
    if after != same_but_lease or entry is not None:  # a mere renewal is no news
        database.announce(change)
    return change


async def _was_enqueued(connection: Session, head: Head, by: By) -> bool:
    """Whether this very request was done before, and the task has come to its end since.

    Who got no answer asks again under the same id; a task that failed or was aborted in between
    must not run again for that.
    """
    if not (by.request_id and is_terminal(head.state)):
        return False
    asked = (head.task_id, by.request_id)
    return await database.row(connection, _ENQUEUED_BY, asked) is not None


def _refuse_early(head: Head, command: Command, now: float) -> None:
    """A holder that was heard of since its lease was looked at has not gone silent."""
    expires_at = head.lease_expires_at
    if isinstance(command, machine.LoseContact) and expires_at is not None and now < expires_at:
        raise StaleEpoch(
            f"attempt {head.epoch} of task {head.task_id[:8]} renewed its lease meanwhile",
            task_id=head.task_id,
            epoch=head.epoch,
        )


def event_name(before: Head, after: Head, command: Command) -> str:
    """What the audit calls this step; empty for a mere renewal."""
    if isinstance(command, machine.HandOver):
        return "hand_over"
    if after.state is not before.state:
        return next(
            str(event)
            for (start, event), end in TRANSITIONS.items()
            if start is before.state and end is after.state
        )
    if isinstance(command, machine.RequestStop):
        return "stop_requested"
    if after.phase is not before.phase:
        if after.phase is Phase.UNREACHABLE:
            return "unreachable"
        return "reachable" if before.phase is Phase.UNREACHABLE else str(after.phase)
    return ""


async def _write_head(connection: Session, before: Head, after: Head) -> None:
    """The difference, guarded by state and epoch: no row means somebody was faster."""
    written = await database.rows(
        connection,
        _UPDATE,
        (
            str(after.state),
            after.phase and str(after.phase),
            after.phase_before and str(after.phase_before),
            after.epoch,
            after.agent,
            after.claim_id,
            after.lease_expires_at,
            after.queue,
            rows.dump_cause(after.cause),
            after.n_requeues,
            after.n_retries,
            rows.dump(list(after.lost_agents)),
            after.not_before,
            before.task_id,
            str(before.state),
            before.epoch,
        ),
    )
    if len(written) != 1:
        raise StaleEpoch(
            f"task {before.task_id[:8]} is no longer {before.state} at attempt {before.epoch}",
            task_id=before.task_id,
            epoch=before.epoch,
        )


async def _change_state(
    connection: Session,
    now: float,
    before: Head,
    after: Head,
    command: Command,
    opening: Opening | None,
    by: By,
) -> None:
    task_id = after.task_id
    if before.state is State.PENDING:
        await connection.execute(_LEAVE_QUEUE, (task_id,))
    if before.state is State.RUNNING:
        ended = (now, rows.dump_cause(after.cause), task_id, before.epoch)
        await connection.execute(_CLOSE_ATTEMPT, ended)
    if after.state is State.PENDING:
        await _enter_queue(connection, now, after, command)
    elif after.state is State.RUNNING:
        await _open_attempt(connection, now, after, command, opening)
    elif after.state is State.DRAFT and is_terminal(before.state):
        await connection.execute(_DRAFT_AGAIN, (now, task_id))
        await models.forget_outputs(connection, task_id, by, now)
        await forget_outputs(connection, task_id, before.epoch)
    elif after.state is State.DRAFT:
        await connection.execute(_OUT_OF_QUEUE, (now, task_id))
    elif is_terminal(before.state):
        await connection.execute(_TOUCHED, (now, task_id))
        if after.state is State.PUBLISHED:
            await models.publish_last(connection, task_id, by, now)
    else:
        ended = _COMPLETED if after.state is State.COMPLETED else _ENDED
        await connection.execute(ended, (now, now, task_id))


async def _enter_queue(connection: Session, now: float, after: Head, command: Command) -> None:
    if not after.queue:
        raise IllegalTransition(
            f"task {after.task_id[:8]} came from no queue it could go back to",
            task_id=after.task_id,
        )
    rank: int | None = None  # the next one: at the end of the line
    since: float | None = now
    if isinstance(command, (machine.Enqueue, machine.HandOver)):
        await check_queue(connection, after.queue)
    else:  # its queue may have been deleted while it ran; the task must not be lost
        await connection.execute(_MAKE_QUEUE, (new_id(), after.queue, now))
        # It has had its turn before everything that waits now, and keeps its place.
        since = None
        first = await database.row(connection, _FIRST_RANK)
        if first is not None and first["rank"] is not None:
            rank = first["rank"] - 1
    await connection.execute(_ENTER_QUEUE, (rank, since, now, after.task_id))
    await connection.execute(_PENDING_SINCE, (now, now, after.task_id))


async def check_queue(connection: Session, name: str) -> None:
    """Refuse the name of a queue that is not there."""
    if await database.row(connection, _QUEUE_EXISTS, (name,)) is None:
        raise NotFound(
            f"there is no queue {name!r}; create it with `dray queue create {name}`", queue=name
        )


async def _open_attempt(
    connection: Session,
    now: float,
    after: Head,
    command: Command,
    opening: Opening | None,
) -> None:
    if opening is None or after.lease_expires_at is None:
        raise ValueError(f"{type(command).__name__} opens an attempt: use store.attempts for it")
    kind = "local" if isinstance(command, machine.StartLocal) else "agent"
    await connection.execute(_RUNNING_SINCE, (now, now, after.task_id))
    await connection.execute(
        _OPEN_ATTEMPT,
        (
            after.task_id,
            after.epoch,
            after.agent,
            opening.node,
            kind,
            after.claim_id,
            opening.lease_ttl_s,
            now,
        ),
    )


async def forget_outputs(connection: Session, task_id: str, epoch: int) -> None:
    """Delete what a task put out, here at once, elsewhere as soon as this has committed."""
    for sql in _FORGET_OUTPUTS:
        await connection.execute(sql, (task_id,))
    await connection.execute(_TO_PURGE, (task_id, epoch))


def _began_executing(before: Head, after: Head) -> bool:
    def executes(head: Head) -> bool:
        return Phase.EXECUTING in (head.phase, head.phase_before)

    return executes(after) and not executes(before)
