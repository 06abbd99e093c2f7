"""Leases: who may write for a task, until when, and when the holder must stop itself.

Pure arithmetic and rules: ``actors`` acts on them, ``tests/simulation`` breaks everything
around them. Three clocks meet here. The server's wall clock dates leases, because they are
stored; it is a ``SteadyClock``, so that setting the machine's clock ends none. Its monotonic
clock tells when nobody looked. The holder's monotonic clock drops the fence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, Union

from dray.runtime.machine import Head, ProveDead
from dray.runtime.models import OnLost

#: Share of the lease after which the holder ends its own process tree when it could not renew.
#: The rest is the margin by which the old attempt is dead before the server acts.
FENCE_SHARE = 0.8
#: The holder renews this many times within one lease, so that one lost reply costs nothing.
RENEWALS_PER_LEASE = 3
#: By how much the server's wall clock may be off before it is adopted, with longer leases.
WALL_TOLERANCE_S = 0.5
#: The kind of an attempt that was started by hand.
LOCAL = "local"


@dataclass(frozen=True)
class LeaseTerms:
    """The arithmetic of one lease length.

    Attributes:
        ttl_s: seconds the server lets pass without a renewal.
    """

    ttl_s: float

    @property
    def renew_every_s(self) -> float:
        """Seconds between renewals by the holder."""
        return self.ttl_s / RENEWALS_PER_LEASE

    @property
    def fence_after_s(self) -> float:
        """Seconds since the last confirmed renewal after which the holder must be dead."""
        return self.ttl_s * FENCE_SHARE

    def expires_at(self, now: float) -> float:
        """When a lease renewed at ``now`` runs out, on the server's clock."""
        return now + self.ttl_s


class Held(Protocol):
    """An open attempt as whoever watches leases sees it (``store.OpenAttempt`` is one)."""

    @property
    def task_id(self) -> str:
        """The whole id."""
        ...

    @property
    def epoch(self) -> int:
        """Of the attempt."""
        ...

    @property
    def agent(self) -> str:
        """Its holder."""
        ...

    @property
    def kind(self) -> str:
        """``local`` for a run started by hand."""
        ...

    @property
    def lease_expires_at(self) -> float:
        """On the server's wall clock."""
        ...


@dataclass(frozen=True)
class WatchView:
    """All a look at the leases depends on.

    Attributes:
        looked_at: monotonic time of the last look that was carried out.
        monotonic: that of this one.
        now: on the wall clock that leases are dated by.
        ahead_s: by how much the machine's wall clock is ahead of that one.
        ttl_s: length of a lease.
        held: the open attempts.
    """

    looked_at: float
    monotonic: float
    now: float
    ahead_s: float
    ttl_s: float
    held: Iterable[Held]


@dataclass(frozen=True)
class ExtendAll:
    """Give every open attempt a full lease from now: it was the server's doing, not theirs.

    Attributes:
        adopt: take over the machine's wall clock at the same time.
    """

    adopt: bool


@dataclass(frozen=True)
class Expire:
    """This holder was silent for its whole lease: it is unreachable; then ask ``given_up``."""

    held: Held


Verdict = Union[ExtendAll, Expire]  # noqa: UP007  (3.10 evaluates it)


class RayWord(str, Enum):
    """What Ray may say of an attempt's agent.

    Attributes:
        AGENT_DIED: the actor has ended; its node lives, and would not have let a child live on.
        NODE_GONE: nothing is heard of the whole node. It may be down, or merely cut off with
            every process on it alive.
    """

    AGENT_DIED = "agent_died"
    NODE_GONE = "node_gone"


def look(view: WatchView) -> list[Verdict]:
    """What to do about the open attempts now.

    Only a look ends a lease; a lease that has run out on paper, while nobody looked, is valid.
    """
    adopt = abs(view.ahead_s) > WALL_TOLERANCE_S
    if adopt or was_away(view.looked_at, view.monotonic, view.ttl_s):
        return [ExtendAll(adopt)]
    return [Expire(held) for held in view.held if is_expired(held.lease_expires_at, view.now)]


def was_away(looked_at: float, now: float, ttl_s: float) -> bool:
    """Whether time between two looks must not be counted against the holders.

    It is looked several times within a lease, so half of one without a look is the watch's own
    doing. Both times are the server's monotonic clock.
    """
    return not 0 <= now - looked_at <= ttl_s / 2


def is_expired(expires_at: float, now: float) -> bool:
    """Whether a lease has run out, both on the server's wall clock."""
    return now > expires_at


def given_up(head: Head, held: Held, ttl_s: float, node_gone: str = "") -> ProveDead | None:
    """Whether an attempt whose lease a look has just ended is given up, and on what evidence.

    A run started by hand is waited for, and so is every task under the policy ``wait``: its
    agent sets no fence. Any other has been ended by its own fence, a margin ago.

    Args:
        head: of the task, after the attempt was called unreachable.
        held: the attempt.
        ttl_s: length of a lease.
        node_gone: what Ray said of its node, if anything.
    """
    if held.kind == LOCAL or head.policy.on_lost is OnLost.WAIT:
        return None
    evidence = f"agent {held.agent} was silent for {ttl_s:g} s and has ended its processes by then"
    return ProveDead(held.epoch, f"{node_gone}; {evidence}" if node_gone else evidence)


def is_proof(word: RayWord, on_lost: OnLost) -> bool:
    """Whether Ray's word alone proves an attempt dead, with no regard to its lease.

    Of an agent always: its children end with it. Of a node only where nothing will run again
    for it: what is merely cut off runs on until its fence has fallen, which is when its lease
    has run out as well (``docs/decisions/0016``).
    """
    return word is RayWord.AGENT_DIED or on_lost is OnLost.WAIT


def may_start(last_confirmed: float | None, now: float, terms: LeaseTerms) -> bool:
    """Whether a holder may start a process under its lease now.

    An order proves nothing: it may have been on its way, and its preparation may have taken,
    longer than the lease. So the server must have answered a renewal, and recently.

    Args:
        last_confirmed: when the last renewal was sent that the server answered, on the holder's
            monotonic clock; None before the first.
        now: on the same clock.
        terms: of the lease.
    """
    return last_confirmed is not None and not must_fence(last_confirmed, now, terms)


def must_fence(last_renewed: float, now: float, terms: LeaseTerms) -> bool:
    """Whether a holder that last renewed at ``last_renewed`` must end its process tree.

    Both times are the holder's own monotonic clock, at the moment the renewal was *sent*.
    """
    return now - last_renewed >= terms.fence_after_s
