"""HTTP with the standard library: typed errors, safe retries, streams, server-sent events."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit

from dray.runtime.errors import DrayError, InvalidInput, ServerUnreachable, error_classes
from dray.sdk.http.call import API, Call
from dray.sdk.http.connections import Answer, NotSentError, Pool, Request, describe, exchange
from dray.sdk.http.sse import ServerEvent, parse_events

T = TypeVar("T")

#: Pauses between retries: 0.2 s, 0.4 s … up to 5 s, each by half at random.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
#: How long a stream or a wait that once worked tries to get back to a restarting server.
PATIENCE_S = 60.0
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})
_BLOCK_BYTES = 1 << 18


def quoted(part: str) -> str:
    """``part`` as one segment of a path."""
    return quote(part, safe="")


def pause_s(attempt: int) -> float:
    """Seconds to wait before retry number ``attempt`` (from 0), jittered."""
    return min(FIRST_PAUSE_S * 2 ** min(attempt, 16), LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)


class Transport:
    """Requests to one server; safe to share between threads.

    Args:
        url: of the server; a path in it is kept as a prefix.
        retries: how often a request that may safely be repeated is, when no server answers.
        timeout_s: seconds without a byte after which the server counts as silent.
        sleep: pauses between retries; tests put their own.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        retries: int = 4,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts, host = urlsplit(url), check_address(url)
        check_token(token)
        self.url = url.rstrip("/")
        self._prefix, self._token = parts.path.rstrip("/"), token
        self._retries, self._timeout_s, self._sleep = retries, timeout_s, sleep
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._pool = Pool(host, parts.port, tls)

    def send(self, call: Call[T]) -> T:
        """One request and what its answer is read as.

        Raises:
            ServerUnreachable: no server answers.
            DrayError: what the server raised, as the same class.
        """
        answer = self.call(
            call.method,
            call.path,
            call.body,
            query=call.query,
            headers=call.headers,
            base=call.base,
            idempotent=call.idempotent,
            retries=call.retries,
            timeout_s=call.timeout_s,
            extra_timeout_s=call.extra_timeout_s,
        )
        return call.read(answer)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        base: str = API,
        idempotent: bool | None = None,
        retries: int | None = None,
        timeout_s: float | None = None,
        extra_timeout_s: float = 0.0,
    ) -> Any:
        """One request and its JSON answer; None when there is none.

        A ``body`` of bytes goes as it is, anything else as JSON. In ``query``, None and empty
        values are left out and a list repeats its name. ``idempotent`` says whether it may be
        sent again, else the method does. A long poll adds the time that the server may think
        as ``extra_timeout_s``.

        Raises:
            ServerUnreachable: no server answers.
            DrayError: what the server raised, as the same class.
        """
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        silence_s = (self._timeout_s if timeout_s is None else timeout_s) + extra_timeout_s
        request = self._request(
            method, base + path + encode_query(query), sent, body, silence_s, idempotent
        )
        data = self._repeat(request, _read, self._retries if retries is None else retries)
        try:
            return json.loads(data) if data.strip() else None
        except ValueError as exc:
            raise DrayError(
                f"{self.url} answered {method} {path} with something that is no JSON; "
                "is it a Dray server?",
                url=self.url,
            ) from exc

    def upload(self, path: str, source: Path | bytes) -> None:
        """PUT a file or bytes, streamed; from its beginning again when the connection breaks."""
        headers = {"Content-Type": "application/octet-stream"}
        self._repeat(self._request("PUT", API + path, headers, source), _read, self._retries)

    def download(
        self,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[bytes]:
        """The body of a GET in blocks.

        Raises:
            ServerUnreachable: also when the body ends before its length.
        """
        request = self._request(
            "GET", API + path + encode_query(query), dict(headers or {}), silence_s=timeout_s
        )
        with self._repeat(request, _whole_answer, self._retries) as answer:
            while block := answer.read(_BLOCK_BYTES):
                yield block

    def events(
        self, path: str, *, query: Mapping[str, Any] | None = None, patience_s: float = PATIENCE_S
    ) -> Generator[ServerEvent, None, None]:
        """Server-sent events, without end: close it (``contextlib.closing``) when done.

        A lost connection is made again with ``Last-Event-ID``.

        Raises:
            ServerUnreachable: no sign of life for ``patience_s`` seconds.
        """
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        last_id, alive_at, failures = "", 0.0, 0
        while True:
            sent = {**headers, "Last-Event-ID": last_id} if last_id else headers
            request = self._request("GET", API + path + encode_query(query), sent)
            try:
                with self._repeat(request, _whole_answer, 0) as answer:
                    if answer.status == 204:  # the protocol's word for "do not come again"
                        return
                    for event in parse_events(answer.lines(), last_id):
                        last_id, alive_at, failures = event.id, time.monotonic(), 0
                        yield event
                lost: ServerUnreachable | None = None
            except ServerUnreachable as exc:
                lost = exc
            if failures and time.monotonic() - alive_at > patience_s:
                raise lost or self._unreachable("it ends the stream before the first event")
            alive_at = alive_at or time.monotonic()
            self._sleep(pause_s(failures))
            failures += 1

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def _request(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | Path | None = None,
        silence_s: float | None = None,
        idempotent: bool | None = None,
    ) -> Request:
        headers = {"Accept": "application/json", **headers}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return Request(
            method,
            self._prefix + target,
            headers,
            body,
            method in _IDEMPOTENT if idempotent is None else idempotent,
            self._timeout_s if silence_s is None else silence_s,
        )

    def _repeat(self, request: Request, use: Callable[[Answer], T], retries: int) -> T:
        """What ``use`` makes of the answer; the request is repeated while that is safe."""
        attempt = 0
        while True:
            try:
                return self._once(request, use)
            except NotSentError as exc:  # so it is safe for any request
                if attempt >= retries:
                    raise self._unreachable(str(exc)) from exc
            except ServerUnreachable:
                if attempt >= retries or not request.idempotent:
                    raise
            self._sleep(pause_s(attempt))
            attempt += 1

    def _once(self, request: Request, use: Callable[[Answer], T]) -> T:
        try:
            answer = exchange(self._pool, request, self.url)
        except (OSError, http.client.HTTPException) as exc:
            if isinstance(request.body, Path) and isinstance(exc, FileNotFoundError):
                raise
            doubt = "" if request.idempotent else "; it may or may not have been done"
            raise self._unreachable(describe(exc) + doubt) from exc
        if answer.status >= 300:
            with answer:
                raise self._refusal(request, answer)
        return use(answer)

    def _refusal(self, request: Request, answer: Answer) -> DrayError:
        if answer.status < 400:
            return self._unreachable(f"it sends callers on to {answer.header('Location')}")
        said = f"{self.url} answered {answer.status} to {request.method} {request.target}"
        kind, data = answer.header("Content-Type"), answer.read()
        if "json" in kind:
            try:
                problem = json.loads(data)
            except ValueError:
                problem = None
            if isinstance(problem, dict):
                return decode_problem(cast("dict[str, Any]", problem), said)
        if answer.status in (502, 503, 504):  # a proxy in front of no server
            return self._unreachable(f"{answer.status} from a proxy")
        return DrayError(f"{said}; is it a Dray server?", url=self.url, status=answer.status)

    def _unreachable(self, why: str) -> ServerUnreachable:
        return ServerUnreachable(
            f"no answer from {self.url} ({why}): start a server with `dray up`, "
            "or set DRAY_URL to one that runs",
            url=self.url,
        )


def encode_query(query: Mapping[str, Any] | None) -> str:
    """``query`` as the end of a URL: what is None or empty is left out, a list repeats its name."""
    pairs: list[tuple[str, str]] = []
    for name, value in (query or {}).items():
        values = cast("list[Any]", value) if isinstance(value, list) else [value]
        pairs += [(name, _text(v)) for v in values if v is not None and v != ""]
    return f"?{urlencode(pairs)}" if pairs else ""


def check_address(url: str) -> str:
    """The host of a server's address.

    Raises:
        InvalidInput: it is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(
            f"{url!r} is no server address: it should look like http://HOST:8262",
            field="url",
            value=url,
        )
    return parts.hostname


def check_token(token: str) -> None:
    """Refuse what could not be sent in a header.

    Raises:
        InvalidInput: it cannot.
    """
    if not token.isascii() or not token.isprintable():
        raise InvalidInput("the token holds characters no token has", field="token")


def decode_problem(problem: Mapping[str, Any], said: str) -> DrayError:
    """The error a server raised, as the same class.

    Args:
        problem: a problem+json object; ``code`` names the class.
        said: the sentence when the problem has none.
    """
    standard = ("type", "title", "status", "code", "detail", "instance", "message", "self")
    details = {name: value for name, value in problem.items() if name not in standard}
    code = str(problem.get("code", ""))
    cls = error_classes().get(code)
    if cls is None:
        cls = DrayError
        details |= {"code": code, "status": problem.get("status")}
    return cls(str(problem.get("detail") or problem.get("title") or said), **details)


def _read(answer: Answer) -> bytes:
    with answer:
        return answer.read()


def _whole_answer(answer: Answer) -> Answer:
    return answer


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
