"""HTTP for an event loop, by httpx: the same errors and retries as ``dray.sdk.http.transport``."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx2

from dray.runtime.errors import DrayError, ServerUnreachable
from dray.sdk.http.call import API, Call
from dray.sdk.http.connections import describe
from dray.sdk.http.sse import ServerEvent, parse_events
from dray.sdk.http.transport import (
    PATIENCE_S,
    check_address,
    check_token,
    decode_problem,
    encode_query,
    pause_s,
)

T = TypeVar("T")

_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})
_BLOCK_BYTES = 1 << 18
#: Errors after which the server has certainly not seen the request.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class AsyncTransport:
    """Requests to one server, on one event loop.

    Args:
        url: of the server; a path in it is kept as a prefix.
        retries: how often a request that may safely be repeated is, when no server answers.
        timeout_s: seconds without a byte after which the server counts as silent.
    """

    def __init__(
        self, url: str, token: str = "", *, retries: int = 4, timeout_s: float = 30.0
    ) -> None:
        check_address(url)
        check_token(token)
        self.url = url.rstrip("/")
        self._retries, self._timeout_s = retries, timeout_s
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # Like the other transport: the address is meant, whatever proxies the environment names.
        self._http = httpx2.AsyncClient(headers=headers, timeout=timeout_s, trust_env=False)

    async def send(self, call: Call[T]) -> T:
        """One request and what its answer is read as; safe to cancel.

        Raises:
            ServerUnreachable: no server answers.
            DrayError: what the server raised, as the same class.
        """
        body, headers = call.body, dict(call.headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        silence_s = self._timeout_s if call.timeout_s is None else call.timeout_s
        request = self._http.build_request(
            call.method,
            self.url + call.base + call.path + encode_query(call.query),
            content=body,
            headers=headers,
            timeout=silence_s + call.extra_timeout_s,
        )
        may_repeat = call.method in _IDEMPOTENT if call.idempotent is None else call.idempotent
        retries = self._retries if call.retries is None else call.retries
        response = await self._repeat(request, may_repeat=may_repeat, retries=retries)
        return call.read(_json(self.url, request, response.content))

    async def upload(self, path: str, source: Path | bytes) -> None:
        """PUT a file or bytes, streamed; from its beginning again when the connection breaks."""
        attempt = 0
        while True:
            n_bytes = await asyncio.to_thread(_size, source)
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(n_bytes),
            }
            content = source if isinstance(source, bytes) else _blocks(source)
            request = self._http.build_request(
                "PUT", self.url + API + path, content=content, headers=headers
            )
            try:
                await self._once(request)
                return
            except ServerUnreachable:
                if attempt >= self._retries:
                    raise
            await asyncio.sleep(pause_s(attempt))
            attempt += 1

    async def download(
        self,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> AsyncIterator[bytes]:
        """The body of a GET in blocks.

        Raises:
            ServerUnreachable: also when the body ends before its length.
        """
        target = self.url + API + path + encode_query(query)
        request = self._http.build_request(
            "GET", target, headers=headers, timeout=timeout_s or self._timeout_s
        )
        async with self._streamed(request) as response:
            try:
                async for block in response.aiter_bytes(_BLOCK_BYTES):
                    yield block
            except httpx2.TransportError as exc:
                raise self._unreachable(describe(exc)) from exc

    async def events(
        self, path: str, *, query: Mapping[str, Any] | None = None, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[ServerEvent, None]:
        """Server-sent events, without end: close it (``contextlib.aclosing``) when done.

        A lost connection is made again with ``Last-Event-ID``.

        Raises:
            ServerUnreachable: no sign of life for ``patience_s`` seconds.
        """
        target = self.url + API + path + encode_query(query)
        last_id, alive_at, failures = "", 0.0, 0
        while True:
            headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
            if last_id:
                headers["Last-Event-ID"] = last_id
            lost: ServerUnreachable | None = None
            try:
                async with self._streamed(
                    self._http.build_request("GET", target, headers=headers)
                ) as response:
                    if response.status_code == 204:  # "do not come again"
                        return
                    async for event in _parsed(response, last_id):
                        last_id, alive_at, failures = event.id, time.monotonic(), 0
                        yield event
            except ServerUnreachable as exc:
                lost = exc
            except httpx2.TransportError as exc:
                lost = self._unreachable(describe(exc))
            if failures and time.monotonic() - alive_at > patience_s:
                raise lost or self._unreachable("it ends the stream before the first event")
            alive_at = alive_at or time.monotonic()
            await asyncio.sleep(pause_s(failures))
            failures += 1

    async def close(self) -> None:
        """Close idle connections."""
        await self._http.aclose()

    async def _repeat(
        self, request: httpx2.Request, *, may_repeat: bool, retries: int
    ) -> httpx2.Response:
        attempt = 0
        while True:
            try:
                return await self._once(request)
            except ServerUnreachable as exc:
                was_sent = not isinstance(exc.__cause__, _NOT_SENT)
                if attempt >= retries or (was_sent and not may_repeat):
                    raise
            await asyncio.sleep(pause_s(attempt))
            attempt += 1

    async def _once(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._http.send(request)
        except httpx2.TransportError as exc:
            raise self._unreachable(describe(exc)) from exc
        self._check(request, response)
        return response

    @asynccontextmanager
    async def _streamed(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Response]:
        try:
            response = await self._http.send(request, stream=True)
        except httpx2.TransportError as exc:
            raise self._unreachable(describe(exc)) from exc
        try:
            if response.status_code >= 300:
                await response.aread()
            self._check(request, response)
            yield response
        finally:
            await response.aclose()

    def _check(self, request: httpx2.Request, response: httpx2.Response) -> None:
        status = response.status_code
        if status < 300:
            return
        if status < 400:
            raise self._unreachable(f"it sends callers on to {response.headers.get('Location')}")
        said = f"{self.url} answered {status} to {request.method} {request.url.path}"
        if "json" in response.headers.get("Content-Type", ""):
            try:
                problem = json.loads(response.content)
            except ValueError:
                problem = None
            if isinstance(problem, dict):
                raise decode_problem(cast("dict[str, Any]", problem), said)
        if status in (502, 503, 504):  # a proxy in front of no server
            raise self._unreachable(f"{status} from a proxy")
        raise DrayError(f"{said}; is it a Dray server?", url=self.url, status=status)

    def _unreachable(self, why: str) -> ServerUnreachable:
        return ServerUnreachable(
            f"no answer from {self.url} ({why}): start a server with `dray up`, "
            "or set DRAY_URL to one that runs",
            url=self.url,
        )


def _size(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


async def _blocks(source: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(source.open, "rb") as file:
        while block := await asyncio.to_thread(file.read, _BLOCK_BYTES):
            yield block


async def _parsed(response: httpx2.Response, last_id: str) -> AsyncIterator[ServerEvent]:
    block: list[bytes] = []
    async for line in response.aiter_lines():
        block.append(line.encode())
        if line:
            continue
        for event in parse_events(block, last_id):
            last_id = event.id
            yield event
        block = []


def _json(url: str, request: httpx2.Request, data: bytes) -> Any:
    try:
        return json.loads(data) if data.strip() else None
    except ValueError as exc:
        raise DrayError(
            f"{url} answered {request.method} {request.url.path} with something that is no JSON; "
            "is it a Dray server?",
            url=url,
        ) from exc
