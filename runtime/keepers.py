"""The agent's end of one keeper: requests out, events in (see ``runtime/supervisor.py``)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any, Protocol


class Kept(Protocol):
    """Who is told what a keeper says."""

    def on_event(self, event: str, facts: dict[str, Any]) -> None:
        """One message of the keeper."""
        ...

    def on_lost(self) -> None:
        """The keeper ended; so did its child and every orphan."""
        ...


class KeeperLink:
    """One keeper, which has one child after the other.

    Attributes:
        child: whose events come in; None while the keeper has no work.
        closed: set once the keeper has ended.
    """

    def __init__(self, on_free: Callable[[KeeperLink], None]) -> None:
        self.child: Kept | None = None
        self.closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._on_free = on_free
        self._inbox = b""
        self._conn, self.keeper_end = socket.socketpair()
        self._conn.setblocking(False)
        self._loop.add_reader(self._conn.fileno(), self._hear)

    async def start(self, child: Kept, order: dict[str, Any], fds: list[int]) -> None:
        """Ask for a child that gets ``fds`` as its output.

        Raises:
            BrokenPipeError: the keeper has ended; try another one.
        """
        self.child = child
        request = _encode(op="start", **order)
        n_sent = socket.send_fds(self._conn, [request], fds)
        if n_sent < len(request):
            await self._loop.sock_sendall(self._conn, request[n_sent:])

    def order(self, op: str, **facts: Any) -> None:
        """Tell the keeper what to do with its child."""
        if self._conn.fileno() >= 0:
            with contextlib.suppress(BrokenPipeError):  # it has just ended, and says so itself
                self._conn.send(_encode(op=op, **facts))

    def let_go(self) -> None:
        """Be gone as far as the keeper can see: it kills what it has at once, and ends."""
        if self._conn.fileno() >= 0:
            with contextlib.suppress(OSError):  # not connected: it has ended already
                self._conn.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Give the descriptors back; the keeper ends, if it has not."""
        self.keeper_end.close()
        if self._conn.fileno() >= 0:
            self._loop.remove_reader(self._conn.fileno())
            self._conn.close()
            self.closed.set()

    def _hear(self) -> None:
        try:
            data = self._conn.recv(64 * 1024)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self.close()
            child, self.child = self.child, None
            if child is not None:
                child.on_lost()
            self._on_free(self)
            return
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        for line in lines:
            self._pass_on(json.loads(line))

    def _pass_on(self, facts: dict[str, Any]) -> None:
        event, child = facts.pop("event"), self.child
        is_last = event in ("failed", "tree_gone")
        if is_last:
            self.child = None
        if child is not None:
            child.on_event(event, facts)
        if is_last:
            self._on_free(self)


def _encode(**facts: Any) -> bytes:
    return json.dumps(facts).encode() + b"\n"
