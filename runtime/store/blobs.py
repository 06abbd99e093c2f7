"""Blobs: files under the sha256 of their content, so that equal bytes are kept once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from dray.runtime.errors import (
    InsufficientStorage,
    InvalidInput,
    NotFound,
    StoreUnusable,
    TooLarge,
)
from dray.runtime.folders import make_folder, sync_folder
from dray.runtime.ids import new_id
from dray.runtime.store.ballast import is_full
from dray.runtime.store.reserve import Reserve

P = ParamSpec("P")
T = TypeVar("T")

_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Threads that write the blobs of one batch.
_N_WRITERS = 8


class BlobWriter:
    """One blob on its way to the disk."""

    def __init__(self, file: BinaryIO, announced: str, reserve: Reserve) -> None:
        self._file = file
        self._reserve = reserve
        self._announced = announced
        self._digest = hashlib.sha256()
        self.n_bytes = 0

    async def write(self, data: bytes) -> None:
        """Append ``data``, off the loop.

        Raises:
            InsufficientStorage: the disk is full, or nearly.
            StoreUnusable: the disk refuses it.
        """
        self._reserve.require_room_for_blobs()
        await on_disk(self._announced, self._append, data)

    def _append(self, data: bytes) -> None:
        self._digest.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self.n_bytes += len(data)

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()


class Blobs:
    """Content-addressed files."""

    def __init__(self, root: Path, reserve: Reserve) -> None:
        self._root = root
        self._reserve = reserve

    async def has(self, sha256: str) -> bool:
        """Whether the content is here."""
        return await asyncio.to_thread(self.place(sha256).is_file)

    async def missing(self, sha256s: Iterable[str]) -> list[str]:
        """Those whose content is not here, each once, in the order given."""
        wanted = {sha256: self.place(sha256) for sha256 in sha256s}

        def look() -> list[str]:
            return [sha256 for sha256, place in wanted.items() if not place.is_file()]

        return await asyncio.to_thread(look)

    async def path(self, sha256: str) -> Path:
        """The file with the content.

        Raises:
            NotFound: it is not here.
        """
        place = self.place(sha256)
        if not await asyncio.to_thread(place.is_file):
            raise NotFound(f"there is no blob {sha256}", sha256=sha256)
        return place

    @asynccontextmanager
    async def writer(self, sha256: str) -> AsyncGenerator[BlobWriter]:
        """Write a blob piece by piece; it appears when the block ends and the hash fits.

        Raises:
            InvalidInput: what was written has another hash; nothing is kept.
            InsufficientStorage: the disk is full, or nearly; nothing is kept.
            StoreUnusable: the disk refuses it.
        """
        place = self.place(sha256)
        self._reserve.require_room_for_blobs()
        aside = self._root / "incoming" / new_id()
        file = await on_disk(sha256, _open_aside, aside)
        try:
            writer = BlobWriter(file, sha256, self._reserve)
            yield writer
            if writer.sha256 != sha256:
                raise InvalidInput(
                    f"blob is {writer.sha256}, announced was {sha256}; send it again",
                    field="sha256",
                    value=sha256,
                )
            await on_disk(sha256, settle, file, aside, place)
        finally:
            file.close()
            aside.unlink(missing_ok=True)

    async def put(self, data: bytes) -> str:
        """Keep ``data``; returns its sha256."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not await self.has(sha256):
            async with self.writer(sha256) as writer:
                await writer.write(data)
        return sha256

    async def put_many(self, contents: list[tuple[str, bytes]]) -> None:
        """Keep several small blobs, given as (sha256, content); those that are here stay.

        Raises:
            InvalidInput: the content of one has another hash; none is kept.
            InsufficientStorage: the disk is full, or nearly; some may be kept.
            StoreUnusable: the disk refuses it.
        """
        self._reserve.require_room_for_blobs()
        placed = {self.place(sha256): content for sha256, content in contents}
        await on_disk(f"batch of {len(placed)}", self._keep_all, placed)

    def _keep_all(self, placed: dict[Path, bytes]) -> None:
        for place, content in placed.items():
            found = hashlib.sha256(content).hexdigest()
            if found != place.name:
                raise InvalidInput(
                    f"blob is {found}, announced was {place.name}; send it again",
                    field="sha256",
                    value=place.name,
                )
        new = [(place, content) for place, content in placed.items() if not place.is_file()]
        folders = {place.parent for place, _ in new}
        for folder in folders:
            make_folder(folder)
        # A disk commits what several threads wait for together.
        with ThreadPoolExecutor(_N_WRITERS, "blob") as writers:
            for _ in writers.map(self._keep, new):
                pass
            for _ in writers.map(sync_folder, folders):
                pass

    def _keep(self, blob: tuple[Path, bytes]) -> None:
        place, content = blob
        aside = self._root / "incoming" / new_id()
        try:
            with _open_aside(aside) as file:
                view = memoryview(content)
                while view:
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
            aside.replace(place)
        finally:
            aside.unlink(missing_ok=True)

    async def read_many(self, sha256s: Iterable[str], limit_bytes: int) -> list[tuple[str, bytes]]:
        """Several small blobs, as (sha256, content), each once.

        Raises:
            NotFound: one is not here.
            TooLarge: they are over ``limit_bytes`` together.
        """
        return await asyncio.to_thread(self._read_all, list(dict.fromkeys(sha256s)), limit_bytes)

    def _read_all(self, sha256s: list[str], limit_bytes: int) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        room = limit_bytes
        for sha256 in sha256s:
            try:
                with self.place(sha256).open("rb") as file:
                    content = file.read(room + 1)
            except FileNotFoundError as exc:
                raise NotFound(f"there is no blob {sha256}", sha256=sha256) from exc
            room -= len(content)
            if room < 0:
                raise TooLarge(
                    f"{len(sha256s)} blobs are over {limit_bytes} bytes together; ask for fewer",
                    limit_bytes=limit_bytes,
                )
            found.append((sha256, content))
        return found

    async def read(self, sha256: str) -> bytes:
        """The whole content, for manifests and other small blobs.

        Raises:
            NotFound: it is not here.
        """
        place = await self.path(sha256)
        return await asyncio.to_thread(place.read_bytes)

    def clear_incoming(self) -> None:
        """Delete what a crash left half written; blocks."""
        incoming = self._root / "incoming"
        if incoming.is_dir():
            for path in incoming.iterdir():
                path.unlink(missing_ok=True)

    def place(self, sha256: str) -> Path:
        """Where the content is, or will be; InvalidInput where ``sha256`` is none."""
        if not _SHA256.fullmatch(sha256):
            raise InvalidInput(
                f"{sha256!r} is not a sha256: 64 lower-case hexadecimal digits",
                field="sha256",
                value=sha256,
            )
        return self._root / sha256[:2] / sha256


async def on_disk(sha256: str, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What ``work`` returns, off the loop; a disk that refuses becomes an error for people."""
    try:
        return await asyncio.to_thread(work, *args, **named)
    except OSError as exc:
        kind = InsufficientStorage if is_full(exc) else StoreUnusable
        raise kind(f"blob {sha256} cannot be written: {exc}", sha256=sha256) from exc


def _open_aside(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.open("xb", buffering=0)  # so that closing it has nothing left to write


def settle(file: BinaryIO, aside: Path, place: Path) -> None:
    """Give what was written to ``aside`` its name, both on the disk; blocks."""
    os.fsync(file.fileno())
    make_folder(place.parent)
    aside.replace(place)
    sync_folder(place.parent)
