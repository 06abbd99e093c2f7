"""Replies kept by idempotency key, so that a repeated request is answered and not done again."""

from __future__ import annotations

from dray.runtime.clock import Clock
from dray.runtime.store.contract import StoredReply
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session

#: Clients retry for minutes; a day leaves room for a laptop that slept.
KEPT_S = 24 * 3600.0

_GET = "SELECT * FROM idempotency WHERE key = ? AND created_at > ?"
_PUT = """
INSERT INTO idempotency (key, fingerprint, status, body, created_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,
    body = excluded.body, created_at = excluded.created_at
"""
_EXPIRE = "DELETE FROM idempotency WHERE created_at <= ?"


class Idempotency:
    """Replies by key, for a day."""

    def __init__(self, state: Database, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    async def get(self, key: str) -> StoredReply | None:
        """What a request with ``key`` was answered; None when it was not seen."""
        row = await self._state.row(_GET, (key, self._clock.now() - KEPT_S))
        if row is None:
            return None
        return StoredReply(row["fingerprint"], row["status"], row["body"])

    async def put(self, key: str, reply: StoredReply) -> None:
        """Keep a reply; those older than a day go."""
        now = self._clock.now()

        async def unit(connection: Session) -> None:
            await connection.execute(_EXPIRE, (now - KEPT_S,))
            await connection.execute(_PUT, (key, reply.fingerprint, reply.status, reply.body, now))

        await self._state.write(unit)
