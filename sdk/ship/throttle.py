"""How fast a shipper may send: a burst at once, then a rate, and never most of the time."""

from __future__ import annotations

from dataclasses import dataclass

#: How fast a backlog is sent, and how much of it at once before that counts.
BYTES_S = 8 << 20
BURST_BYTES = 4 << 20
#: A frame of so many bytes or more is part of a backlog.
LARGE_BYTES = 256 << 10
#: After a large frame, the pause is so many times what its request took: a server that is slow
#: because many send to it gets less from each of them. A backlog of records may take half of
#: the server's time: they are what people wait for, and are taken in by a thread of their own.
PAUSE_PER_REQUEST = 2.0
PAUSE_PER_RECORDS = 1.0


@dataclass
class Throttle:
    """Room for bytes that grows with time; pure, on a clock it is told.

    A single stream of console must not take the server from others. Who prints less than the
    rate never meets this.

    Attributes:
        bytes_s: by which room grows.
        burst_bytes: up to so much.
    """

    bytes_s: float = BYTES_S
    burst_bytes: float = BURST_BYTES
    _room: float = 0.0
    _seen_at: float | None = None

    def sent(self, n_bytes: int, took_s: float, now: float, *, n_free: int = 0) -> float:
        """When the next frame may go, after one of ``n_bytes`` whose request took ``took_s``.

        ``n_free`` of them are not counted by the rate: records cost a server time, which the
        pause is measured by, and a tenth of the disk that a console takes.
        """
        if self._seen_at is None:
            self._room = self.burst_bytes
        else:
            grown = max(0.0, now - self._seen_at) * self.bytes_s
            self._room = min(self.burst_bytes, self._room + grown)
        self._seen_at = now
        self._room -= n_bytes - n_free
        pause_s = max(0.0, -self._room / self.bytes_s)
        if n_bytes >= LARGE_BYTES:
            part = n_free / n_bytes
            pauses = PAUSE_PER_REQUEST * (1.0 - part) + PAUSE_PER_RECORDS * part
            pause_s = max(pause_s, pauses * took_s)
        return now + pause_s
