"""Remove containers whose owner is dead, and derived images that nobody used for long."""

from __future__ import annotations

import asyncio
import time

from dray.envbuilder.containers.bench import Bench, remove_quietly
from dray.envbuilder.containers.engine import LABEL_CACHE, LABEL_HOLDER
from dray.envbuilder.containers.holders import is_held, remove_old_holders
from dray.envbuilder.tools.locks import try_lock

#: Derived images cost minutes to make again and share all but their packages with the image.
KEEP_DERIVED_S = 14 * 24 * 3600.0


async def sweep(bench: Bench) -> list[str]:
    """Remove the containers of this node's cache whose owners are gone.

    Whoever starts a container holds the lock that it is labelled with before it is there, so no
    container of a living owner is ever taken for an orphan.

    Returns:
        Names of what was removed.

    Raises:
        PreparationFailed: the engine does not answer.
    """
    removed: list[str] = []
    for found in await bench.engine.containers(LABEL_CACHE, str(bench.node.root)):
        holder = found.labels.get(LABEL_HOLDER, "")
        if await asyncio.to_thread(is_held, holder):
            continue
        if await remove_quietly(bench.engine, found.name):
            removed.append(found.name)
    await asyncio.to_thread(remove_old_holders, bench.node)
    return removed


async def prune_images(bench: Bench, keep_s: float = KEEP_DERIVED_S) -> list[str]:
    """Remove derived images that no task used for ``keep_s`` seconds; their keys."""
    removed: list[str] = []
    for key in await asyncio.to_thread(_unused, bench, keep_s):
        lock = try_lock(bench.node.locks / f"image-{key}.lock", shared=False)
        if lock is None:
            continue  # it is being made, again
        try:
            await bench.engine.remove_image(f"dray-derived:{key}")
            mark = bench.node.containers / "derived" / key
            await asyncio.to_thread(mark.unlink, missing_ok=True)
            removed.append(key)
        finally:
            lock.release()
    return removed


def _unused(bench: Bench, keep_s: float) -> list[str]:
    folder = bench.node.containers / "derived"
    marks = folder.iterdir() if folder.is_dir() else ()
    return [mark.name for mark in marks if time.time() - mark.stat().st_mtime > keep_s]
