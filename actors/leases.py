"""The watch over leases: silent attempts are unreachable, fenced ones go back to their queue."""

from __future__ import annotations

from dray.runtime.clock import Clock
from dray.runtime.errors import NotFound, StaleEpoch
from dray.runtime.lease import was_away
from dray.runtime.machine import Command, LoseContact, ProveDead
from dray.runtime.models import OnLost
from dray.runtime.store import By, Change, OpenAttempt, Store

SYSTEM = By("scheduler")


class LeaseWatch:
    """Looks at every open attempt whenever it is asked to.

    Guarantees: time during which nobody looked counts against no attempt. A machine that was
    suspended, a process that was stopped and a clock that was put forward look alike from here:
    agents could not renew either, and their fence, on a clock that stood still, has not fallen.
    """

    def __init__(self, store: Store, clock: Clock, lease_ttl_s: float) -> None:
        self._store = store
        self._clock = clock
        self._lease_ttl_s = lease_ttl_s
        self._looked_at = clock.now()

    async def look(self) -> None:
        """Call silent attempts unreachable; give up those whose agent has fenced itself."""
        now = self._clock.now()
        looked_at, self._looked_at = self._looked_at, now
        if was_away(looked_at, now, self._lease_ttl_s):
            await self._store.attempts.extend_all()
            return
        for attempt in await self._store.attempts.open():
            if attempt.lease_expires_at < now:
                await self._expire(attempt)

    async def prove_dead(self, task_id: str, epoch: int, evidence: str) -> None:
        """An attempt's processes are gone: requeued or failed, by the task's policy."""
        await self._apply_if_current(task_id, ProveDead(epoch, evidence))

    async def _expire(self, attempt: OpenAttempt) -> None:
        change = await self._apply_if_current(attempt.task_id, LoseContact(attempt.epoch))
        if change is None or attempt.kind == "local":
            return
        if change.after.policy.on_lost is OnLost.REQUEUE:
            evidence = (
                f"agent {attempt.agent} was silent for {self._lease_ttl_s:g} s "
                "and has ended its processes by then"
            )
            await self.prove_dead(attempt.task_id, attempt.epoch, evidence)

    async def _apply_if_current(self, task_id: str, command: Command) -> Change | None:
        """Apply what somebody learned of an attempt; None when the store knows better."""
        try:
            return await self._store.tasks.apply(task_id, command, SYSTEM)
        except (StaleEpoch, NotFound):
            return None
