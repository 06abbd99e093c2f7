"""The main coroutine of an actor: who owns it, and what happens when it crashes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from dray.runtime.config import Settings

log = logging.getLogger("dray.actors")


def log_to(folder: Path, name: str) -> None:
    """Have everything of Dray in this process logged to a file of its own."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / f"{name}.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("dray")
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False


def stop_patience_s(settings: Settings) -> float:
    """How long attempts that were told to stop are waited for before their agents go."""
    return 3 * settings.stop_grace_s + 5


def run_for_life(main: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Run ``main`` as long as the actor lives; the process owns it.

    Ray restarts a process, not a coroutine: when ``main`` crashes the process ends, so that
    Ray's supervision applies. Cancelling the returned task ends it quietly.
    """
    task = asyncio.get_running_loop().create_task(main, name=name)
    task.add_done_callback(_end_process_after_crash)
    return task


def _end_process_after_crash(task: asyncio.Task[None]) -> None:
    if task.cancelled() or task.exception() is None:
        return
    log.critical(
        "%s crashed; its process ends to be restarted", task.get_name(), exc_info=task.exception()
    )
    logging.shutdown()
    os._exit(1)
