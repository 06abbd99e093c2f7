"""A finished environment, its marker on disk, and the reference that keeps it there."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from dray.envbuilder.locks import FileLock
from dray.runtime.execution import EnvironmentReport
from dray.runtime.paths import NodePaths

#: Prefix of folders in the making: ``.building-KEY-PID``.
BUILDING = ".building-"
#: Prefix of folders on their way out.
REMOVING = ".removing-"


@dataclass(frozen=True)
class Ready:
    """What ``ready.json`` of a finished environment says; its mtime is the last use.

    Attributes:
        python: exact version of the interpreter.
        cache_tag: of the interpreter's bytecode.
        manager: who built it.
        installed: ``name==version`` of everything inside, sorted.
        n_bytes: size of its files when it was built, bytecode not counted.
        seconds: how long building took.
    """

    python: str
    cache_tag: str
    manager: str
    installed: list[str]
    n_bytes: int
    seconds: float


@dataclass(frozen=True)
class Environment:
    """An environment that a task may use until :meth:`release`.

    Attributes:
        key: its name in the node's cache.
        python: its interpreter.
        folder: its root.
        cache_tag: marks its interpreter's bytecode, such as ``cpython-311``.
        reused: whether it was there already.
        seconds: from asking to having.
        report: what is written back to the task.
    """

    key: str
    python: Path
    folder: Path
    cache_tag: str
    reused: bool
    seconds: float
    report: EnvironmentReport
    reference: FileLock

    def release(self) -> None:
        """No longer used here; from now on it may be evicted. Harmless when done twice."""
        self.reference.release()

    def __enter__(self) -> Environment:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def folder_of(node: NodePaths, key: str) -> Path:
    """Where the finished environment of ``key`` is."""
    return node.environments / key


def lock_of(node: NodePaths, key: str) -> Path:
    """The lock of ``key``: held shared by its users, exclusively by who builds or removes it."""
    return node.locks / f"environment-{key}.lock"


def python_of(folder: Path) -> Path:
    """The interpreter of the environment in ``folder``."""
    return folder / "bin" / "python"


def marker_of(folder: Path) -> Path:
    """The file whose presence says that the environment in ``folder`` is complete."""
    return folder / "ready.json"


def read_ready(folder: Path) -> Ready | None:
    """The marker, or None when the environment is not there or cannot be used.

    An environment whose base interpreter was uninstalled since counts as not there.
    """
    try:
        facts = cast("dict[str, Any]", json.loads(marker_of(folder).read_bytes()))
        os.stat(python_of(folder))  # follows the link to the base interpreter
        return Ready(**facts)
    except (OSError, ValueError, TypeError):
        return None


def write_ready(folder: Path, ready: Ready) -> None:
    """Mark the environment in ``folder`` as complete."""
    marker_of(folder).write_text(json.dumps(asdict(ready)))


def touch(folder: Path) -> None:
    """Note that the environment is used now, for eviction."""
    with contextlib.suppress(OSError):  # a read-only cache works, it only forgets its order
        os.utime(marker_of(folder))


def environment_of(
    node: NodePaths, key: str, ready: Ready, reference: FileLock, *, reused: bool, seconds: float
) -> Environment:
    """The environment of ``key``, whose marker is ``ready`` and which ``reference`` keeps."""
    folder = folder_of(node, key)
    return Environment(
        key=key,
        python=python_of(folder),
        folder=folder,
        cache_tag=ready.cache_tag,
        reused=reused,
        seconds=seconds,
        report=EnvironmentReport(key, reused, seconds, ready.python, ready.installed),
        reference=reference,
    )
