"""Leases: who may write for a task, until when, and when the holder must stop itself."""

from __future__ import annotations

from dataclasses import dataclass

#: Share of the lease after which the holder ends its own process tree when it could not renew.
#: The rest is the margin by which the old attempt is dead before the server acts.
FENCE_SHARE = 0.8
#: The holder renews this many times within one lease, so that one lost reply costs nothing.
RENEWALS_PER_LEASE = 3


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


def is_expired(expires_at: float | None, now: float, *, server_down_s: float = 0.0) -> bool:
    """Whether a lease has run out; time during which the server was down does not count."""
    return expires_at is not None and now > expires_at + server_down_s


def was_away(looked_at: float, now: float, ttl_s: float) -> bool:
    """Whether whoever watches leases was itself away between two looks, on a wall clock.

    It looks several times within a lease, so half of one without a look, or a clock that was
    put back, is its own doing and says nothing about the holders.
    """
    return not 0 <= now - looked_at <= ttl_s / 2


def must_fence(last_renewed: float, now: float, terms: LeaseTerms) -> bool:
    """Whether a holder that last renewed at ``last_renewed`` must end its process tree.

    Both times are the holder's own monotonic clock, at the moment the renewal was *sent*.
    """
    return now - last_renewed >= terms.fence_after_s
