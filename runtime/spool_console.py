"""What of a console stream goes into its spool: all of it, until it becomes a flood.

A stream may write a burst, and as much again as its rate fills up. What is over that is counted
and hashed but not kept, until there is room for a good piece again: a *gap*. The last bytes are
held in memory meanwhile and follow the gap, so that the traceback after a flood is not lost.

``NAME.log`` holds the kept bytes without holes. ``NAME.gaps`` states each gap on a line of its
own, written before the bytes that follow it, and at the end what the stream came to.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass

from dray.runtime.paths import SpoolPaths


@dataclass(frozen=True)
class ConsoleBounds:
    """How much of one stream is kept.

    Attributes:
        burst_bytes: kept whatever the speed.
        rate_bytes_s: by which room grows again, up to the burst.
        resume_bytes: room that must be there before a gap ends, so that gaps are few.
        tail_bytes: of the end of a gap, kept in memory.
    """

    burst_bytes: int = 64 << 20
    rate_bytes_s: int = 256 << 10
    resume_bytes: int = 1 << 20
    tail_bytes: int = 64 << 10


@dataclass(frozen=True)
class Kept:
    """Bytes to keep, which begin at ``offset``, after ``missing`` that are not kept."""

    offset: int
    data: bytes
    missing: int = 0


class FloodGate:
    """Decides byte by byte what is kept of a stream; pure, on a clock it is told.

    Attributes:
        n_written: bytes the process wrote.
    """

    def __init__(self, bounds: ConsoleBounds, now: float) -> None:
        self._bounds = bounds
        self._resume = max(1, min(bounds.resume_bytes, bounds.burst_bytes))
        self._room = float(bounds.burst_bytes)
        self._seen_at = now
        self._gap_at: int | None = None
        self._tail = bytearray()
        self._hasher = hashlib.sha256()
        self.n_written = 0

    @property
    def sha256(self) -> str:
        """Of everything that was written, kept or not."""
        return self._hasher.hexdigest()

    def take(self, data: bytes, now: float) -> list[Kept]:
        """What to keep once ``data`` was written."""
        kept = self.resume(now)
        begin, self.n_written = self.n_written, self.n_written + len(data)
        self._hasher.update(data)
        if self._gap_at is None:
            n_kept = min(len(data), int(self._room))
            self._room -= n_kept
            if n_kept:
                kept.append(Kept(begin, data[:n_kept]))
            data = data[n_kept:]
            if data:
                self._gap_at = begin + n_kept
        if data:
            self._hold(data)
        return kept

    def resume(self, now: float) -> list[Kept]:
        """End a gap if there is room again."""
        self._room = min(
            float(self._bounds.burst_bytes),
            self._room + max(0.0, now - self._seen_at) * self._bounds.rate_bytes_s,
        )
        self._seen_at = now
        return self._end_gap() if self._room >= self._resume else []

    def close(self) -> list[Kept]:
        """The stream has ended: what was held follows the gap."""
        return self._end_gap()

    def resumes_in_s(self) -> float | None:
        """Time until ``resume`` ends the gap there is, if there is one."""
        if self._gap_at is None:
            return None
        return max(0.0, self._resume - self._room) / max(1, self._bounds.rate_bytes_s)

    def _hold(self, data: bytes) -> None:
        limit = self._bounds.tail_bytes
        if len(data) >= limit:
            self._tail = bytearray(data[len(data) - limit :])
        else:
            self._tail += data
            del self._tail[: max(0, len(self._tail) - limit)]

    def _end_gap(self) -> list[Kept]:
        if self._gap_at is None:
            return []
        tail, offset = bytes(self._tail), self.n_written - len(self._tail)
        missing, self._gap_at = offset - self._gap_at, None
        self._room = max(0.0, self._room - len(tail))
        self._tail.clear()
        return [Kept(offset, tail, missing)]


class ConsoleWriter:
    """Appends one console stream to a spool, within bounds.

    Args:
        spool: where.
        stream: its name.
        bounds: what is kept of it.
        clock: seconds that only grow.
    """

    def __init__(
        self, spool: SpoolPaths, stream: str, bounds: ConsoleBounds, clock: Callable[[], float]
    ) -> None:
        self._gaps_path = spool.gaps(stream)
        self._clock = clock
        self._gate = FloodGate(bounds, clock())
        self._fd = _append_to(spool.stream(stream))
        self._position = os.fstat(self._fd).st_size
        self._has_gaps = False
        self._failure: OSError | None = None

    def write(self, data: bytes) -> float | None:
        """Append what is kept of ``data``; in how many seconds to call ``resume``, if at all.

        Raises:
            OSError: the disk does not take it; from then on it takes nothing, so that what is
                there stays a prefix.
        """
        return self._keep(self._gate.take(data, self._clock()))

    def resume(self) -> float | None:
        """As ``write`` without new bytes: a gap may end though nothing is written any more."""
        return self._keep(self._gate.resume(self._clock()))

    def close(self) -> None:
        """Append what was held, state what the stream came to; a second call does nothing.

        Raises:
            OSError: the disk does not take it.
        """
        if self._fd < 0:
            return
        try:
            self._keep(self._gate.close())
            if self._has_gaps:
                self._note(n_written=self._gate.n_written, sha256=self._gate.sha256)
        finally:
            os.close(self._fd)
            self._fd = -1

    def _keep(self, pieces: list[Kept]) -> float | None:
        if self._failure is not None:
            raise self._failure
        try:
            for piece in pieces:
                self._append(piece)
        except OSError as exc:
            self._failure = exc
            raise
        return self._gate.resumes_in_s()

    def _append(self, piece: Kept) -> None:
        if piece.missing:
            begin = piece.offset - piece.missing
            self._note(position=self._position, offset=begin, n_bytes=piece.missing)
            self._has_gaps = True
        write_all(self._fd, piece.data)
        self._position += len(piece.data)

    def _note(self, **members: int | str) -> None:
        descriptor = _append_to(self._gaps_path)
        try:
            write_all(descriptor, json.dumps(members).encode() + b"\n")
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class NotedGap:
    """A gap, and where the bytes after it lie in the file."""

    position: int
    offset: int
    n_bytes: int


class GapNotes:
    """What ``NAME.gaps`` says so far; most streams have none.

    Attributes:
        gaps: by offset.
        n_written: bytes the process wrote, once the stream has ended.
        sha256: of them.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._n_read = 0
        self.gaps: list[NotedGap] = []
        self.n_written: int | None = None
        self.sha256 = ""

    def look(self) -> None:
        """Read what was added."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._n_read)
                data = file.read()
        except FileNotFoundError:
            return
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            self._n_read += len(line)
            note = json.loads(line)
            if "position" in note:
                self.gaps.append(NotedGap(note["position"], note["offset"], note["n_bytes"]))
            else:
                self.n_written, self.sha256 = note["n_written"], note["sha256"]

    def missing_before(self, position: int) -> int:
        """Bytes missing before the byte at a position of the file."""
        return sum(gap.n_bytes for gap in self.gaps if gap.position < position)

    def stretch(self, offset: int) -> tuple[int, int, int | None]:
        """What to read for the bytes from ``offset`` on.

        Returns:
            Bytes to skip, the position in the file after them, and the offset at which the next
            gap begins.
        """
        shift = 0
        for number, gap in enumerate(self.gaps):
            after = gap.offset + gap.n_bytes
            if offset < gap.offset:
                return 0, offset - shift, gap.offset
            if offset < after:
                following = self.gaps[number + 1 : number + 2]
                return after - offset, gap.position, following[0].offset if following else None
            shift += gap.n_bytes
        return 0, offset - shift, None


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte; blocks.

    Raises:
        OSError: the disk does not take them.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _append_to(path: os.PathLike[str]) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
