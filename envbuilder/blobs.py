"""The node's cache of blobs: fetched once, checked by hash, shared by all agents."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from dray.envbuilder.failures import source_failed
from dray.envbuilder.process import finish_in_thread
from dray.runtime.errors import DrayError, PreparationFailed
from dray.runtime.ids import new_id
from dray.runtime.paths import NodePaths

#: Requests under way at once: enough to hide the round trip, few enough for one gateway.
_N_AT_ONCE = 16


class BlobFetcher(Protocol):
    """Where blobs come from: the gateway, for an agent."""

    async def fetch(self, sha256: str, to: Path) -> None:
        """Write the blob's bytes to the new file ``to``.

        Raises:
            DrayError: there is no such blob, or the server does not answer.
        """
        ...


def blob_path(node: NodePaths, sha256: str) -> Path:
    """Where the cache keeps the blob."""
    return node.blobs / sha256[:2] / sha256


async def fetch_missing(
    wanted: Mapping[str, str], node: NodePaths, blobs: BlobFetcher
) -> dict[str, Path]:
    """Paths in the cache of all blobs of ``wanted``, those that were missing fetched.

    ``wanted`` is ``{sha256: name for people}``. The first failure stops the other requests.

    Raises:
        PreparationFailed: a blob cannot be had, or is not what its address says.
    """
    paths = {sha256: blob_path(node, sha256) for sha256 in wanted}
    missing = await asyncio.to_thread(lambda: [s for s, path in paths.items() if not path.exists()])
    slots = asyncio.Semaphore(_N_AT_ONCE)

    async def fetch(sha256: str) -> None:
        async with slots:
            await _fetch_one(sha256, paths[sha256], wanted[sha256], blobs)

    await _all_or_none(asyncio.ensure_future(fetch(sha256)) for sha256 in missing)
    return paths


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
