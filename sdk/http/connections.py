"""Kept-alive HTTP connections to one server, one exchange on one of them, and its answer."""

from __future__ import annotations

import http.client
import os
import selectors
import ssl
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dray.runtime.errors import ServerUnreachable

#: Seconds to get a connection. A server on the same continent answers in a tenth of one.
CONNECT_TIMEOUT_S = 5.0
#: uvicorn closes a connection after 5 idle seconds; an older one is not worth the race.
IDLE_LIMIT_S = 4.0
#: Bytes of a file handed to the socket at once.
BLOCK_BYTES = 1 << 18


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent as often as needed.

    Attributes:
        body: bytes, or a file that is streamed.
        idempotent: whether it may be sent again when it may have arrived before.
        timeout_s: seconds without a byte after which the server counts as silent.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | Path | None = None
    idempotent: bool = False
    timeout_s: float = 30.0


class NotSentError(Exception):
    """No connection could be made, so the server has seen nothing of the request."""


class Pool:
    """Idle connections of one process to one server; a forked child starts with none."""

    def __init__(self, host: str, port: int | None, tls: ssl.SSLContext | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._lock = threading.Lock()
        #: [(monotonic time it became idle, connection)]; the latest last
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._pid = os.getpid()
        # A client that is let go without `close` leaves no connection behind.
        weakref.finalize(self, _close_all, self._idle)

    def take(self, *, fresh: bool) -> tuple[http.client.HTTPConnection, bool]:
        """A connection and whether it has been used before; ``fresh`` forbids that."""
        while not fresh:
            with self._lock:
                self._forget_parents()
                if not self._idle:
                    break
                since, connection = self._idle.pop()
            if time.monotonic() - since < IDLE_LIMIT_S and not _has_input(connection):
                return connection, True
            connection.close()
        return self._new(), False

    def give(self, connection: http.client.HTTPConnection) -> None:
        """Put back a connection whose answer was read to its end."""
        with self._lock:
            self._forget_parents()
            self._idle.append((time.monotonic(), connection))

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            _close_all(self._idle)

    def _new(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(
                self._host,
                self._port,
                timeout=CONNECT_TIMEOUT_S,
                context=self._tls,
                blocksize=BLOCK_BYTES,
            )
        return http.client.HTTPConnection(
            self._host, self._port, timeout=CONNECT_TIMEOUT_S, blocksize=BLOCK_BYTES
        )

    def _forget_parents(self) -> None:
        # Two processes on one connection would read each other's answers. Closing our copy of
        # a descriptor leaves the parent's connection open.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            _close_all(self._idle)


class Answer:
    """A response whose body may still be on its way; closing it gives the connection back."""

    def __init__(
        self,
        pool: Pool,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        *,
        url: str,
        reusable: bool,
    ) -> None:
        self._pool, self._connection, self._response = pool, connection, response
        self._url, self._reusable = url, reusable
        self.status = response.status

    def header(self, name: str) -> str:
        """A response header, empty when it is not there."""
        return self._response.headers.get(name, "")

    def read(self, n_bytes: int | None = None) -> bytes:
        """The next bytes of the body, or all of it.

        Raises:
            ServerUnreachable: the connection broke before its end.
        """
        try:
            block = self._response.read(n_bytes)
        except (OSError, http.client.HTTPException) as exc:
            raise ServerUnreachable(
                f"{self._url} stopped in the middle of its answer ({describe(exc)}); try again",
                url=self._url,
            ) from exc
        # `read(n)` of a body cut short ends like one that is complete (CPython issue 50119).
        if n_bytes and not block and self._response.length:
            raise ServerUnreachable(
                f"{self._url} sent {self._response.length} bytes less than it said; try again",
                url=self._url,
            )
        return block

    def lines(self) -> Iterator[bytes]:
        """The lines of the body as they come; ends when the connection does."""
        while True:
            try:
                line = self._response.readline()
            except (OSError, http.client.HTTPException):
                return  # whoever follows a stream reconnects, whatever ended it
            if not line:
                return
            yield line

    def close(self) -> None:
        """Keep the connection when the body was read to its end, else close it."""
        # A response that was read whole has closed itself; `will_close` says the server ends it.
        done = self._response.isclosed() and not self._response.will_close
        if done and self._reusable:
            self._pool.give(self._connection)
        else:
            self._connection.close()
            self._response.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def exchange(pool: Pool, request: Request, url: str) -> Answer:
    """Send ``request`` and wait for the head of its answer.

    A request that must not arrive twice goes over a new connection: on a used one, "closed
    while idle" cannot be told from "closed after it was done".

    Raises:
        NotSentError: no connection could be made.
        OSError, http.client.HTTPException: it broke after that.
    """
    connection, reused = pool.take(fresh=not request.idempotent)
    try:
        return _exchange_on(pool, connection, request, url)
    except (ConnectionError, http.client.BadStatusLine):
        connection.close()
        if not reused:
            raise
    except BaseException:
        connection.close()
        raise
    connection, _ = pool.take(fresh=True)
    try:
        return _exchange_on(pool, connection, request, url)
    except BaseException:
        connection.close()
        raise


def _exchange_on(
    pool: Pool, connection: http.client.HTTPConnection, request: Request, url: str
) -> Answer:
    if connection.sock is None:
        try:
            connection.connect()
        except OSError as exc:
            raise NotSentError(describe(exc)) from exc
    if connection.sock is not None:
        connection.sock.settimeout(request.timeout_s)
    whole = True
    try:
        _send(connection, request)
    except ConnectionError as exc:
        # A server that refuses a large body early has answered before it hung up.
        whole = False
        try:
            response = connection.getresponse()
        except (OSError, http.client.HTTPException):
            raise exc from None
    else:
        response = connection.getresponse()
    return Answer(pool, connection, response, url=url, reusable=whole)


def _send(connection: http.client.HTTPConnection, request: Request) -> None:
    if isinstance(request.body, Path):
        with request.body.open("rb") as file:
            # With a length given, http.client streams the file instead of chunking it.
            length = str(os.fstat(file.fileno()).st_size)
            headers = {**request.headers, "Content-Length": length}
            connection.request(request.method, request.target, body=file, headers=headers)
    else:
        connection.request(
            request.method, request.target, body=request.body, headers=request.headers
        )


def _close_all(idle: list[tuple[float, http.client.HTTPConnection]]) -> None:
    while idle:
        _, connection = idle.pop()
        connection.close()


def _has_input(connection: http.client.HTTPConnection) -> bool:
    # An idle connection with something to read was closed by the server.
    with selectors.DefaultSelector() as selector:
        try:
            selector.register(connection.sock, selectors.EVENT_READ)
        except (ValueError, AttributeError):
            return True
        return bool(selector.select(timeout=0))


def describe(exc: BaseException) -> str:
    """What went wrong, for a sentence."""
    text = str(exc) or type(exc).__name__
    return text if isinstance(exc, OSError) else f"{type(exc).__name__}: {text}"
