"""A finished environment, its marker on disk, and the reference that keeps it there."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from dray.envbuilder.cache import contents
from dray.envbuilder.tools.locks import READ_ONLY, FileLock, try_lock, try_lock_existing
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
        installed: requirement lines of everything inside, sorted.
        n_bytes: size of its files when it was built, bytecode not counted.
        seconds: how long building took.
        platform: such as ``linux-x86_64``.
        origin: what said what to install when it was built.
        torch_backend: builds of PyTorch that were taken.
        place: mark of what it was built in; empty: the node.
        created_at: when it was built, as Unix time.
        packages: folders of its packages, relative to its root.
        distributions: names of the metadata folders in ``packages``.
    """

    python: str
    cache_tag: str
    manager: str
    installed: list[str]
    n_bytes: int
    seconds: float
    platform: str = ""
    origin: str = ""
    torch_backend: str = ""
    place: str = ""
    created_at: float = 0.0
    packages: list[str] = field(default_factory=list[str])
    distributions: list[str] = field(default_factory=list[str])


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

    def doubt(self) -> None:
        """Have its files compared before it is used again: a task failed in it."""
        contents.doubt(self.folder)

    def __enter__(self) -> Environment:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def slot_of(key: str, n: int) -> str:
    """The name of the ``n``-th entry of ``key`` in a cache: the key itself, then ``KEY-1``, ``-2``.

    There is a second one only while the first was changed by those who run in it, who keep it.
    """
    return f"{key}-{n}" if n else key


def key_of(slot: str) -> str:
    """The key of the entry ``slot``."""
    return slot.partition("-")[0]


def folder_of(node: NodePaths, slot: str) -> Path:
    """Where the finished environment ``slot`` is."""
    return node.environments / slot


def lock_of(node: NodePaths, slot: str) -> Path:
    """The lock of ``slot``: held shared by its users, exclusively by who builds or removes it."""
    return node.locks / f"environment-{slot}.lock"


def log_of(node: NodePaths, slot: str) -> Path:
    """What is said while ``slot`` is being built, for those who wait for it."""
    return node.environments / f"{BUILDING}{slot}.log"


def refer(node: NodePaths, slot: str) -> FileLock | None:
    """A reference to ``slot``, or None while it is being built or removed.

    In a cache that cannot be written to nobody builds or removes; the folder itself is locked
    where it has no lock.

    Raises:
        OSError: the cache cannot be used, or has no such environment and takes none.
    """
    try:
        return try_lock(lock_of(node, slot), shared=True)
    except OSError as exc:
        folder = folder_of(node, slot)
        if exc.errno not in READ_ONLY or not folder.is_dir():
            raise
        return try_lock_existing(folder, shared=True)


def python_of(folder: Path) -> Path:
    """The interpreter of the environment in ``folder``."""
    return folder / "bin" / "python"


def marker_of(folder: Path) -> Path:
    """The file whose presence says that the environment in ``folder`` is complete."""
    return folder / "ready.json"


def covered_of(folder: Path) -> Path:
    """The file that says what the key of the environment in ``folder`` covers."""
    return folder / "covered.json"


def problem_of(folder: Path) -> Path:
    """The file that says why the environment in ``folder`` is not used any more."""
    return folder / "problem"


def read_ready(folder: Path) -> Ready | None:
    """The marker, or None when the environment is not there or cannot be used.

    An environment whose base interpreter was uninstalled since counts as not there. One for a
    container has its interpreter in the image, which does not change.
    """
    try:
        facts = cast("dict[str, Any]", json.loads(marker_of(folder).read_bytes()))
        ready = Ready(**facts)
        # By default follows the link to the base interpreter.
        os.stat(python_of(folder), follow_symlinks=not ready.place)
        return ready
    except (OSError, ValueError, TypeError):
        return None


def write_ready(folder: Path, ready: Ready) -> None:
    """Mark the environment in ``folder`` as complete."""
    marker_of(folder).write_text(json.dumps(asdict(ready)))


def changed_packages(folder: Path, ready: Ready) -> str:
    """What was installed or removed since it was built, as part of a sentence."""
    now = contents.distributions(folder / inside for inside in ready.packages)
    return contents.changed_distributions(ready.distributions, now)


def mark_broken(folder: Path, problem: str) -> None:
    """Have the environment in ``folder`` used no more; who uses it already keeps its files."""
    problem_of(folder).write_text(problem)
    marker_of(folder).unlink(missing_ok=True)


def touch(folder: Path) -> None:
    """Note that the environment is used now, for eviction."""
    with contextlib.suppress(OSError):  # a read-only cache works, it only forgets its order
        os.utime(marker_of(folder))


def environment_of(
    node: NodePaths, slot: str, ready: Ready, reference: FileLock, *, reused: bool, seconds: float
) -> Environment:
    """The environment ``slot``, whose marker is ``ready`` and which ``reference`` keeps."""
    folder = folder_of(node, slot)
    key = key_of(slot)
    report = EnvironmentReport(
        key,
        reused,
        seconds,
        python=ready.python,
        installed=ready.installed,
        manager=ready.manager,
        origin=ready.origin,
        platform=ready.platform,
        torch_backend=ready.torch_backend,
        build_seconds=ready.seconds,
    )
    return Environment(
        key=key,
        python=python_of(folder),
        folder=folder,
        cache_tag=ready.cache_tag,
        reused=reused,
        seconds=seconds,
        report=report,
        reference=reference,
    )
