"""Creating calls that carry an ``Idempotency-Key``: repeated, they are answered again."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from starlette.responses import Response

from dray.api.auth import Caller
from dray.api.context import Ctx
from dray.api.replies import to_json_bytes
from dray.runtime.errors import Conflict, InvalidInput
from dray.runtime.store import Store
from dray.runtime.store.contract import StoredReply

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Idempotency:
    """Answers that were given, by key; one request of a key at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: Keys being worked on and how many want each: {key: (lock, n)}.
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @property
    def n_busy(self) -> int:
        """How many keys are being worked on."""
        return len(self._locks)

    async def answer(
        self, key: str, fingerprint: str, status: int, make: Callable[[], Awaitable[Any]]
    ) -> Response:
        """What ``make`` gives, or what it gave when the key was first used.

        Raises:
            Conflict: the key was used for another request.
        """
        async with self._alone(key):
            known = await self._store.idempotency.get(key)
            if known is None:
                body = to_json_bytes(await make())
                reply = StoredReply(fingerprint, status, body.decode())
                await self._store.idempotency.put(key, reply)
                return Response(body, status, media_type="application/json")
        if known.fingerprint != fingerprint:
            raise Conflict(
                "this Idempotency-Key was used for another request; make a new key", field=HEADER
            )
        return Response(known.body, known.status, {REPLAYED: "true"}, media_type="application/json")

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncGenerator[None]:
        lock, n = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, n + 1)
        try:
            async with lock:
                yield
        finally:
            lock, n = self._locks[key]
            if n == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, n - 1)


class Once:
    """One creating request: runs its work once for its key, or simply when it has none.

    Attributes:
        new_id: the id of what it makes. The same for the same key, so that a repetition finds
            what was made even when the server died before it kept the answer.
    """

    def __init__(self, context: Ctx, key: str, fingerprint: str) -> None:
        self._idempotency = context.idempotency
        self._key = key
        self._fingerprint = fingerprint
        self.new_id = hashlib.sha256(f"id:{key}".encode()).hexdigest()[:32] if key else ""

    async def __call__(self, status: int, make: Callable[[], Awaitable[Any]]) -> Response:
        """The answer of ``make``, a dataclass of ours, with ``status``."""
        if not self._key:
            return Response(to_json_bytes(await make()), status, media_type="application/json")
        return await self._idempotency.answer(self._key, self._fingerprint, status, make)


async def once(
    request: Request,
    context: Ctx,
    caller: Caller,
    idempotency_key: Annotated[
        str, Header(description="repeat a request with its key and it is answered again")
    ] = "",
) -> Once:
    """The :class:`Once` of a request."""
    if not idempotency_key:
        return Once(context, "", "")
    if not _KEY.fullmatch(idempotency_key):
        raise InvalidInput(
            f"{HEADER} takes 1 to 255 visible ASCII characters",
            field=HEADER,
            value=idempotency_key,
        )
    said = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    fingerprint = hashlib.sha256(said + await request.body()).hexdigest()
    return Once(context, f"{caller.name}/{idempotency_key}", fingerprint)


OnceOnly = Annotated[Once, Depends(once)]
