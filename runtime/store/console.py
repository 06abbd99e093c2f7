"""Console output: bytes in one file per attempt and stream, and an index of what arrived when."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from pathlib import Path

from dray.runtime.errors import NotFound
from dray.runtime.paths import HomePaths
from dray.runtime.store.contract import ConsolePage, ConsolePiece, RawConsole
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session

#: Bytes of one piece at most, so that a page of pieces is bounded.
PIECE_BYTES = 1 << 16
_PIECES_LIMIT = 1000
_READ_BYTES = 1 << 20

_AFTER = """
SELECT * FROM console WHERE task_id = ? AND seq > ? AND (? IS NULL OR stream = ?)
ORDER BY seq LIMIT ?
"""
_LAST = """
SELECT * FROM console WHERE task_id = ? AND seq > ? AND (? IS NULL OR stream = ?)
ORDER BY seq DESC LIMIT ?
"""
_ADD = """
INSERT INTO console (task_id, epoch, stream, offset, n_bytes, at) VALUES (?, ?, ?, ?, ?, ?)
"""
_STORED = "SELECT n_bytes FROM offsets WHERE task_id = ? AND epoch = ? AND stream = ?"


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
        """One stream as a file.

        Raises:
            NotFound: nothing of it has arrived.
        """
        row = await self._results.row(_STORED, (task_id, epoch, stream))
        path = self._home.console_stream(task_id, epoch, stream)
        if row is None or not path.is_file():
            raise NotFound(f"attempt {epoch} of task {task_id[:8]} has no {stream}", stream=stream)
        return RawConsole(str(path), row["n_bytes"])

    def append(self, task_id: str, epoch: int, stream: str, offset: int, data: bytes) -> None:
        """Write bytes to a stream's file and wait for the disk; blocks.

        Writing the same bytes again, after a crash before their offset was kept, is harmless.
        """
        path = self._home.console_stream(task_id, epoch, stream)
        is_new = not path.exists()
        if is_new:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                n_written = os.pwrite(descriptor, view, offset)
                view, offset = view[n_written:], offset + n_written
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(path.parent)

    def digest(self, task_id: str, epoch: int, stream: str, n_bytes: int) -> str:
        """The sha256 of the first ``n_bytes`` bytes of a stream; blocks."""
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
                    self._home.console_stream(row["task_id"], row["epoch"], row["stream"]),
                    row["offset"],
                    row["n_bytes"],
                ),
            )
            for row in found
        ]


async def index(
    connection: Session,
    task_id: str,
    epoch: int,
    stream: str,
    offset: int,
    n_bytes: int,
    now: float,
) -> None:
    """Write down that bytes arrived, in the transaction that moves the stream's offset."""
    end = offset + n_bytes
    await connection.executemany(
        _ADD,
        [
            (task_id, epoch, stream, start, min(PIECE_BYTES, end - start), now)
            for start in range(offset, end, PIECE_BYTES)
        ],
    )


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut; blocks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _within(found: list[sqlite3.Row], budget: int) -> list[sqlite3.Row]:
    """The first rows up to the one that reaches the budget."""
    chosen: list[sqlite3.Row] = []
    for row in found:
        chosen.append(row)
        budget -= row["n_bytes"]
        if budget <= 0:
            break
    return chosen


def _read_text(path: Path, offset: int, n_bytes: int) -> str:
    """The characters that *end* in a piece.

    A character that the piece's end cuts is left to the next piece, so that following a
    stream never shows half of one.
    """
    start = max(0, offset - 3)
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(offset - start + n_bytes)
    except FileNotFoundError:  # the outputs were deleted meanwhile
        return ""
    lead = data[: offset - start]
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
