"""An agent's look for containers whose owners are dead: when it starts, and now and then."""

from __future__ import annotations

import asyncio
import logging

import anyio

from dray.envbuilder.containers.bench import Bench
from dray.envbuilder.containers.choice import engine_of
from dray.envbuilder.containers.sweep import prune_images, sweep
from dray.runtime.config import Settings
from dray.runtime.errors import DrayError
from dray.runtime.paths import NodePaths

#: What a container's own script did not end in time waits no longer than this.
SWEEP_EVERY_S = 60.0
#: Rounds between two looks at derived images.
_PRUNE_EVERY = 60

log = logging.getLogger("dray.agent")


async def sweep_for_ever(settings: Settings, node: NodePaths) -> None:
    """Remove what is left of dead owners; nothing is asked where no container ever ran."""
    n_rounds = 0
    while True:
        if await asyncio.to_thread(node.containers.is_dir):
            try:
                await _sweep(settings, node, prune=n_rounds % _PRUNE_EVERY == 0)
            except (DrayError, OSError) as exc:
                log.info("containers were not looked at: %s", exc)
            n_rounds += 1
        await anyio.sleep(SWEEP_EVERY_S)


async def _sweep(settings: Settings, node: NodePaths, *, prune: bool) -> None:
    bench = Bench(await asyncio.to_thread(engine_of, settings.container_engine, node), node)
    removed = await sweep(bench)
    if removed:
        log.info("removed containers whose agents are gone: %s", ", ".join(removed))
    if prune and (keys := await prune_images(bench)):
        log.info("removed %d images with system packages that no task used", len(keys))
