"""Keep a node's environments within their limits: what is left over and what is longest unused go.

Whoever uses an environment holds its lock shared; only what can be locked exclusively is removed.
Locks die with their process, so a crash leaves nothing that looks used.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from dray.envbuilder.cache import contents
from dray.envbuilder.cache import environment as envs
from dray.envbuilder.cache.limits import CacheLimits
from dray.envbuilder.git.mirrors import prune_mirrors, unused_mirrors
from dray.envbuilder.tools.locks import try_lock
from dray.envbuilder.tools.process import finish_in_thread
from dray.runtime.environments import Pruned
from dray.runtime.paths import NodePaths


async def trim(node: NodePaths, limits: CacheLimits | None = None) -> list[str]:
    """Remove what nobody uses and what is over the limits, longest unused first.

    Sizes are those of the files inside; files that are hard links into an installer's cache
    count although removing them frees little.

    Returns:
        The names of what was removed.
    """
    return await finish_in_thread(asyncio.to_thread(_trim, node, limits or CacheLimits()))


async def prune(
    node: NodePaths, name: str = "", *, keys: Collection[str] = (), unused_for_s: float = 0.0
) -> Pruned:
    """Remove what a person asks for, unless something uses it.

    Args:
        name: of the node, for the answer.
        keys: these alone; empty: all of them, and mirrors of git repositories.
        unused_for_s: only what was not used for so long.
    """
    done = await finish_in_thread(
        asyncio.to_thread(_prune, node, name, frozenset(keys), unused_for_s)
    )
    if keys:
        return done
    mirrors = await prune_mirrors(node, unused_mirrors(unused_for_s))
    n_bytes = done.n_bytes + sum(mirror.n_bytes for mirror in mirrors)
    return replace(done, n_bytes=n_bytes, mirrors=[mirror.url for mirror in mirrors])


def free_bytes(node: NodePaths) -> int:
    """Free disk space where the environments are."""
    for folder in (node.environments, *node.environments.parents):
        if folder.exists():
            return shutil.disk_usage(folder).free
    raise FileNotFoundError(node.environments)


def _trim(node: NodePaths, limits: CacheLimits) -> list[str]:
    remove_leftovers(node)
    entries = sorted(_entries(node), key=lambda e: e.used_at)
    total = sum(entry.n_bytes for entry in entries)
    oldest = time.time() - limits.max_age_s if limits.max_age_s else 0.0
    removed: list[str] = []
    for entry in entries:
        fits = total <= limits.size_bytes and entry.used_at >= oldest
        if fits and free_bytes(node) >= limits.reserve_bytes:
            break  # what follows was used later
        if _remove_unused(node, entry):
            removed.append(entry.slot)
            total -= entry.n_bytes
    return removed


def _prune(node: NodePaths, name: str, keys: frozenset[str], unused_for_s: float) -> Pruned:
    remove_leftovers(node)
    latest = time.time() - unused_for_s
    removed: list[str] = []
    n_bytes = n_in_use = 0
    for entry in sorted(_entries(node), key=lambda e: e.used_at):
        if (keys and not keys & {entry.slot, envs.key_of(entry.slot)}) or entry.used_at > latest:
            continue
        if _remove_unused(node, entry):
            removed.append(entry.slot)
            n_bytes += entry.n_bytes
        else:
            n_in_use += 1
    return Pruned(name, removed, n_bytes, n_in_use)


@dataclass(frozen=True)
class _Entry:
    slot: str
    used_at: float
    n_bytes: int


def _entries(node: NodePaths) -> list[_Entry]:
    found: list[_Entry] = []
    for folder in folders(node):
        if not folder.name.startswith("."):
            ready = envs.read_ready(folder)
            n_bytes = contents.size_of(folder) if ready is None else ready.n_bytes
            found.append(_Entry(folder.name, used_at(folder), n_bytes))
    return found


def used_at(folder: Path) -> float:
    """When it was used last; 0, and so first to go, when it cannot be used."""
    try:
        return envs.marker_of(folder).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove_unused(node: NodePaths, entry: _Entry) -> bool:
    """Rename under the lock, then remove: whoever comes next sees it whole or not at all."""
    lock = try_lock(envs.lock_of(node, entry.slot), shared=False)
    if lock is None:
        return False
    folder = envs.folder_of(node, entry.slot)
    going = node.environments / f"{envs.REMOVING}{entry.slot}-{os.getpid()}"
    try:
        if used_at(folder) != entry.used_at:
            return False  # used since it was listed
        folder.rename(going)
        shutil.rmtree(going, ignore_errors=True)
    except FileNotFoundError:
        return False  # another agent removed it
    finally:
        lock.release()
    return True


def remove_leftovers(node: NodePaths, held_slot: str = "") -> None:
    """Remove half-built and half-removed folders whose maker is dead.

    Its lock tells: a living maker holds the lock exclusively. ``held_slot`` is one whose lock the
    caller itself holds so.
    """
    for folder in folders(node):
        slot = slot_of_leftover(folder.name)
        if not slot:
            continue
        lock = None if slot == held_slot else try_lock(envs.lock_of(node, slot), shared=False)
        if slot == held_slot or lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            lock.release()


def folders(node: NodePaths) -> list[Path]:
    """Every folder of the cache: finished, in the making, on its way out."""
    try:
        return [Path(entry.path) for entry in os.scandir(node.environments) if entry.is_dir()]
    except FileNotFoundError:
        return []


def slot_of_leftover(name: str) -> str:
    """What a folder in the making or on its way out is, or was, to be; empty: it is neither."""
    for prefix in (envs.BUILDING, envs.REMOVING):
        if name.startswith(prefix):
            return name.removeprefix(prefix).rpartition("-")[0]
    return ""
