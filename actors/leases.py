"""The watch over leases: silent attempts are unreachable, fenced ones go back to their queue."""

from __future__ import annotations

from dray.runtime import lease
from dray.runtime.clock import Clock
from dray.runtime.errors import NotFound, StaleEpoch
from dray.runtime.lease import ExtendAll, Held, Moment, RayWord, WatchView
from dray.runtime.machine import Command, LoseContact, ProveDead
from dray.runtime.store import By, Change, Store

SYSTEM = By("scheduler")


class LeaseWatch:
    """Looks at every open attempt whenever it is asked to; ``runtime.lease`` has the rules.

    Guarantees: time during which nobody looked counts against no attempt. A machine that was
    suspended, a process that was stopped and a clock that was set look alike from here:
    agents could not renew either, and their fence, on a clock that stood still, has not fallen.
    """

    def __init__(self, store: Store, clock: Clock, lease_ttl_s: float) -> None:
        self._store = store
        self._clock = clock
        self._lease_ttl_s = lease_ttl_s
        self._looked_at = self._moment()
        #: {(task id, epoch): what Ray said of its node}; losing it loses words, no decision.
        self._node_gone: dict[tuple[str, int], str] = {}

    async def look(self) -> None:
        """Call silent attempts unreachable; give up those whose agent has fenced itself."""
        now = self._moment()
        looked_at, self._looked_at = self._looked_at, now
        held = await self._store.attempts.open()
        for verdict in lease.look(WatchView(looked_at, now, self._lease_ttl_s, held)):
            if isinstance(verdict, ExtendAll):
                await self._store.attempts.extend_all()
            else:
                await self._expire(verdict.held)
        still = {(attempt.task_id, attempt.epoch) for attempt in held}
        self._node_gone = {key: text for key, text in self._node_gone.items() if key in still}

    async def prove_dead(
        self, task_id: str, epoch: int, evidence: str, *, agent_died: bool = False
    ) -> None:
        """An attempt's processes are gone: requeued or failed, by the task's policy."""
        await self._apply_if_current(task_id, ProveDead(epoch, evidence, agent_died))

    async def lose_node(self, task_id: str, epoch: int, evidence: str) -> None:
        """The node of an attempt is gone from Ray's view, which may only be cut off.

        A task that may run elsewhere is given up by the look that ends its lease.
        """
        try:
            policy = (await self._store.tasks.head(task_id)).policy
        except NotFound:
            return
        if lease.is_proof(RayWord.NODE_GONE, policy.on_lost):
            await self.prove_dead(task_id, epoch, evidence)
        else:
            self._node_gone[(task_id, epoch)] = evidence

    async def _expire(self, held: Held) -> None:
        change = await self._apply_if_current(held.task_id, LoseContact(held.epoch))
        if change is None:
            return
        node_gone = self._node_gone.get((held.task_id, held.epoch), "")
        command = lease.given_up(change.after, held, self._lease_ttl_s, node_gone)
        if command is not None:
            await self._apply_if_current(held.task_id, command)

    async def _apply_if_current(self, task_id: str, command: Command) -> Change | None:
        """Apply what somebody learned of an attempt; None when the store knows better."""
        try:
            return await self._store.tasks.apply(task_id, command, SYSTEM)
        except (StaleEpoch, NotFound):
            return None

    def _moment(self) -> Moment:
        return Moment(self._clock.now(), self._clock.monotonic())
