"""Putting bytes among the blobs of a spool, under their sha256: artifacts, media, models."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_BLOCK = 1 << 20
#: ``ioctl`` that shares a file's blocks copy-on-write (linux/fs.h): a copy that costs nothing.
_FICLONE = 0x40049409


def keep(source: bytes | Path, blobs: Path, may_move: bool = False) -> tuple[str, int]:
    """Put ``source`` among the blobs; returns its sha256 and how many bytes it has.

    Not as a hard link: scripts write their next checkpoint into the same file, which would
    change the blob behind its name.

    Args:
        source: the bytes, or the file that has them.
        blobs: folder of the spool's blobs; made when it is not there.
        may_move: the file is not needed any more, and is removed.

    Raises:
        OSError: the file cannot be read, or the disk is full.
    """
    blobs.mkdir(exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=blobs, prefix=".part-")
    try:
        with os.fdopen(handle, "w+b") as target:
            sha256, n_bytes = _write(source, target)
        os.replace(aside, blobs / sha256)
    except BaseException:
        os.unlink(aside)
        raise
    if may_move and isinstance(source, Path):
        source.unlink(missing_ok=True)
    return sha256, n_bytes


def _write(source: bytes | Path, target: Any) -> tuple[str, int]:
    hasher = hashlib.sha256()
    if isinstance(source, bytes):
        hasher.update(source)
        target.write(source)
        return hasher.hexdigest(), len(source)
    n_bytes = 0
    with source.open("rb") as file:
        # What is hashed is what is kept, whatever happens to the source meanwhile.
        is_clone = _clone(file, target)
        while block := (target if is_clone else file).read(_BLOCK):
            hasher.update(block)
            n_bytes += len(block)
            if not is_clone:
                target.write(block)
    return hasher.hexdigest(), n_bytes


def _clone(source: Any, target: Any) -> bool:
    try:
        import fcntl

        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except (ImportError, OSError):
        return False  # another file system, another operating system
    return True
