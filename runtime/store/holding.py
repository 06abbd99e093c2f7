"""Hold a data folder for this process alone, so that two servers never write one store."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from pathlib import Path

from dray.runtime.errors import StoreUnusable

_log = logging.getLogger(__name__)


class Holding:
    """The right to write a store; the kernel takes it back when the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, folder: Path) -> Holding:
        """The right to write the store in ``folder``, which is made when it is not there.

        Raises:
            StoreUnusable: the folder cannot be written, or another process holds it.
        """
        lock = folder / "lock"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StoreUnusable(
                f"{folder} cannot be written ({exc.strerror}); "
                "choose another data folder with DRAY_HOME",
                path=str(folder),
            ) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise StoreUnusable(
                f"{folder} is in use by another server ({holder or 'unknown process'}); "
                "stop it with `dray down`, or choose another data folder with DRAY_HOME",
                path=str(folder),
                holder=holder,
            ) from exc
        _sign(descriptor, lock)
        return cls(descriptor)

    def release(self) -> None:
        """Let others have it; a second call is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _sign(descriptor: int, lock: Path) -> None:
    """Leave our name for whoever comes next; on a full disk the lock holds without it."""
    name = f"pid {os.getpid()} on {socket.gethostname()}\n".encode()
    try:
        os.pwrite(descriptor, name, 0)  # before the cut, so that its room is not given away
        os.ftruncate(descriptor, len(name))
    except OSError as exc:
        _log.warning("%s cannot be written: %s", lock, exc)
