"""Keep part of the disk free, so that blobs and console output never take the room of the state."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from dray.runtime.answers import Storage
from dray.runtime.clock import Clock
from dray.runtime.errors import InsufficientStorage

#: How long a look at the disk is good for; a full gigabyte a second would pass unseen.
LOOK_S = 1.0


class Level(IntEnum):
    """What the free space allows; each level also forbids what those below it forbid."""

    PLENTY = 0
    #: New blobs (artifacts, snapshots, plots kept as files) are refused.
    NO_BLOBS = 1
    #: Console bytes are no longer kept either; what is missing is stated as a gap.
    NO_CONSOLE = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Limits:
    """Free bytes below which a level begins.

    Attributes:
        blobs_bytes: below it: ``NO_BLOBS``.
        console_bytes: below it: ``NO_CONSOLE``.
    """

    blobs_bytes: int = 2 << 30
    console_bytes: int = 500 << 20


def free_bytes(folder: Path) -> int:
    """Bytes that this user can still write to the file system of ``folder``."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Reserve:
    """Looks at the file system of a data folder, at most once a second.

    Cheap enough to be asked for every frame: a look is one system call, and mostly none. It
    goes back to plenty by itself when there is room again.

    Attributes:
        is_full: what is free belongs to the state alone; set while the ballast is out.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        limits: Limits | None = None,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._free = free
        self.limits = limits or Limits()
        self.is_full = False
        self._free_bytes = 0
        self._looked_at: float | None = None

    def free_bytes(self) -> int:
        """Free bytes, as of at most a second ago."""
        now = self._clock.monotonic()
        if self._looked_at is None or not 0 <= now - self._looked_at < LOOK_S:
            self._free_bytes = self._free(self._folder)
            self._looked_at = now
        return self._free_bytes

    def look_again(self) -> None:
        """Forget the last look: the disk has just changed."""
        self._looked_at = None

    def level(self) -> Level:
        """What the free space allows now."""
        free = self.free_bytes()
        if self.is_full or free < self.limits.console_bytes:
            return Level.NO_CONSOLE
        return Level.NO_BLOBS if free < self.limits.blobs_bytes else Level.PLENTY

    def sentence(self) -> str:
        """What is withheld at this level and how to end it; empty with plenty."""
        level = self.level()
        if level is Level.PLENTY:
            return ""
        if self.is_full:
            return (
                f"the disk of {self._folder} is full: only the state of tasks is still written; "
                "blobs, console output and results are not taken until there is room; free some "
                "space (tasks that are deleted or reset give theirs back)"
            )
        is_console = level is Level.NO_CONSOLE
        limit = self.limits.console_bytes if is_console else self.limits.blobs_bytes
        withheld = "new blobs and console output are" if is_console else "new blobs are"
        setting = "reserve_console_bytes" if is_console else "reserve_blobs_bytes"
        return (
            f"{self._folder} has {in_mib(self.free_bytes())} free, which is under the reserve of "
            f"{in_mib(limit)}: {withheld} not stored until there is room; free some space (tasks "
            f"that are deleted or reset give theirs back), or lower {setting}"
        )

    def storage(self) -> Storage:
        """All of it, for health checks and people."""
        level = "state_only" if self.is_full else str(self.level())
        return Storage(level, self.free_bytes(), self.sentence())

    def require_room_for_blobs(self) -> None:
        """Pass while new blobs may be stored.

        Raises:
            InsufficientStorage: the free space is under the reserve.
        """
        if self.level() >= Level.NO_BLOBS:
            raise InsufficientStorage(self.sentence(), free_bytes=self.free_bytes())


def in_mib(n_bytes: int) -> str:
    """A number of bytes for people."""
    return f"{n_bytes / (1 << 20):,.0f} MiB"
