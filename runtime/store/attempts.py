"""Attempts and their leases: claimed, started by hand, renewed, handed over."""

from __future__ import annotations

import builtins
from typing import Any

from dray.runtime import codec, machine
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.clock import Clock
from dray.runtime.errors import IllegalTransition, NotFound, StaleEpoch
from dray.runtime.execution import EnvironmentReport
from dray.runtime.machine import Claim, Command, HandOver, Head, Renew, StartLocal
from dray.runtime.models import Attempt, Parameter, Policy, StreamReceipt, Task
from dray.runtime.states import Phase
from dray.runtime.store import database, rows, task_edit, transitions
from dray.runtime.store.contract import Assignment, By, Change, ClaimRequest, OpenAttempt
from dray.runtime.store.database import Database
from dray.runtime.store.fencing import fenced
from dray.runtime.store.going_on import GoingOn
from dray.runtime.store.session import Session
from dray.runtime.store.transitions import Opening

_LIST = """
SELECT a.*, t.epoch AS task_epoch, t.phase AS task_phase, t.lease_expires_at
FROM attempts a JOIN tasks t ON t.id = a.task_id WHERE a.task_id = ? ORDER BY a.epoch
"""
_OPEN = """
SELECT t.id, t.epoch, t.agent, t.phase, t.phase_before, t.lease_expires_at, t.queue, t.owner,
    t.cause, a.kind, a.node, a.claimed_at
FROM tasks t INDEXED BY tasks_running JOIN attempts a ON a.task_id = t.id AND a.epoch = t.epoch
WHERE t.state = 'running' ORDER BY t.id
"""
_CLAIM_IS_OVER = """
SELECT 1 FROM attempts WHERE task_id = ? AND claim_id = ? AND ended_at IS NOT NULL
"""
_TTL = "SELECT lease_ttl_s FROM attempts WHERE task_id = ? AND epoch = ?"
_SET_TTL = "UPDATE attempts SET lease_ttl_s = ? WHERE task_id = ? AND epoch = ?"
_ENVIRONMENT = "UPDATE attempts SET environment = ? WHERE task_id = ? AND epoch = ? RETURNING epoch"
_RECEIPT = "UPDATE attempts SET receipt = ? WHERE task_id = ? AND epoch = ?"
_EXTEND_ALL = """
UPDATE tasks SET lease_expires_at = ? + a.lease_ttl_s FROM attempts a
WHERE a.task_id = tasks.id AND a.epoch = tasks.epoch AND tasks.state = 'running'
    AND tasks.phase <> 'unreachable'
"""
_END = "SELECT cause FROM attempts WHERE task_id = ? AND epoch = ? AND ended_at IS NOT NULL"
_POLICY = "UPDATE tasks SET policy = ? WHERE id = ?"
_DOCUMENTS = "UPDATE documents SET execution = ?, parameters = ? WHERE task_id = ?"


class Attempts:
    """At most one open per task; whoever holds its lease may write for it."""

    def __init__(self, state: Database, clock: Clock, going_on: GoingOn) -> None:
        self._state = state
        self._clock = clock
        self._going_on = going_on

    async def claim(
        self, requests: builtins.list[ClaimRequest], by: By
    ) -> builtins.list[Assignment | None]:
        """Claim each task that is still pending, all in one transaction.

        Returns:
            One entry per request: None where the task is gone or no longer pending. A claim
            that was made already, by its ``claim_id``, is answered again; None once its attempt
            is over, so that a late repetition never opens another.
        """

        async def unit(connection: Session) -> builtins.list[int | None]:
            return [await self._claim(connection, request, by) for request in requests]

        epochs = await self._state.write(unit)
        claimed = [r.task_id for r, epoch in zip(requests, epochs, strict=True) if epoch]
        tasks = await self._state.read(lambda session: rows.load_tasks(session, claimed))
        return [
            _assignment(tasks.get(request.task_id), epoch, request)
            for request, epoch in zip(requests, epochs, strict=True)
        ]

    async def _claim(self, connection: Session, request: ClaimRequest, by: By) -> int | None:
        key = (request.task_id, request.claim_id)
        if await database.row(connection, _CLAIM_IS_OVER, key) is not None:
            return None
        expires_at = self._clock.now() + request.lease_ttl_s
        command = Claim(request.agent, request.claim_id, expires_at)
        try:
            return await self._take(connection, request, command, by)
        except (IllegalTransition, NotFound):
            return None

    async def start_local(
        self,
        task_id: str,
        agent: str,
        node: str,
        claim_id: str,
        lease_ttl_s: float,
        by: By,
        *,
        initial_iteration: int | None = None,
    ) -> Assignment:
        """The right to run a task by hand: a draft, or one that failed or was aborted and goes on.

        Args:
            task_id: whole id.
            agent: ``local:HOST``.
            node: host it runs on.
            claim_id: made by the caller, so that a repeated start is answered again.
            lease_ttl_s: length of the lease.
            by: who asked.
            initial_iteration: count iterations from there; None: from the last one reported plus
                one where the task goes on.

        Raises:
            NotFound: no such task.
            IllegalTransition: it waits, runs, is completed or published.
        """
        request = ClaimRequest(task_id, agent, node, claim_id, lease_ttl_s)
        command = StartLocal(agent, claim_id, self._clock.now() + lease_ttl_s)

        async def unit(connection: Session) -> int:
            return await self._take(connection, request, command, by)

        epoch = await self._going_on.step(
            task_id, fenced(by, unit), initial_iteration=initial_iteration
        )
        tasks = await self._state.read(lambda session: rows.load_tasks(session, [task_id]))
        assignment = _assignment(tasks.get(task_id), epoch, request)
        if assignment is None:
            raise NotFound(f"task {task_id} was deleted", id=task_id)
        return assignment

    async def _take(
        self,
        connection: Session,
        request: ClaimRequest,
        command: Claim | StartLocal,
        by: By,
    ) -> int:
        change = await transitions.apply(
            connection,
            self._clock.now(),
            request.task_id,
            command,
            by,
            opening=Opening(request.node, request.lease_ttl_s),
            details={"agent": request.agent, "node": request.node},
        )
        return change.after.epoch

    async def renew(self, task_id: str, epoch: int, lease_ttl_s: float | None = None) -> Head:
        """The head after the holder was heard of.

        Args:
            task_id: whole id.
            epoch: of the attempt.
            lease_ttl_s: length from now on; None: as it was claimed.

        Raises:
            NotFound: no such task.
            StaleEpoch: the attempt is over.
        """

        async def unit(connection: Session) -> Head:
            ttl_s = lease_ttl_s or await read_ttl(connection, task_id, epoch)
            now = self._clock.now()
            change = await transitions.apply(
                connection, now, task_id, Renew(epoch, now + ttl_s), By(f"attempt:{epoch}")
            )
            if lease_ttl_s is not None:
                await connection.execute(_SET_TTL, (lease_ttl_s, task_id, epoch))
            return change.after

        return await self._state.write(unit)

    async def extend_all(self) -> None:
        """Give every open attempt a full lease from now: the server was down, not they.

        Those that were unreachable before stay so, since then.
        """
        now = self._clock.now()

        async def unit(connection: Session) -> None:
            await connection.execute(_EXTEND_ALL, (now,))

        await self._state.write(unit)

    async def open(self) -> builtins.list[OpenAttempt]:
        """Every running task as whoever watches leases sees it."""
        return [
            OpenAttempt(
                task_id=row["id"],
                epoch=row["epoch"],
                agent=row["agent"],
                phase=Phase(row["phase"]),
                lease_expires_at=row["lease_expires_at"],
                kind=row["kind"],
                node=row["node"],
                queue=row["queue"],
                owner=row["owner"],
                claimed_at=row["claimed_at"],
                stop=rows.load_cause(row["cause"])
                if Phase.STOPPING.value in (row["phase"], row["phase_before"])
                else None,
            )
            for row in await self._state.rows(_OPEN)
        ]

    async def list(self, task_id: str) -> builtins.list[Attempt]:
        """Every attempt of a task's present life, first first."""
        return [rows.attempt_of(row) for row in await self._state.rows(_LIST, (task_id,))]

    async def set_environment(self, task_id: str, epoch: int, report: EnvironmentReport) -> None:
        """Write down what was prepared for an attempt.

        Raises:
            StaleEpoch: there is no such attempt.
        """

        async def unit(connection: Session) -> None:
            await set_environment(connection, task_id, epoch, report)

        await self._state.write(unit)

    async def hand_over(
        self,
        task_id: str,
        epoch: int,
        queue: str,
        by: By,
        *,
        execution: dict[str, Any] | None = None,
        parameters: dict[str, Parameter] | None = None,
        policy: Policy | None = None,
        receipt: dict[str, StreamReceipt] | None = None,
    ) -> Change:
        """Move a run that was started by hand into a queue, with what it captured so far.

        Args:
            task_id: whole id.
            epoch: of the local attempt, which ends.
            queue: where the task is to wait.
            by: who asked.
            execution: members of ``runtime.execution.Execution`` to change.
            parameters: merged into the task's.
            policy: the task's from now on; None: as it was.
            receipt: what the local run wrote.

        Raises:
            NotFound: no such task or queue.
            StaleEpoch: the attempt is over.
            InvalidInput: a member of ``execution`` or ``policy`` that cannot be used.
        """
        if policy is not None:
            task_edit.check_policy(policy)

        async def unit(connection: Session) -> Change:
            head = await rows.read_head(connection, task_id)
            command: Command = HandOver(epoch, queue)
            end = await database.row(connection, _END, (task_id, epoch))
            if end is not None and _was_handed_over(rows.load_cause(end["cause"])):
                return Change(head, head)  # the answer was lost; an agent may have it by now
            machine.step(head, command)
            task = (await rows.load_tasks(connection, [task_id]))[task_id]
            changed = task_edit.handed_over(task, execution or {}, parameters or {})
            documents = (rows.dump(changed.execution), rows.dump(changed.parameters), task_id)
            await connection.execute(_DOCUMENTS, documents)
            if policy is not None:
                await connection.execute(_POLICY, (rows.dump(policy), task_id))
            if receipt:
                await set_receipt(connection, task_id, epoch, receipt)
            now = self._clock.now()
            return await transitions.apply(connection, now, task_id, command, by)

        return await self._state.write(unit)


async def read_ttl(connection: Session, task_id: str, epoch: int) -> float:
    """The lease length of an attempt.

    Raises:
        StaleEpoch: there is no such attempt.
    """
    row = await database.row(connection, _TTL, (task_id, epoch))
    if row is None:
        raise await _no_attempt(connection, task_id, epoch)
    return float(row["lease_ttl_s"])


async def set_environment(
    connection: Session, task_id: str, epoch: int, report: EnvironmentReport
) -> None:
    """Write down what was prepared, in the caller's transaction."""
    values = (rows.dump(report), task_id, epoch)
    if await database.row(connection, _ENVIRONMENT, values) is None:
        raise await _no_attempt(connection, task_id, epoch)


async def set_receipt(
    connection: Session, task_id: str, epoch: int, receipt: dict[str, StreamReceipt]
) -> None:
    """Write down what each stream came to, in the caller's transaction."""
    await connection.execute(_RECEIPT, (rows.dump(codec.to_json(receipt)), task_id, epoch))


def _was_handed_over(cause: Cause | None) -> bool:
    return cause is not None and cause.kind is CauseKind.HANDED_OVER


async def _no_attempt(connection: Session, task_id: str, epoch: int) -> StaleEpoch:
    head = await rows.read_head(connection, task_id)
    return StaleEpoch(
        f"task {task_id[:8]} has no attempt {epoch}: it is {head.state} at attempt {head.epoch}",
        task_id=task_id,
        epoch=epoch,
        current_epoch=head.epoch,
        state=str(head.state),
    )


def _assignment(task: Task | None, epoch: int | None, request: ClaimRequest) -> Assignment | None:
    if task is None or epoch is None:
        return None
    return Assignment(task, epoch, request.claim_id, request.lease_ttl_s)
