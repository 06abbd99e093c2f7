"""The node's cache of blobs: fetched once, checked by hash, shared by all agents."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from dray.envbuilder.failures import source_failed
from dray.envbuilder.tools.process import finish_in_thread
from dray.runtime import blob_batch
from dray.runtime.errors import DrayError, InvalidInput, NotFound, PreparationFailed, TooLarge
from dray.runtime.ids import new_id
from dray.runtime.paths import NodePaths

#: Requests under way at once: enough to hide the round trip, few enough for one gateway.
_N_AT_ONCE = 16
#: The same for requests that bring many small blobs.
_N_BATCHES_AT_ONCE = 4


class BlobFetcher(Protocol):
    """Where blobs come from: the gateway, for an agent."""

    async def fetch(self, sha256: str, to: Path) -> None:
        """Write the blob's bytes to the new file ``to``.

        Raises:
            DrayError: there is no such blob, or the server does not answer.
        """
        ...

    async def read_many(self, sha256s: list[str]) -> dict[str, bytes]:
        """Several small blobs in one request, by their sha256.

        Raises:
            DrayError: one is not there, or the server does not answer.
        """
        ...


def blob_path(node: NodePaths, sha256: str) -> Path:
    """Where the cache keeps the blob."""
    return node.blobs / sha256[:2] / sha256


async def fetch_missing(
    wanted: Mapping[str, str],
    node: NodePaths,
    blobs: BlobFetcher,
    sizes: Mapping[str, int] | None = None,
) -> dict[str, Path]:
    """Paths in the cache of all blobs of ``wanted``, those that were missing fetched.

    ``wanted`` is ``{sha256: name for people}``. Those whose size is known to be small come many
    in a request. The first failure stops the other requests.

    Raises:
        PreparationFailed: a blob cannot be had, or is not what its address says.
    """
    paths = {sha256: blob_path(node, sha256) for sha256 in wanted}
    missing = await asyncio.to_thread(lambda: [s for s, path in paths.items() if not path.exists()])
    small = [
        (s, sizes[s])
        for s in missing
        if sizes is not None and s in sizes and sizes[s] <= blob_batch.BLOB_LIMIT_BYTES
    ]
    batches = blob_batch.batches(small, blob_batch.LIMIT_ASKED) if len(small) > 1 else []
    batched = {sha256 for batch in batches for sha256 in batch}
    slots = asyncio.Semaphore(_N_AT_ONCE)

    async def fetch(sha256: str) -> None:
        async with slots:
            await _fetch_one(sha256, paths[sha256], wanted[sha256], blobs)

    batch_slots = asyncio.Semaphore(_N_BATCHES_AT_ONCE)

    async def fetch_batch(batch: list[str]) -> None:
        async with batch_slots:
            left = await _fetch_batch({sha256: paths[sha256] for sha256 in batch}, blobs)
        for sha256 in left:
            await fetch(sha256)

    singly = [fetch(sha256) for sha256 in missing if sha256 not in batched]
    await _all_or_none(asyncio.ensure_future(one) for one in (*map(fetch_batch, batches), *singly))
    return paths


async def _fetch_batch(paths: Mapping[str, Path], blobs: BlobFetcher) -> list[str]:
    """Fetch several blobs in one request; those that did not come so are left to be asked singly.

    Who asks singly learns which one is missing or damaged.
    """
    try:
        found = await blobs.read_many(list(paths))
    except (InvalidInput, NotFound, TooLarge):
        return list(paths)
    try:
        kept = await finish_in_thread(asyncio.to_thread(_keep_all, paths, found))
    except OSError as exc:
        raise source_failed(f"{len(paths)} files of the code cannot be kept: {exc}") from exc
    return [sha256 for sha256 in paths if sha256 not in kept]


def _keep_all(paths: Mapping[str, Path], found: Mapping[str, bytes]) -> set[str]:
    kept: set[str] = set()
    for sha256, path in paths.items():
        content = found.get(sha256)
        if content is None or hashlib.sha256(content).hexdigest() != sha256:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.parent / f".part-{os.getpid()}-{new_id()[:8]}"
        try:
            aside.write_bytes(content)
            aside.rename(path)
        finally:
            aside.unlink(missing_ok=True)
        kept.add(sha256)
    return kept


async def _all_or_none(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait for all; when one fails, or the caller is cancelled, cancel and await the rest."""
    started = list(tasks)
    try:
        await asyncio.gather(*started)
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


async def _fetch_one(sha256: str, path: Path, name: str, blobs: BlobFetcher) -> None:
    aside = path.parent / f".part-{os.getpid()}-{new_id()[:8]}"
    try:
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        await blobs.fetch(sha256, aside)
        if await finish_in_thread(asyncio.to_thread(_digest_of_file, aside)) != sha256:
            raise _damaged(name, sha256)
        aside.rename(path)
    except PreparationFailed:
        raise
    except (DrayError, OSError) as exc:
        raise _not_had(name, sha256, exc) from exc
    finally:
        aside.unlink(missing_ok=True)


def _digest_of_file(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            hashed.update(piece)
    return hashed.hexdigest()


def _not_had(what: str, sha256: str, exc: Exception) -> PreparationFailed:
    return source_failed(f"{what} (blob {sha256[:12]}) could not be fetched: {exc}", str(exc))


def _damaged(what: str, sha256: str) -> PreparationFailed:
    return source_failed(
        f"{what} (blob {sha256[:12]}) does not have the content its address names; "
        "it was damaged on the way or in the store"
    )
