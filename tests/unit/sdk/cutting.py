"""A wire between client and server that a test cuts in the middle of what is being sent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Wire:
    """Forwards to a server.

    Attributes:
        cut_after: bytes from the client after which each connection is cut, first first; the
            wire holds once all are used up.
        n_up: bytes the client has sent in all.
    """

    url: str
    cut_after: list[int]
    n_up: int = 0


@contextlib.contextmanager
def wire(server_url: str, cut_after: list[int]) -> Iterator[Wire]:
    """A wire to ``server_url``, at an address of its own."""
    target = urlsplit(server_url)
    listener = socket.create_server(("127.0.0.1", 0))
    made = Wire(f"http://127.0.0.1:{listener.getsockname()[1]}", cut_after)

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection((target.hostname or "", target.port or 0))
            threading.Thread(target=up, args=(near, far), daemon=True).start()
            threading.Thread(target=down, args=(near, far), daemon=True).start()

    def up(near: socket.socket, far: socket.socket) -> None:
        n_here = 0
        with contextlib.suppress(OSError):
            while data := near.recv(1 << 16):
                far.sendall(data)
                n_here += len(data)
                made.n_up += len(data)
                if made.cut_after and n_here >= made.cut_after[0]:
                    made.cut_after.pop(0)
                    break
        _end(near, far)

    def down(near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                near.sendall(data)
        _end(near, far)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield made
    finally:
        listener.close()


def _end(*sides: socket.socket) -> None:
    for side in sides:
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)
        side.close()
