"""Read a spool from where the server stopped: the next chunks, the totals, the receipt."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from dray.runtime.paths import SpoolPaths
from dray.runtime.records import CONSOLE_STREAMS, RECORDS, STREAMS, Chunk
from dray.runtime.spool_console import GapNotes

_BLOCK_BYTES = 1 << 20


@dataclass
class _Stream:
    """One file and what is known of it.

    Attributes:
        notes: its gaps.
        n_hashed: bytes of the file that ``hasher`` has seen, from the first on.
        end: offset of the byte after the last that was there when it was last looked at, for
            ``records`` the end of its last whole line before that.
        looked_at: size of the file up to which ``end`` is known.
    """

    path: str
    notes: GapNotes
    hasher: Any = field(default_factory=hashlib.sha256)
    n_hashed: int = 0
    end: int = 0
    looked_at: int = 0


class SpoolReader:
    """What a spool holds, read as often and from wherever a shipper needs.

    Files may grow meanwhile. Of ``records`` only whole lines exist for the reader, so that a
    line which is being written, or was torn by a full disk, is never sent in part.
    """

    def __init__(self, spool: SpoolPaths) -> None:
        self._streams = {
            name: _Stream(str(spool.stream(name)), GapNotes(str(spool.gaps(name))))
            for name in STREAMS
        }

    def has_more(self, sent: Mapping[str, int]) -> bool:
        """Whether there is something after ``sent`` (bytes by stream), or a file has grown."""
        return any(
            stream.end > sent.get(name, 0) or _size(stream.path) > stream.looked_at
            for name, stream in self._streams.items()
        )

    def totals(self) -> dict[str, int]:
        """Bytes that each stream came to so far; of ``records`` the whole lines."""
        return {
            name: self._look(name)
            for name, stream in self._streams.items()
            if os.path.exists(stream.path)
        }

    def chunks(
        self, sent: Mapping[str, int], totals: Mapping[str, int], budget_bytes: int
    ) -> list[Chunk]:
        """What lies between ``sent`` and ``totals``, within a budget.

        Console first: it is what people watch, and of it the stream with the least to say, so
        that a flood on one does not hold up the other. A quarter is left to records. A record
        larger than the budget goes alone.
        """
        found: list[Chunk] = []
        waiting = {name: totals.get(name, 0) - sent.get(name, 0) for name in STREAMS}
        left = budget_bytes - min(max(0, waiting[RECORDS]), budget_bytes // 4)
        for name in (*sorted(CONSOLE_STREAMS, key=waiting.__getitem__), RECORDS):
            if name == RECORDS:
                left = budget_bytes - sum(len(chunk.data) for chunk in found)
            if waiting[name] > 0:
                end = totals[name]
                chunk = self._read(name, sent.get(name, 0), end, left, alone=not found)
                if chunk.data:
                    found.append(chunk)
                left -= len(chunk.data)
        return found

    def receipt(self, totals: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """What each stream came to up to ``totals``, as the end of an attempt states it.

        The sha256 of a stream with gaps is its writer's word, and empty where that never came
        to say it.
        """
        return {name: self._receipt_of(name, n_bytes) for name, n_bytes in totals.items()}

    def _receipt_of(self, name: str, n_bytes: int) -> dict[str, Any]:
        notes = self._streams[name].notes
        notes.look()  # its writer's last word comes after the last byte
        missing = sum(gap.n_bytes for gap in notes.gaps if gap.offset < n_bytes)
        kept = self._hash_up_to(name, n_bytes - missing)
        if not missing:
            return {"n_bytes": n_bytes, "sha256": kept}
        return {
            "n_bytes": n_bytes,
            "sha256": notes.sha256 if notes.n_written == n_bytes else "",
            "missing_bytes": missing,
            "kept_sha256": kept,
        }

    def _look(self, name: str) -> int:
        stream = self._streams[name]
        size = _size(stream.path)
        if size < stream.looked_at:  # somebody cut the file: what is gone cannot be sent
            stream.end = stream.looked_at = min(stream.end, size)
        elif size > stream.looked_at:
            if name == RECORDS:
                stream.end = self._last_line_end(stream, size)
            else:
                stream.notes.look()  # a gap is noted before the bytes after it are written
                stream.end = size + stream.notes.missing_before(size)
            stream.looked_at = size
        return stream.end

    def _last_line_end(self, stream: _Stream, size: int) -> int:
        with open(stream.path, "rb") as file:
            at = size
            while at > stream.end:
                start = max(stream.end, at - _BLOCK_BYTES)
                file.seek(start)
                newline = file.read(at - start).rfind(b"\n")
                if newline >= 0:
                    return start + newline + 1
                at = start
        return stream.end

    def _read(self, name: str, offset: int, end: int, budget: int, *, alone: bool) -> Chunk:
        """Up to ``budget`` bytes; of records whole lines, and one at least when ``alone``."""
        stream = self._streams[name]
        skipped, position, gap_at = stream.notes.stretch(offset)
        offset += skipped
        wanted = min(end - offset, (gap_at or end) - offset, max(budget, 0))
        with open(stream.path, "rb") as file:
            file.seek(position)
            data = file.read(wanted)
            if name == RECORDS and offset + wanted < end:
                data = data[: data.rfind(b"\n") + 1]
                if not data and alone:
                    file.seek(position)
                    data = file.readline()
        if position <= stream.n_hashed < position + len(data):
            fresh = memoryview(data)[stream.n_hashed - position :]
            stream.hasher.update(fresh)
            stream.n_hashed = position + len(data)
        return Chunk(name, offset, data, skipped)

    def _hash_up_to(self, name: str, n_bytes: int) -> str:
        stream = self._streams[name]
        with open(stream.path, "rb") as file:
            file.seek(stream.n_hashed)
            while stream.n_hashed < n_bytes:
                block = file.read(min(_BLOCK_BYTES, n_bytes - stream.n_hashed))
                if not block:
                    break  # somebody cut the file; the receipt tells what is there
                stream.hasher.update(block)
                stream.n_hashed += len(block)
        return cast("str", stream.hasher.hexdigest())


def final_record(spool: SpoolPaths) -> dict[str, Any] | None:
    """The last record of kind ``final``, if the run has written one."""
    found: dict[str, Any] | None = None
    try:
        with spool.stream(RECORDS).open("rb") as file:
            for record in records_with(file, b'"final"'):
                if record.get("k") == "final":
                    found = record
    except FileNotFoundError:
        return None
    return found


def records_with(lines: Iterable[bytes], word: bytes) -> Iterator[dict[str, Any]]:
    """The records among ``lines`` that hold ``word``; lines that are no JSON are left out."""
    # Reading JSON costs 30 times more than looking for a word, and few lines have it.
    for line in lines:
        if word in line:
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue  # a torn or a bottomless line; the server skips it too
            if isinstance(record, dict):
                yield cast("dict[str, Any]", record)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
