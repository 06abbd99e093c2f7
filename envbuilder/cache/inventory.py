"""What is in a node's cache of environments: each with its size, its last use and its users."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from dray.envbuilder.cache import contents
from dray.envbuilder.cache import environment as envs
from dray.envbuilder.cache import eviction as cache
from dray.envbuilder.cache.environment import Ready
from dray.envbuilder.cache.limits import CacheLimits
from dray.envbuilder.cache.why import compare, why_built
from dray.envbuilder.tools.locks import try_lock
from dray.runtime.environments import (
    CachedEnvironment,
    EnvironmentDetails,
    EnvironmentState,
    EnvironmentWhy,
    NodeEnvironments,
)
from dray.runtime.errors import AmbiguousId, NotFound
from dray.runtime.paths import NodePaths

_LOCKS = Path("/proc/locks")


def list_environments(node: NodePaths, limits: CacheLimits, name: str) -> NodeEnvironments:
    """The cache of the node ``name``, used last first."""
    users = _Users()
    found = [
        _entry(node, folder.name, users)
        for folder in cache.folders(node)
        if not folder.name.startswith(envs.REMOVING)
    ]
    found.sort(key=lambda e: (e.used_at, e.created_at), reverse=True)
    return NodeEnvironments(
        node=name,
        folder=str(node.environments),
        environments=found,
        n_bytes=sum(e.n_bytes for e in found),
        limit_bytes=limits.size_bytes,
        max_age_s=limits.max_age_s,
        free_bytes=cache.free_bytes(node),
        reserve_bytes=limits.reserve_bytes,
    )


def find_slot(node: NodePaths, prefix: str) -> str:
    """The entry whose name begins with ``prefix``.

    Raises:
        NotFound: there is none.
        AmbiguousId: there are several.
    """
    names = sorted(f.name for f in cache.folders(node) if not f.name.startswith("."))
    fitting = [name for name in names if name.startswith(prefix)] if prefix else []
    if prefix in fitting or len(fitting) == 1:
        return prefix if prefix in fitting else fitting[0]
    if not fitting:
        raise NotFound(
            f"no environment begins with {prefix!r} in {node.environments}, which has "
            f"{len(names)}; `dray env list` shows them",
            id=prefix,
        )
    raise AmbiguousId(
        f"{prefix!r} fits {len(fitting)} environments: {', '.join(n[:12] for n in fitting[:5])}",
        matches=fitting,
    )


def cached_environment(node: NodePaths, prefix: str) -> CachedEnvironment:
    """One environment as the list has it.

    Raises:
        NotFound: there is none whose key begins so.
        AmbiguousId: there are several.
    """
    return _entry(node, find_slot(node, prefix), _Users())


def environment_details(node: NodePaths, prefix: str, name: str) -> EnvironmentDetails:
    """One environment in full; all its files are compared with what was built.

    Raises:
        NotFound: there is none whose key begins so.
        AmbiguousId: there are several.
    """
    slot = find_slot(node, prefix)
    folder = envs.folder_of(node, slot)
    ready = envs.read_ready(folder)
    entry = _entry(node, slot, _Users())
    if ready and (problem := envs.changed_packages(folder, ready) or contents.difference(folder)):
        entry = replace(entry, state=EnvironmentState.BROKEN, problem=problem)
        with contextlib.suppress(OSError):  # a read-only cache stays as it is
            envs.mark_broken(folder, problem)
    return EnvironmentDetails(
        node=name,
        folder=str(folder),
        environment=entry,
        installed=ready.installed if ready else [],
        covered=covered_by(folder),
    )


def why_environment(node: NodePaths, prefix: str, against: str = "") -> EnvironmentWhy:
    """What sets an environment apart from another; without one, why it had to be built.

    Args:
        against: key of the other; empty: the nearest of those that were there before it.

    Raises:
        NotFound: there is none whose key begins so.
        AmbiguousId: there are several.
    """
    slot = find_slot(node, prefix)
    parts = covered_by(envs.folder_of(node, slot))
    if against:
        other = find_slot(node, against)
        return compare(slot, parts, other, covered_by(envs.folder_of(node, other)))
    return why_built(slot, parts, _earlier(node, slot))


def covered_by(folder: Path) -> dict[str, Any]:
    """What the key of the environment in ``folder`` covers; empty: it does not say."""
    try:
        return cast("dict[str, Any]", json.loads(envs.covered_of(folder).read_bytes()))
    except (OSError, ValueError):
        return {}


def _earlier(node: NodePaths, slot: str) -> dict[str, dict[str, Any]]:
    """What else there is, and was when ``slot`` was built."""
    own = envs.read_ready(envs.folder_of(node, slot))
    found: dict[str, dict[str, Any]] = {}
    for folder in cache.folders(node):
        ready = None if folder.name.startswith(".") else envs.read_ready(folder)
        if ready and (own is None or ready.created_at < own.created_at):
            found[folder.name] = covered_by(folder)
    return found


def _entry(node: NodePaths, name: str, users: _Users) -> CachedEnvironment:
    if name.startswith("."):
        return _being_built(node, cache.slot_of_leftover(name))
    folder = envs.folder_of(node, name)
    n_users = users.of(envs.lock_of(node, name))
    ready = envs.read_ready(folder)
    if ready is None:
        return CachedEnvironment(
            name,
            EnvironmentState.BROKEN,
            problem=_problem(folder),
            n_bytes=contents.size_of(folder),
            n_users=n_users,
        )
    return _described(name, ready, n_users, cache.used_at(folder))


def _described(name: str, ready: Ready, n_users: int, used_at: float) -> CachedEnvironment:
    return CachedEnvironment(
        name,
        EnvironmentState.READY,
        python=ready.python,
        manager=ready.manager,
        origin=ready.origin,
        platform=ready.platform,
        place=ready.place,
        torch_backend=ready.torch_backend,
        n_packages=len(ready.installed),
        n_bytes=ready.n_bytes,
        n_users=n_users,
        created_at=ready.created_at,
        used_at=used_at,
        build_seconds=ready.seconds,
    )


def _being_built(node: NodePaths, slot: str) -> CachedEnvironment:
    """A folder in the making; nobody's, when its lock can be had."""
    lock = try_lock(envs.lock_of(node, slot), shared=True)
    if lock is None:
        return CachedEnvironment(slot, EnvironmentState.BUILDING, n_users=1)
    lock.release()
    problem = "its builder died; the next build or prune removes it"
    return CachedEnvironment(slot, EnvironmentState.BROKEN, problem=problem)


def _problem(folder: Path) -> str:
    try:
        return envs.problem_of(folder).read_text()
    except OSError:
        return "its marker is gone or cannot be read, or its Python was uninstalled"


class _Users:
    """Who holds which lock, as the kernel says at one moment; asking takes no lock of anybody."""

    def __init__(self) -> None:
        self._n_by_inode: Counter[int] = Counter()
        try:
            lines = _LOCKS.read_text().splitlines()
        except OSError:
            lines = []  # then nobody is known
        for line in lines:
            words = line.split()
            if words[1] == "FLOCK" and words[3] == "READ":
                self._n_by_inode[int(words[5].rpartition(":")[2])] += 1

    def of(self, lock: Path) -> int:
        """How many hold it shared."""
        try:
            return self._n_by_inode[os.stat(lock).st_ino]
        except FileNotFoundError:
            return 0
