"""What wraps every request: its id, the headers of every answer, host check, token, body limit.

Plain ASGI, because Starlette's ``BaseHTTPMiddleware`` costs a task and two streams a request.
"""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dray.api import addresses, auth, problems
from dray.runtime import ids
from dray.runtime.config import Settings
from dray.runtime.errors import DrayError, Forbidden, InvalidInput

#: Largest body of a request that is neither records nor a blob.
BODY_LIMIT_BYTES = 4 << 20
#: A request id of the caller's is taken over when it looks like one.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

#: The page may load its own files and talk to its own server, and nothing else.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: Answers of the API are data; a browser that shows one as a page runs nothing of it.
_API_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"


class Envelope:
    """Gives each request an id, and each answer that id and the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve with headers added."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else ids.new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        is_page = addresses.is_page(scope["path"])

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Content-Security-Policy"] = _PAGE_POLICY if is_page else _API_POLICY
                headers.setdefault("Cache-Control", "no-cache" if is_page else "no-store")
            await send(message)

        await self.app(scope, receive, with_headers)


class LoopbackHosts:
    """Refuses names that are not this machine's, when only this machine is served.

    A page of an attacker's can make its own name resolve to 127.0.0.1 (DNS rebinding); the
    ``Host`` header still tells that name.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or refuse the host."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            if not is_loopback(_without_port(host)):
                error = Forbidden(
                    f"this server is bound to loopback and not known as {host!r}; "
                    "set host to serve other machines",
                    field="Host",
                )
                await problems.answer(error, scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine only."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    return re.sub(r":\d+$", "", host.lower())


class TokenRequired:
    """Lets nobody in without a token, before a byte of the body is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve whoever has a token, and whatever needs none."""
        if scope["type"] == "websocket":  # none is served; close it before it is accepted
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http" and not addresses.is_open(scope["path"]):
            try:
                header = Headers(scope=scope).get("authorization")
                scope["state"]["principal"] = auth.authenticate(header, self._token)
            except DrayError as exc:
                await problems.answer(exc, scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class BodyLimit:
    """Refuses bodies over the limit of their address, told or found out while reading."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what fits."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = body_limit(scope["path"], self._settings)
        try:
            n_told = _content_length(Headers(scope=scope).get("content-length", "0"))
        except InvalidInput as exc:
            await problems.answer(exc, scope)(scope, receive, send)
            return
        if n_told > limit:
            error = problems.BodyOverLimit(limit).error
            await problems.answer(error, scope)(scope, receive, send)
            return
        n_seen = 0

        async def counted() -> Message:
            nonlocal n_seen
            message = await receive()
            n_seen += len(message.get("body", b""))
            if n_seen > limit:
                raise problems.BodyOverLimit(limit)
            return message

        await self.app(scope, counted, send)


def body_limit(path: str, settings: Settings) -> int:
    """The largest body, in bytes, that the address ``path`` takes."""
    if path.startswith(f"{addresses.API_PREFIX}/blobs/"):
        return settings.upload_limit_bytes
    if path.endswith("/frames"):
        return settings.frame_limit_bytes
    return BODY_LIMIT_BYTES


def _content_length(text: str) -> int:
    if not text.isdecimal():
        raise InvalidInput(
            f"Content-Length is {text!r}, not a number", field="Content-Length", value=text
        )
    return int(text)
