"""Console output: bytes in one file per attempt and stream, and an index of what arrived when."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from dray.runtime.errors import NotFound
from dray.runtime.folders import make_folder, sync_folder
from dray.runtime.models import Gap
from dray.runtime.paths import HomePaths
from dray.runtime.store.contract import ConsolePage, ConsolePiece, RawConsole
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session

#: Bytes of one piece at most, so that a page of pieces is bounded.
PIECE_BYTES = 1 << 16
_PIECES_LIMIT = 1000
_READ_BYTES = 1 << 20
#: Gaps that are told one by one; their bytes are always counted in full.
_GAPS_LIMIT = 100
#: Rows looked at for them: gaps for want of room come one a frame and are told as one.
_GAP_ROWS_LIMIT = 10_000

_AFTER = """
SELECT * FROM console WHERE task_id = ? AND seq > ? AND (? IS NULL OR stream = ?)
ORDER BY seq LIMIT ?
"""
_LAST = """
SELECT * FROM console WHERE task_id = ? AND seq > ? AND (? IS NULL OR stream = ?)
ORDER BY seq DESC LIMIT ?
"""
_ADD = """
INSERT INTO console (task_id, epoch, stream, offset, n_bytes, at, missing, position)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_STORED = """
SELECT n_bytes - n_missing AS n_bytes FROM offsets
WHERE task_id = ? AND epoch = ? AND stream = ?
"""
_GAPS = """
SELECT offset - missing AS offset, missing FROM console
WHERE task_id = ? AND epoch = ? AND stream = ? AND missing > 0 ORDER BY console.offset LIMIT ?
"""


@dataclass(frozen=True)
class Run:
    """New bytes of a console stream, perhaps after some that are missing.

    Attributes:
        offset: of the first byte of ``data`` in the stream.
        missing: bytes right before it that were written and are not stored.
    """

    stream: str
    offset: int
    data: bytes
    missing: int = 0

    def without_bytes(self) -> Run:
        """The same, of which nothing is stored."""
        n_bytes = len(self.data)
        return Run(self.stream, self.offset + n_bytes, b"", self.missing + n_bytes)


class Console:
    """What attempts printed."""

    def __init__(self, home: HomePaths, results: Database) -> None:
        self._home = home
        self._results = results

    async def pieces(
        self,
        task_id: str,
        after: int = 0,
        *,
        tail_bytes: int | None = None,
        stream: str | None = None,
        limit_bytes: int = 1 << 18,
    ) -> ConsolePage:
        """Output in order of arrival.

        Args:
            task_id: whole id.
            after: ``seq`` to go on after.
            tail_bytes: only about the last so many bytes.
            stream: only this one.
            limit_bytes: the page ends with the piece that reaches it.
        """
        sql = _AFTER if tail_bytes is None else _LAST
        budget = limit_bytes if tail_bytes is None else min(tail_bytes, limit_bytes)
        if budget <= 0:
            return ConsolePage([], after)
        found = await self._results.rows(sql, (task_id, after, stream, stream, _PIECES_LIMIT))
        chosen = _within(found, budget)
        if tail_bytes is not None:
            chosen.reverse()
        pieces = await asyncio.to_thread(self._read, chosen)
        return ConsolePage(pieces, chosen[-1]["seq"] if chosen else after)

    async def raw(self, task_id: str, epoch: int, stream: str) -> RawConsole:
        """What is stored of one stream, as a file; gaps take no room in it.

        Raises:
            NotFound: nothing of it has arrived.
        """
        row = await self._results.row(_STORED, (task_id, epoch, stream))
        path = self._home.console_stream(task_id, epoch, stream)
        if row is None or not path.is_file():
            raise NotFound(f"attempt {epoch} of task {task_id[:8]} has no {stream}", stream=stream)
        return RawConsole(str(path), row["n_bytes"])

    async def gaps(self, task_id: str, epoch: int, stream: str) -> list[Gap]:
        """The first of what was written to a stream and is not stored, by offset."""
        wanted = (task_id, epoch, stream, _GAP_ROWS_LIMIT)
        gaps: list[Gap] = []
        for row in await self._results.rows(_GAPS, wanted):
            gap = Gap(row["offset"], row["missing"])
            if gaps and gaps[-1].offset + gaps[-1].n_bytes == gap.offset:
                gaps[-1] = Gap(gaps[-1].offset, gaps[-1].n_bytes + gap.n_bytes)
            elif len(gaps) == _GAPS_LIMIT:
                break
            else:
                gaps.append(gap)
        return gaps

    def append(self, task_id: str, epoch: int, stream: str, position: int, data: bytes) -> None:
        """Write bytes to a place of a stream's file and wait for the disk; blocks.

        Writing the same bytes again, after a crash before their offset was kept, is harmless.
        """
        path = self._home.console_stream(task_id, epoch, stream)
        descriptor, is_new = _open(path)
        try:
            view = memoryview(data)
            while view:
                n_written = os.pwrite(descriptor, view, position)
                view, position = view[n_written:], position + n_written
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(path.parent)

    def digest(self, task_id: str, epoch: int, stream: str, n_bytes: int) -> str:
        """The sha256 of the first ``n_bytes`` stored bytes of a stream; blocks."""
        digest = hashlib.sha256()
        path = self._home.console_stream(task_id, epoch, stream)
        if n_bytes:
            with path.open("rb") as file:
                while n_bytes and (data := file.read(min(n_bytes, _READ_BYTES))):
                    digest.update(data)
                    n_bytes -= len(data)
        return digest.hexdigest()

    def remove(self, task_id: str, epoch: int) -> None:
        """Delete the files of a task up to an epoch; blocks."""
        folder = self._home.console_stream(task_id, epoch, "stdout").parent
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            number = path.name.partition(".")[0]
            if number.isdigit() and int(number) <= epoch:
                path.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()

    def _read(self, found: list[sqlite3.Row]) -> list[ConsolePiece]:
        return [
            ConsolePiece(
                seq=row["seq"],
                epoch=row["epoch"],
                stream=row["stream"],
                offset=row["offset"],
                at=row["at"],
                text=_read_text(
                    self._home.console_stream(row["task_id"], row["epoch"], row["stream"]), row
                ),
                missing=row["missing"],
            )
            for row in found
        ]


async def index(
    connection: Session, task_id: str, epoch: int, run: Run, position: int, now: float
) -> None:
    """Write down that bytes arrived, in the transaction that moves the stream's offset.

    Args:
        connection: of that transaction.
        task_id: whole id.
        epoch: of the attempt.
        run: what arrived.
        position: of its bytes in the stream's file.
        now: when.
    """
    n_bytes = len(run.data)
    await connection.executemany(
        _ADD,
        [
            (
                task_id,
                epoch,
                run.stream,
                run.offset + at,
                min(PIECE_BYTES, n_bytes - at),
                now,
                run.missing if at == 0 else 0,
                position + at,
            )
            for at in range(0, max(n_bytes, 1), PIECE_BYTES)
        ],
    )


def _within(found: list[sqlite3.Row], budget: int) -> list[sqlite3.Row]:
    """The first rows up to the one that reaches the budget."""
    chosen: list[sqlite3.Row] = []
    for row in found:
        chosen.append(row)
        budget -= row["n_bytes"]
        if budget <= 0:
            break
    return chosen


def _open(path: Path) -> tuple[int, bool]:
    """A descriptor of a file to write to, and whether the file was made for it."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    try:
        return os.open(path, flags), False
    except FileNotFoundError:
        make_folder(path.parent)
        return os.open(path, flags | os.O_CREAT, 0o600), True


def _read_text(path: Path, row: sqlite3.Row) -> str:
    """The characters that *end* in a piece.

    A character that the piece's end cuts is left to the next piece, so that following a
    stream never shows half of one.
    """
    n_bytes, position = row["n_bytes"], row["position"]
    position = row["offset"] if position is None else position
    if n_bytes == 0:
        return ""
    start = max(0, position - 3) if row["missing"] == 0 else position
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(position - start + n_bytes)
    except FileNotFoundError:  # the outputs were deleted meanwhile
        return ""
    lead = data[: position - start]
    begin = len(lead) - _n_cut(lead)
    return data[begin : len(data) - _n_cut(data)].decode("utf-8", "replace")


def _n_cut(data: bytes) -> int:
    """How many bytes at the end begin a UTF-8 character whose rest is not there."""
    for n_back in range(1, min(3, len(data)) + 1):
        byte = data[-n_back]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return n_back if n_back < length else 0
        if byte < 0x80:
            return 0
    return 0
