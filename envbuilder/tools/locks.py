"""Locks between the agents of a node: flock on a file, which the kernel frees for the dead."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import random
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

#: Between two tries: short at first, for what takes a moment, then calm.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.25
#: What an attempt to write says of a file system or folder that is not to be written to.
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class FileLock:
    """An flock that is held until :meth:`release`; several locks of one process exclude each other.

    The descriptor is not inheritable, so a child never keeps it.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def try_exclusive(self) -> bool:
        """Turn a shared lock into an exclusive one.

        flock gives the old lock up first: after False nothing is held and
        :meth:`release` is all that is left to do.
        """
        return _flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def share(self) -> bool:
        """Turn an exclusive lock into a shared one; False when somebody got in between."""
        return _flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def release(self) -> None:
        """Give it up; harmless when done twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.release()  # a result that a cancellation discarded must not pin anything for ever


def try_lock(path: Path, *, shared: bool) -> FileLock | None:
    """The lock on ``path`` if it can be had at once; the file is made unless it is there.

    Raises:
        OSError: it is not there and cannot be made, as on a read-only file system.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o600)
    except OSError as exc:
        if exc.errno not in READ_ONLY or not path.exists():
            raise
        return try_lock_existing(path, shared=shared)
    return _locked(path, descriptor, shared=shared)


def try_lock_existing(path: Path, *, shared: bool) -> FileLock | None:
    """The lock on a file or folder that need not be writable, if it can be had at once.

    Raises:
        OSError: there is none, or it cannot be read.
    """
    return _locked(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC), shared=shared)


def _locked(path: Path, descriptor: int, *, shared: bool) -> FileLock | None:
    lock = FileLock(path, descriptor)
    if _flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB):
        return lock
    lock.release()
    return None


@asynccontextmanager
async def exclusive(path: Path, on_wait: Callable[[], None]) -> AsyncGenerator[FileLock]:
    """Hold the exclusive lock on ``path``; ``on_wait`` is called once if another holds it."""
    lock = try_lock(path, shared=False)
    if lock is None:
        on_wait()
    for pause in pauses():
        if lock is not None:
            break
        await asyncio.sleep(pause)
        lock = try_lock(path, shared=False)
    if lock is None:
        raise RuntimeError("pauses() ended")
    try:
        yield lock
    finally:
        lock.release()


def pauses() -> Iterator[float]:
    """Seconds to wait between tries for a lock, for ever.

    flock has no waiting that a cancellation could end, so it is tried again and again; the
    random part keeps two waiting agents out of step.
    """
    pause = _FIRST_PAUSE_S
    while True:
        yield pause * random.uniform(0.7, 1.3)
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)


def _flock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        return False
    return True
