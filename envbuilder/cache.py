"""Keep a node's environments within a size: leftovers and the least recently used ones go.

Whoever uses an environment holds its lock shared; only what can be locked exclusively is removed.
Locks die with their process, so a crash leaves nothing that looks used.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder import environment as envs
from dray.envbuilder.locks import try_lock
from dray.envbuilder.process import finish_in_thread
from dray.runtime.paths import NodePaths

#: Fifty environments of a large stack.
SIZE_LIMIT_BYTES = 100 << 30


async def trim(node: NodePaths, limit_bytes: int = SIZE_LIMIT_BYTES) -> list[str]:
    """Remove unused environments, longest unused first, until the rest fits ``limit_bytes``.

    Sizes are those of the files inside; files that are hard links into an installer's cache
    count although removing them frees little.

    Returns:
        The keys that were removed.
    """
    return await finish_in_thread(asyncio.to_thread(_trim, node, limit_bytes))


def _trim(node: NodePaths, limit_bytes: int) -> list[str]:
    remove_leftovers(node)
    entries = sorted(_entries(node), key=lambda e: e.used_at)
    total = sum(entry.n_bytes for entry in entries)
    removed: list[str] = []
    for entry in entries:
        if total <= limit_bytes:
            break
        if _remove_unused(node, entry):
            removed.append(entry.key)
            total -= entry.n_bytes
    return removed


@dataclass(frozen=True)
class _Entry:
    key: str
    used_at: float
    n_bytes: int


def _entries(node: NodePaths) -> list[_Entry]:
    found: list[_Entry] = []
    for folder in _folders(node):
        if not folder.name.startswith("."):
            ready = envs.read_ready(folder)
            n_bytes = size_of(folder) if ready is None else ready.n_bytes
            found.append(_Entry(folder.name, _used_at(folder), n_bytes))
    return found


def _used_at(folder: Path) -> float:
    """When it was used last; 0, and so first to go, when it cannot be used."""
    try:
        return envs.marker_of(folder).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove_unused(node: NodePaths, entry: _Entry) -> bool:
    """Rename under the lock, then remove: whoever comes next sees it whole or not at all."""
    lock = try_lock(envs.lock_of(node, entry.key), shared=False)
    if lock is None:
        return False
    folder = envs.folder_of(node, entry.key)
    going = node.environments / f"{envs.REMOVING}{entry.key}-{os.getpid()}"
    try:
        if _used_at(folder) != entry.used_at:
            return False  # used since it was listed
        folder.rename(going)
        shutil.rmtree(going, ignore_errors=True)
    except FileNotFoundError:
        return False  # another agent removed it
    finally:
        lock.release()
    return True


def remove_leftovers(node: NodePaths, held_key: str = "") -> None:
    """Remove half-built and half-removed folders whose maker is dead.

    Its lock tells: a living maker holds the key's lock exclusively. ``held_key`` is a key whose
    lock the caller itself holds so.
    """
    for folder in _folders(node):
        key = _key_of_leftover(folder.name)
        if not key:
            continue
        lock = None if key == held_key else try_lock(envs.lock_of(node, key), shared=False)
        if key == held_key or lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            lock.release()


def _folders(node: NodePaths) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(node.environments) if entry.is_dir()]
    except FileNotFoundError:
        return []


def _key_of_leftover(name: str) -> str:
    for prefix in (envs.BUILDING, envs.REMOVING):
        if name.startswith(prefix):
            return name.removeprefix(prefix).rpartition("-")[0]
    return ""


def size_of(folder: Path) -> int:
    """Bytes of all files below ``folder``; links count as nothing."""
    total = 0
    waiting = [folder]
    while waiting:
        for entry in os.scandir(waiting.pop()):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                total += entry.stat(follow_symlinks=False).st_size
    return total
