"""Room on the disk of a node's environments: kept free, made free, and said when there is none."""

from __future__ import annotations

import asyncio
import errno
import shutil

from dray.envbuilder.cache.eviction import free_bytes, trim
from dray.envbuilder.cache.limits import CacheLimits
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.tools.log import LogWriter, say
from dray.runtime.errors import PreparationFailed
from dray.runtime.paths import NodePaths

#: What the C library says of ENOSPC and EDQUOT, and with it every installer.
_FULL = ("no space left on device", "disk quota exceeded")
_MIB = 1 << 20


def is_full(error: PreparationFailed | OSError) -> bool:
    """Whether a build ended because there was no room for it."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    said = f"{error.message} {evidence_of(error)}".lower()
    return any(words in said for words in _FULL)


def evidence_of(error: PreparationFailed | OSError) -> str:
    """What the one who ran into it said last."""
    if isinstance(error, OSError):
        return str(error)
    return str(error.details.get("evidence", ""))


async def keep_reserve(node: NodePaths, limits: CacheLimits, log: LogWriter) -> None:
    """Remove unused environments while less of the disk is free than is to be kept.

    Raises:
        PreparationFailed: there is less, and nothing left to remove.
    """
    if await _free(node) >= limits.reserve_bytes:
        return
    await _remove_until(node, limits.reserve_bytes, log)
    if await _free(node) < limits.reserve_bytes:
        raise no_room(node, f"at least {limits.reserve_bytes // _MIB:,} MiB are kept free")


async def make_room(node: NodePaths, wanted_bytes: int, log: LogWriter) -> bool:
    """Remove unused environments of a disk that is full; whether there was one."""
    return bool(await _remove_until(node, wanted_bytes, log))


def no_room(node: NodePaths, why: str, evidence: str = "") -> PreparationFailed:
    """The error of a disk without room for an environment."""
    free, total = free_bytes(node), shutil.disk_usage(node.root).total
    return environment_failed(
        f"the disk of {node.environments} has no room for another environment ({why}): "
        f"{free // _MIB:,} of its {total // _MIB:,} MiB are free, and no environment is unused; "
        "make room there (`uv cache prune`), or set DRAY_CACHE to a folder on a larger disk",
        evidence,
        free_bytes=free,
    )


async def _remove_until(node: NodePaths, wanted_bytes: int, log: LogWriter) -> list[str]:
    removed = await trim(node, CacheLimits(reserve_bytes=wanted_bytes))
    if removed:
        keys = ", ".join(name[:12] for name in removed)
        say(log, f"the disk is nearly full: removed environments that nobody uses ({keys})")
    return removed


async def _free(node: NodePaths) -> int:
    return await asyncio.to_thread(free_bytes, node)
