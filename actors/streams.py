"""The spool of an attempt as its agent writes it: identity, console streams, prepare log."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from dray.actors.orders import WorkOrder
from dray.envbuilder.locks import FileLock, try_lock
from dray.runtime import codec, records
from dray.runtime.paths import AttemptPaths, NodePaths, SpoolPaths

#: In the folder of an attempt; locked by its agent, so that the kernel tells when that is gone.
_LOCK = "lock"
#: Younger folders may be about to be locked.
_YOUNG_S = 60.0


class AttemptSpool:
    """Opened once per attempt; every append is one ``write`` and tells the shipper.

    Attributes:
        on_append: called after bytes were appended, with the name of the stream.
    """

    def __init__(self, attempt: AttemptPaths) -> None:
        self._attempt = attempt
        self._files: dict[str, int] = {}
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
        """Put bytes at the end of a stream.

        Raises:
            OSError: the disk does not take them.
        """
        descriptor = self._files.get(stream)
        if descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = self._files[stream] = os.open(self.paths.stream(stream), flags, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        self.on_append(stream)

    def write(self, data: bytes) -> int:
        """Append to the log of the preparation, as a file for the environment builder."""
        self.append(records.PREPARE, data)
        return len(data)

    def __enter__(self) -> AttemptSpool:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()
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
