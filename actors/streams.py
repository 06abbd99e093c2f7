"""The spool of an attempt as its agent writes it: identity, console streams, prepare log."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from dray.actors.orders import WorkOrder
from dray.envbuilder.tools.locks import FileLock, try_lock
from dray.runtime import codec, records
from dray.runtime.paths import AttemptPaths, NodePaths, SpoolPaths
from dray.runtime.spool_console import ConsoleBounds, ConsoleWriter

log = logging.getLogger("dray.agent")

#: In the folder of an attempt; locked by its agent, so that the kernel tells when that is gone.
_LOCK = "lock"
#: Younger folders may be about to be locked.
_YOUNG_S = 60.0


class AttemptSpool:
    """Opened once per attempt; what is appended is kept within bounds, and the shipper is told.

    Args:
        attempt: where.
        bounds: how much is kept of each stream.

    Attributes:
        on_append: called after bytes were appended, with the name of the stream.
    """

    def __init__(self, attempt: AttemptPaths, bounds: ConsoleBounds | None = None) -> None:
        self._attempt = attempt
        self._bounds = bounds or ConsoleBounds()
        self._writers: dict[str, ConsoleWriter] = {}
        #: What ends the gap of a stream that has fallen silent in it.
        self._alarms: dict[str, asyncio.TimerHandle] = {}
        self._lock: FileLock | None = None
        self.on_append: Callable[[str], None] = _nobody

    @property
    def root(self) -> Path:
        """The attempt's folder, removed when it is over."""
        return self._attempt.root

    @property
    def code(self) -> Path:
        """Where the task's code is laid out."""
        return self._attempt.code

    @property
    def lock_path(self) -> Path:
        """The file that its agent has locked as long as the attempt is under way."""
        return self.root / _LOCK

    @property
    def paths(self) -> SpoolPaths:
        """The spool's files."""
        return self._attempt.spool

    @property
    def records(self) -> Path:
        """The child's records."""
        return self.paths.stream(records.RECORDS)

    def open(self, order: WorkOrder, *, agent: str, node: str) -> None:
        """Make the folders and say which attempt this is."""
        self.paths.root.mkdir(parents=True, mode=0o700)
        self._lock = try_lock(self.root / _LOCK, shared=False)
        self.code.mkdir(mode=0o700)
        identity = {
            "task_id": order.task.id,
            "epoch": order.epoch,
            "claim_id": order.claim_id,
            "url": order.url,
            "origin": "agent",
            "pid": os.getpid(),
            "agent": agent,
            "node": node,
        }
        self.paths.task.write_text(json.dumps(codec.to_json(order.task)), "utf-8")
        self.paths.attempt.write_text(json.dumps(identity), "utf-8")

    def append(self, stream: str, data: bytes) -> None:
        """Put bytes at the end of a stream; of a flood a part (see ``runtime.spool_console``).

        Raises:
            OSError: the disk does not take them.
        """
        writer = self._writers.get(stream)
        if writer is None:
            writer = ConsoleWriter(self.paths, stream, self._bounds, time.monotonic)
            self._writers[stream] = writer
        self._resume_in(stream, writer.write(data))
        self.on_append(stream)

    def end_output(self) -> None:
        """No stream will grow any more: write what was held back, state what each came to.

        Raises:
            OSError: the disk does not take it.
        """
        for alarm in self._alarms.values():
            alarm.cancel()
        self._alarms.clear()
        for stream, writer in self._writers.items():
            writer.close()
            self.on_append(stream)

    def _resume_in(self, stream: str, seconds: float | None) -> None:
        if seconds is not None and stream not in self._alarms:
            loop = asyncio.get_running_loop()
            self._alarms[stream] = loop.call_later(seconds, self._resume, stream)

    def _resume(self, stream: str) -> None:
        del self._alarms[stream]
        try:
            self._resume_in(stream, self._writers[stream].resume())
        except OSError as exc:  # the next append meets it too, and its caller ends the attempt
            log.warning("%s of %s cannot be written: %s", stream, self.root.name, exc)
        else:
            self.on_append(stream)

    def write(self, data: bytes) -> int:
        """Append to the log of the preparation, as a file for the environment builder."""
        self.append(records.PREPARE, data)
        return len(data)

    def __enter__(self) -> AttemptSpool:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end_output()
        except OSError as exc:
            log.warning("the end of %s is not kept: %s", self.root.name, exc)
        if self._lock is not None:
            self._lock.release()


def remove_leftovers(node: NodePaths) -> list[str]:
    """Remove the folders of attempts whose agents are gone; their names."""
    removed: list[str] = []
    for folder in sorted(node.attempts.glob("*.*")):
        try:
            if time.time() - folder.stat().st_mtime < _YOUNG_S:
                continue
        except FileNotFoundError:
            continue  # its agent has just done it
        lock = try_lock(folder / _LOCK, shared=False)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            removed.append(folder.name)
    return removed


def _nobody(stream: str) -> None:
    """Nobody ships yet."""
    _ = stream
