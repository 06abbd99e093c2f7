"""Blobs that arrive in pieces: what is there of one outlives its connection and the server."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from dray.runtime.clock import Clock
from dray.runtime.errors import InvalidInput, OffsetMismatch
from dray.runtime.store.blobs import Blobs, on_disk, settle
from dray.runtime.store.reserve import Reserve

#: An upload nobody went on with for so long is given up.
ABANDONED_AFTER_S = 48 * 3600.0
_READ_BYTES = 1 << 20


@dataclass
class _Known:
    """What is remembered of a partial file, so that its end need not read it again.

    Attributes:
        lock: held while a piece is written, never while one is waited for.
        n_hashed: bytes ``digest`` has seen; fewer than the file has after a restart.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    digest: Any = field(default_factory=hashlib.sha256)
    n_hashed: int = 0


class PartWriter:
    """Appends to one partial blob; several may, as each piece says where it belongs."""

    def __init__(self, path: Path, file: BinaryIO, known: _Known, at: int, reserve: Reserve):
        self._path, self._file, self._known, self._reserve = path, file, known, reserve
        #: Offset of the next byte.
        self.at = at

    async def write(self, data: bytes) -> None:
        """Append ``data``, off the loop.

        Raises:
            OffsetMismatch: another connection has brought these bytes meanwhile.
            InsufficientStorage: the disk is full, or nearly; what is there stays.
        """
        self._reserve.require_room_for_blobs()
        async with self._known.lock:
            self.at = await on_disk(self._path.name, self._append, data)

    def _append(self, data: bytes) -> int:
        size = os.fstat(self._file.fileno()).st_size
        if size != self.at:
            raise mismatch(self._path.name, self.at, size)
        view = memoryview(data)
        while view:
            n_written = self._file.write(view)
            if self._known.n_hashed == size:
                self._known.digest.update(view[:n_written])
                self._known.n_hashed += n_written
            size += n_written
            view = view[n_written:]
        return size


class PartialBlobs:
    """Beside the blobs: those that are still arriving, each under its announced sha256."""

    def __init__(self, root: Path, blobs: Blobs, reserve: Reserve, clock: Clock) -> None:
        self._folder = root / "partial"
        self._blobs, self._reserve, self._clock = blobs, reserve, clock
        #: {sha256: what is known of its file}; of those that are being written.
        self._known: dict[str, _Known] = {}

    async def n_bytes(self, sha256: str) -> int:
        """How much of the blob is here: where its next piece begins."""
        path = self._path(sha256)
        return await asyncio.to_thread(_size, path)

    @asynccontextmanager
    async def part(self, sha256: str, offset: int) -> AsyncGenerator[PartWriter]:
        """Go on with the blob at ``offset``; what was written stays, however this ends.

        Raises:
            OffsetMismatch: something else is here; ``details['expected']`` says how much.
            InsufficientStorage: the disk is full, or nearly.
            StoreUnusable: the disk refuses it.
        """
        path = self._path(sha256)
        self._reserve.require_room_for_blobs()
        size = await asyncio.to_thread(_size, path)
        if size != offset:
            raise mismatch(sha256, offset, size)
        if not size:
            await asyncio.to_thread(self.sweep)
        file = await on_disk(sha256, _open_to_append, path)
        try:
            known = self._known.setdefault(sha256, _Known())
            yield PartWriter(path, file, known, offset, self._reserve)
        finally:
            file.close()

    async def settle(self, sha256: str, n_total: int) -> None:
        """Make a whole partial blob a blob, if its hash is right.

        Raises:
            InvalidInput: it has another hash, or another length; nothing of it is kept.
            OffsetMismatch: it is not whole.
        """
        path, known = self._path(sha256), self._known.setdefault(sha256, _Known())
        async with known.lock:
            if await self._blobs.has(sha256):
                self._known.pop(sha256, None)  # another connection was faster
                await asyncio.to_thread(path.unlink, missing_ok=True)
                return
            size = await asyncio.to_thread(_size, path)
            if size < n_total:
                raise mismatch(sha256, n_total, size)
            seen = await on_disk(sha256, _digest, path, known)
            if seen != sha256 or size != n_total:
                self._known.pop(sha256, None)
                await asyncio.to_thread(path.unlink, missing_ok=True)
                raise InvalidInput(
                    f"blob is {seen} with {size} bytes, announced was {sha256} with {n_total}; "
                    "send it again from its beginning",
                    field="sha256",
                    value=sha256,
                )
            await on_disk(sha256, self._settle, path, sha256)
            self._known.pop(sha256, None)

    def sweep(self) -> None:
        """Delete what nobody has gone on with; blocks."""
        now = self._clock.now()
        for path in self._files():
            try:
                if now - path.stat().st_mtime > ABANDONED_AFTER_S:
                    path.unlink()
                    self._known.pop(path.name, None)
            except FileNotFoundError:
                continue  # it became a blob just now

    def _files(self) -> Iterator[Path]:
        if self._folder.is_dir():
            yield from self._folder.iterdir()

    def _settle(self, path: Path, sha256: str) -> None:
        with path.open("rb") as file:
            settle(file, path, self._blobs.place(sha256))

    def _path(self, sha256: str) -> Path:
        return self._folder / self._blobs.place(sha256).name


def mismatch(sha256: str, offset: int, expected: int) -> OffsetMismatch:
    """The refusal of a piece that belongs elsewhere."""
    return OffsetMismatch(
        f"blob {sha256[:12]} has {expected} bytes here, the piece begins at {offset}",
        sha256=sha256,
        expected=expected,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _open_to_append(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.open("ab", buffering=0)


def _digest(path: Path, known: _Known) -> str:
    if known.n_hashed != path.stat().st_size:  # the server began anew meanwhile
        known.digest, known.n_hashed = hashlib.sha256(), 0
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                known.digest.update(block)
                known.n_hashed += len(block)
    return known.digest.hexdigest()
