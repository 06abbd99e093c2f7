"""The store in memory: heads moved by the real machine, in transactions that commit or do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from dray.runtime import machine, resources
from dray.runtime.causes import Cause
from dray.runtime.errors import IllegalTransition, NotFound, StaleEpoch
from dray.runtime.lease import LeaseTerms
from dray.runtime.machine import BeginExecuting, Command, Finish, Head, Renew
from dray.runtime.models import AgentRecord, QueueEntry
from dray.runtime.ordering import Key, sort_key
from dray.runtime.resources import Resources
from dray.runtime.states import State
from dray.runtime.store import Change, ClaimRequest, OpenAttempt, transitions
from tests.simulation.checker import Checker

T = TypeVar("T")


@dataclass
class Attempt:
    """A row of the attempts of a task."""

    agent: str
    node: str
    lease_ttl_s: float
    claimed_at: float
    claim_id: str
    cause: Cause | None = None
    is_open: bool = True


class SimStore:
    """Mirrors ``runtime.store``: what survives every crash.

    Args:
        wall: the server's wall clock.
        crash_point: called before and after each transaction, and may raise.
        announce: called with each change after its commit.
    """

    def __init__(
        self,
        wall: Callable[[], float],
        checker: Checker,
        capacity: Callable[[str], dict[str, float]],
        crash_point: Callable[[], None],
        announce: Callable[[Change], None],
    ) -> None:
        self._wall = wall
        self._checker = checker
        self._capacity = capacity
        self._crash_point = crash_point
        self._announce = announce
        self.heads: dict[str, Head] = {}
        self.shapes: dict[str, Resources] = {}
        self.priorities: dict[str, int] = {}
        self.entries: dict[str, QueueEntry] = {}
        self.attempts: dict[tuple[str, int], Attempt] = {}
        self.agents: dict[str, AgentRecord] = {}
        self._next_rank = 0
        self._changes: list[Change] = []

    def transaction(self, unit: Callable[[], T]) -> T:
        """Carry out a unit as a whole; the process may die before or after it, not within."""
        self._crash_point()
        self._changes.clear()
        result = unit()
        changes, self._changes = self._changes, []
        if changes:
            self._check()
        self._crash_point()
        for change in changes:
            self._announce(change)
        return result

    def _check(self) -> None:
        still_open = [key for key, row in self.attempts.items() if row.is_open]
        self._checker.store_is(self.heads, set(self.entries), still_open)
        held: dict[str, list[Resources]] = {}
        for key in still_open:
            held.setdefault(self.attempts[key].node, []).append(self.shapes[key[0]])
        for node, shapes in held.items():
            self._checker.leased(node, shapes, self._capacity(node))

    # Tasks (mirrors ``store.tasks`` and ``store.transitions``).

    def create(self, head: Head, shape: Resources, priority: int) -> None:
        """Make a draft; making it again has no effect."""

        def unit() -> None:
            if head.task_id not in self.heads:
                self.heads[head.task_id] = head
                self.shapes[head.task_id] = shape
                self.priorities[head.task_id] = priority

        self.transaction(unit)

    def head(self, task_id: str) -> Head:
        """What decides about a task's next step."""
        if task_id not in self.heads:
            raise NotFound(f"no task {task_id}")
        return self.heads[task_id]

    def apply(self, task_id: str, command: Command) -> Change:
        """Take one step in a transaction of its own."""
        return self.transaction(lambda: self._apply(task_id, command))

    def _apply(self, task_id: str, command: Command, opening: ClaimRequest | None = None) -> Change:
        """Mirrors ``transitions.apply``."""
        now = self._wall()
        before = self.head(task_id)
        transitions._refuse_early(before, command, now)
        after = machine.step(before, command)
        self._checker.commit(before, command, after)
        if after == before:
            return Change(before, after, self.entries.get(task_id))
        self.heads[task_id] = after
        if after.state is not before.state:
            self._change_state(now, before, after, command, opening)
        change = Change(before, after, self.entries.get(task_id))
        same_but_lease = replace(before, lease_expires_at=after.lease_expires_at)
        if after != same_but_lease or change.entry is not None:  # a mere renewal is no news
            self._changes.append(change)
        return change

    def _change_state(
        self, now: float, before: Head, after: Head, command: Command, opening: ClaimRequest | None
    ) -> None:
        task_id = after.task_id
        self.entries.pop(task_id, None)
        if before.state is State.RUNNING:
            row = self.attempts[task_id, before.epoch]
            row.is_open, row.cause = False, after.cause
        if after.state is State.PENDING:
            self._enter_queue(now, after, command)
        elif after.state is State.RUNNING and opening is not None:
            self.attempts[task_id, after.epoch] = Attempt(
                opening.agent, opening.node, opening.lease_ttl_s, now, opening.claim_id
            )
        elif after.state is State.DRAFT:
            for key in [key for key in self.attempts if key[0] == task_id]:
                del self.attempts[key]

    def _enter_queue(self, now: float, after: Head, command: Command) -> None:
        self._next_rank += 1
        rank = self._next_rank
        if not isinstance(command, machine.Enqueue):  # it keeps its place
            rank = min((entry.rank for entry in self.entries.values()), default=1) - 1
        self.entries[after.task_id] = QueueEntry(
            after.task_id,
            after.queue,
            self.priorities[after.task_id],
            rank,
            now,
            self.shapes[after.task_id],
            not_before=after.not_before,
        )

    def pending(self, queue: str, limit: int, after: Key | None) -> list[QueueEntry]:
        """Mirrors ``store.queues.pending``."""
        found = sorted((e for e in self.entries.values() if e.queue == queue), key=sort_key)
        return [e for e in found if after is None or sort_key(e) > after][:limit]

    # Attempts (mirrors ``store.attempts`` and ``store.ingest``).

    def claim(self, requests: list[ClaimRequest]) -> list[int | None]:
        """Claim what is still pending, all in one transaction; epochs, or None."""

        def one(request: ClaimRequest) -> int | None:
            if any(
                key[0] == request.task_id and row.claim_id == request.claim_id and not row.is_open
                for key, row in self.attempts.items()
            ):
                return None
            expires_at = LeaseTerms(request.lease_ttl_s).expires_at(self._wall())
            command = machine.Claim(request.agent, request.claim_id, expires_at)
            try:
                return self._apply(request.task_id, command, request).after.epoch
            except (IllegalTransition, NotFound):
                return None

        return self.transaction(lambda: [one(request) for request in requests])

    def renew(self, task_id: str, epoch: int, executing: bool = False) -> Head:
        """The head after its holder was heard of; refused when its attempt is over."""

        def unit() -> Head:
            row = self.attempts.get((task_id, epoch))
            if row is None:
                self.head(task_id)
                raise StaleEpoch(f"task {task_id} has no attempt {epoch}")
            expires_at = LeaseTerms(row.lease_ttl_s).expires_at(self._wall())
            after = self._apply(task_id, Renew(epoch, expires_at)).after
            if executing:
                after = self._apply(task_id, BeginExecuting(epoch)).after
            return after

        return self.transaction(unit)

    def finish(self, task_id: str, epoch: int, cause: Cause) -> Head:
        """Close an attempt; closed already for the same cause, that is answered again."""
        row = self.attempts.get((task_id, epoch))
        if row is not None and not row.is_open and row.cause == cause:
            return self.head(task_id)
        self.renew(task_id, epoch)
        return self.apply(task_id, Finish(epoch, cause, self._wall())).after

    def extend_all(self) -> None:
        """A full lease from now for everybody."""

        def unit() -> None:
            for (task_id, _), row in self.attempts.items():
                if row.is_open:
                    expires_at = LeaseTerms(row.lease_ttl_s).expires_at(self._wall())
                    self.heads[task_id] = replace(self.heads[task_id], lease_expires_at=expires_at)
            self._checker.extended(self.heads.values())

        self.transaction(unit)

    def open(self) -> list[OpenAttempt]:
        """Every running task as whoever watches leases sees it."""
        found: list[OpenAttempt] = []
        for (task_id, epoch), row in self.attempts.items():
            head = self.heads[task_id]
            if row.is_open and head.phase is not None and head.lease_expires_at is not None:
                found.append(
                    OpenAttempt(
                        task_id, epoch, row.agent, head.phase, head.lease_expires_at, "agent",
                        row.node, head.queue,
                    )
                )  # fmt: skip
        return found

    # Agents (mirrors ``store.agents``).

    def put_agent(self, record: AgentRecord) -> None:
        """Remember an agent."""
        self.transaction(lambda: self.agents.update({record.name: record}))

    def remove_agent(self, name: str) -> None:
        """Forget an agent."""
        self.transaction(lambda: self.agents.pop(name, None))

    def fits(self, task_id: str, total: dict[str, float]) -> bool:
        """Whether a task would fit on an empty node."""
        return resources.fits(self.shapes[task_id], total)
