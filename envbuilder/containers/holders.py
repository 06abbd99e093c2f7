"""Who a container belongs to: a lock file that its owner holds as long as it lives.

The kernel gives a lock back with its process, so whoever can take it knows that the owner is dead.
"""

from __future__ import annotations

import os
from pathlib import Path

from dray.envbuilder.tools.locks import FileLock, try_lock
from dray.runtime.ids import new_id
from dray.runtime.paths import NodePaths

#: ``{folder of a node: the lock of this process}``; held until the process ends.
_own: dict[Path, FileLock] = {}


def own_holder(node: NodePaths) -> Path:
    """The lock file of this process, for what it runs beside its attempts; may block a moment."""
    folder = node.containers / "holders"
    lock = _own.get(folder)
    if lock is None or not lock.path.exists():
        path = folder / f"{os.getpid()}-{new_id()[:8]}.lock"
        lock = try_lock(path, shared=False)
        if lock is None:
            raise BlockingIOError(f"{path} is new and somebody else has locked it")
        _own[folder] = lock
    return lock.path


def is_held(holder: str) -> bool:
    """Whether the owner of this lock file lives; blocks a moment."""
    path = Path(holder)
    if not path.is_absolute() or not path.exists():
        return False
    lock = try_lock(path, shared=False)
    if lock is None:
        return True
    lock.release()
    return False


def remove_old_holders(node: NodePaths) -> None:
    """Remove the lock files of processes that are gone; blocks a moment."""
    for path in (node.containers / "holders").glob("*.lock"):
        lock = try_lock(path, shared=False)
        if lock is not None:
            path.unlink(missing_ok=True)
            lock.release()
