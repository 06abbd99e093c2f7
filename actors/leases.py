"""The watch over leases: silent attempts are unreachable, fenced ones go back to their queue."""

from __future__ import annotations

from dray.runtime import lease
from dray.runtime.clock import SteadyClock
from dray.runtime.errors import NotFound, StaleEpoch
from dray.runtime.lease import ExtendAll, Held, RayWord, WatchView
from dray.runtime.machine import Command, LoseContact, ProveDead
from dray.runtime.store import By, Change, Store

SYSTEM = By("scheduler")


class LeaseWatch:
    """Looks at every open attempt whenever it is asked to; ``runtime.lease`` has the rules.

    Guarantees: time during which nobody looked counts against no attempt, and neither does a
    clock that was set. The watch owns the clock that leases are dated by: it alone moves it,
    and extends all leases in the same breath.
    """

    def __init__(self, store: Store, clock: SteadyClock, lease_ttl_s: float) -> None:
        self._store = store
        self._clock = clock
        self._lease_ttl_s = lease_ttl_s
        self._looked_at = clock.monotonic()
        #: Leases are dated by a clock that is no more, until they have been extended.
        self._must_extend = False
        #: {(task id, epoch): what Ray said of its node}; losing it loses words, no decision.
        self._node_gone: dict[tuple[str, int], str] = {}

    async def look(self) -> None:
        """Call silent attempts unreachable; give up those whose agent has fenced itself."""
        held = await self._store.attempts.open()
        clock = self._clock
        now = clock.monotonic()
        view = WatchView(
            self._looked_at, now, clock.now(), clock.ahead_s(), self._lease_ttl_s, held
        )
        self._looked_at = now
        for verdict in [ExtendAll(adopt=False)] if self._must_extend else lease.look(view):
            if isinstance(verdict, ExtendAll):
                await self._extend_all(adopt=verdict.adopt)
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

    async def _extend_all(self, *, adopt: bool) -> None:
        self._must_extend = True  # also by the next look, if this one fails or is cut short
        if adopt:
            self._clock.adopt()
        await self._store.attempts.extend_all()
        self._must_extend = False

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
