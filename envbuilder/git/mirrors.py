"""Keep a node's mirrors of git repositories within a size: the least recently used ones go."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.git.mirror import ABOUT, REMOVING
from dray.envbuilder.git.options import MirrorLimits
from dray.envbuilder.tools.locks import try_lock
from dray.envbuilder.tools.process import finish_in_thread
from dray.runtime.paths import NodePaths


@dataclass(frozen=True)
class MirrorEntry:
    """One mirror on this node.

    Attributes:
        name: of its folder, without the ending.
        url: what it is of, without credentials; empty: it cannot be told.
        used_at: unix seconds.
        n_bytes: of all its files, what it keeps of LFS included.
    """

    name: str
    url: str
    used_at: float
    n_bytes: int


async def list_mirrors(node: NodePaths) -> list[MirrorEntry]:
    """Every mirror, the one used last first."""
    return await finish_in_thread(asyncio.to_thread(_entries, node))


async def prune_mirrors(
    node: NodePaths, limits: MirrorLimits | None = None, *, dry_run: bool = False
) -> list[MirrorEntry]:
    """Remove mirrors that are too old, and the longest unused ones until the rest fits.

    One in use stays. Code that was laid out from a mirror has its own links to the objects, so
    nothing that runs or was reproduced loses anything.

    Returns:
        What was removed, or would be.
    """
    return await finish_in_thread(
        asyncio.to_thread(_prune, node, limits or MirrorLimits(), dry_run=dry_run)
    )


def unused_mirrors(unused_for_s: float) -> MirrorLimits:
    """Limits that only what was used within ``unused_for_s`` is within."""
    if unused_for_s > 0:
        return MirrorLimits(sys.maxsize, unused_for_s)
    return MirrorLimits(size_bytes=0)


def _prune(node: NodePaths, limits: MirrorLimits, *, dry_run: bool) -> list[MirrorEntry]:
    if not dry_run:
        _remove_leftovers(node)
    entries = _entries(node)
    going = _going(entries, limits, time.time())
    return [entry for entry in going if dry_run or _remove(node, entry)]


def _going(entries: list[MirrorEntry], limits: MirrorLimits, now: float) -> list[MirrorEntry]:
    """Which of ``entries``, the one used last first, are too much; the longest unused first."""
    going: list[MirrorEntry] = []
    total = 0
    for entry in entries:
        total += entry.n_bytes
        is_old = limits.max_age_s > 0 and now - entry.used_at > limits.max_age_s
        if is_old or total > limits.size_bytes:
            going.append(entry)
            total -= entry.n_bytes
    return going[::-1]


def _remove(node: NodePaths, entry: MirrorEntry) -> bool:
    lock = try_lock(node.locks / f"mirror-{entry.name}.use", shared=False)
    if lock is None:
        return False
    folder = node.mirrors / f"{entry.name}.git"
    going = node.mirrors / f"{REMOVING}{folder.name}-{os.getpid()}"
    try:
        if _used_at(folder) != entry.used_at:
            return False  # used since it was listed
        folder.rename(going)
    except FileNotFoundError:
        return False  # another agent removed it
    finally:
        lock.release()
    shutil.rmtree(going, ignore_errors=True)
    return True


def _remove_leftovers(node: NodePaths) -> None:
    for folder in node.mirrors.glob(f"{REMOVING}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _entries(node: NodePaths) -> list[MirrorEntry]:
    found = [
        MirrorEntry(folder.stem, _url_of(folder), _used_at(folder), _size_of(folder))
        for folder in node.mirrors.glob("*.git")
        if not folder.name.startswith(REMOVING)
    ]
    return sorted(found, key=lambda entry: entry.used_at, reverse=True)


def _url_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / ABOUT).read_text("utf-8"))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # made by an older version, or cut off by a full disk


def _used_at(folder: Path) -> float:
    about = folder / ABOUT
    return (about if about.exists() else folder).stat().st_mtime


def _size_of(folder: Path) -> int:
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue  # a fetch renames its files
    return total
