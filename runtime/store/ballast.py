"""A file that is only there for its room, so that the state can be written on a full disk."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from dray.runtime.errors import InsufficientStorage
from dray.runtime.store.reserve import Reserve, free_bytes

_log = logging.getLogger(__name__)

#: A claim, a lease renewal and an end are some 20 KiB of log together; this is thousands of
#: them, and what a checkpoint needs beside.
BALLAST_BYTES = 32 << 20
#: A disk of 50 MB must not be all ballast.
_SHARE_OF_DISK = 8
#: With less than this SQLite cannot even open its own log.
_STARTING_BYTES = 1 << 20


class Ballast:
    """Room that is kept for the state, and given up when a write of it finds the disk full.

    Owns: the file. Rebuilt from: the file's size. Guarantees: while it is out, nothing but the
    state is written; it is taken again, unaided, once there is room for it twice over.

    Its reserve is told: nothing else has room while the ballast is out.
    """

    def __init__(self, path: Path, reserve: Reserve, n_bytes: int = BALLAST_BYTES) -> None:
        self._path = path
        self._reserve = reserve
        self._wanted_bytes = n_bytes

    @property
    def is_out(self) -> bool:
        """Whether it was given up, or never found a place."""
        return self._reserve.is_full

    def prepare(self) -> None:
        """Take it; on a disk that is so full that nothing opens, give it up. Blocks."""
        self._reserve.is_full = self._held_bytes() == 0
        if free_bytes(self._path.parent) < _STARTING_BYTES:
            self.release()
        else:
            self.take_again()

    def release(self) -> bool:
        """Give the room up; whether there was any to give. Blocks, for a moment."""
        if self.is_out:
            return False
        self._reserve.is_full = True
        try:
            os.truncate(self._path, 0)
        except OSError as exc:
            _log.warning("%s cannot be given up: %s", self._path, exc)
            return False
        self._reserve.look_again()
        _log.warning("the disk of %s is full: its ballast is given up", self._path.parent)
        return True

    def take_again(self) -> None:
        """Take the room back if it is out and there is enough; else nothing. Blocks."""
        if not self.is_out or self._reserve.free_bytes() < 2 * (n_bytes := self._size()):
            return
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, n_bytes)
            except OSError:
                os.ftruncate(descriptor, 0)  # a part of it helps nobody
                raise
            finally:
                os.close(descriptor)
        except OSError as exc:
            _log.warning("%s cannot be taken: %s", self._path, exc)
            return
        self._reserve.is_full = False

    def require_room_for_results(self) -> None:
        """Pass while something else than the state may be written.

        Raises:
            InsufficientStorage: the disk is full and what is left belongs to the state.
        """
        if self.is_out:
            raise InsufficientStorage(self._reserve.sentence(), path=str(self._path.parent))

    def _held_bytes(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _size(self) -> int:
        disk = os.statvfs(self._path.parent)
        return min(self._wanted_bytes, disk.f_blocks * disk.f_frsize // _SHARE_OF_DISK)


def is_full(exc: BaseException) -> bool:
    """Whether an error says that the disk, or a quota on it, is full."""
    if isinstance(exc, OSError):
        return exc.errno in (errno.ENOSPC, errno.EDQUOT)
    return "database or disk is full" in str(exc)  # 3.10 has no sqlite_errorcode
