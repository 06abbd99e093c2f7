"""Pending tasks that are certain to fail end before their turn: claimed and failed in one step.

The table of states knows no way from pending to failed, and needs none: whoever found it out
takes the task as an agent would, with an attempt and its epoch, and ends that attempt with the
cause, all in one transaction. Nobody sees it running, and no invariant has an exception.
"""

from __future__ import annotations

from collections.abc import Callable

from dray.runtime.causes import Cause
from dray.runtime.clock import Clock
from dray.runtime.execution import EnvironmentReport
from dray.runtime.machine import Claim, Finish
from dray.runtime.models import Task
from dray.runtime.states import State
from dray.runtime.store import attempts, database, rows, transitions
from dray.runtime.store.contract import By, ClaimRequest
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session
from dray.runtime.store.transitions import Opening

_CLAIMED_BEFORE = "SELECT 1 FROM attempts WHERE task_id = ? AND claim_id = ?"


class Refusals:
    """Ends tasks that wait."""

    def __init__(self, state: Database, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    async def refuse(
        self,
        request: ClaimRequest,
        cause: Cause,
        by: By,
        *,
        still: Callable[[Task], bool],
        environment: EnvironmentReport | None = None,
    ) -> bool:
        """Claim a task and end it with ``cause``; False, and nothing happens, where it must not.

        Args:
            request: who found it out, as the agent of the attempt; repeating one is harmless.
            cause: of a kind that is not tried again.
            by: who asked.
            still: whether ``cause`` is about the task as it is now.
            environment: that was prepared for it.
        """

        async def unit(session: Session) -> bool:
            key = (request.task_id, request.claim_id)
            if await database.row(session, _CLAIMED_BEFORE, key) is not None:
                return False
            task = (await rows.load_tasks(session, [request.task_id])).get(request.task_id)
            if task is None or task.state is not State.PENDING or not still(task):
                return False
            await self._claim_and_end(session, request, cause, by, environment)
            return True

        return await self._state.write(unit)

    async def _claim_and_end(
        self,
        session: Session,
        request: ClaimRequest,
        cause: Cause,
        by: By,
        environment: EnvironmentReport | None,
    ) -> None:
        now, task_id = self._clock.now(), request.task_id
        claim = Claim(request.agent, request.claim_id, now + request.lease_ttl_s)
        details = {"agent": request.agent, "node": request.node, "ahead": True}
        opening = Opening(request.node, request.lease_ttl_s)
        opened = await transitions.apply(
            session, now, task_id, claim, by, opening=opening, details=details
        )
        epoch = opened.after.epoch
        if environment is not None:
            await attempts.set_environment(session, task_id, epoch, environment)
        await transitions.apply(session, now, task_id, Finish(epoch, cause, now), by)
