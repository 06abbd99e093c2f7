"""The cgroup of an attempt, where the system lets us make one: memory limit, verdict, last rung.

Nothing depends on it: where it cannot be made (no Linux, no permission, not delegated), children
run in the cgroup of their agent, and what the kernel says of that one is all there is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_PREFIX = "dray-"
#: Younger ones may be about to get their first process.
_YOUNG_S = 60.0
#: The kernel takes a moment to let go of processes that are dead.
CLOSE_WITHIN_S = 1.0
_REMOVE_AGAIN_S = 0.01
#: What cgroup v1 says for "no limit" is a little less than 2**63.
_UNLIMITED = 1 << 60


@dataclass(frozen=True)
class Home:
    """A place where cgroups may be made, one for each hierarchy.

    Attributes:
        folder: the new ones are folders of it.
        own: the cgroup of this process in the same hierarchy.
    """

    folder: Path
    own: Path


@dataclass(frozen=True)
class MemoryUse:
    """What the kernel counted of a cgroup.

    Attributes:
        oom_kills: processes it killed for want of memory.
        peak_bytes: largest use; None where it does not say.
        limit_bytes: None where there is none.
    """

    oom_kills: int
    peak_bytes: int | None
    limit_bytes: int | None


class Cgroup:
    """A cgroup in each hierarchy that is of use; perhaps in none.

    Attributes:
        procs_files: a process whose pid is written into them moves into it.
        kill_file: a ``1`` written into it kills everything in it; empty where there is none.
        is_limited: whether its memory was to be; then not even its first moments may escape.
            Without a limit a process may be moved once it runs: the kernel takes its time for
            that (a grace period of RCU, 10 ms), and the task has begun by then.
    """

    def __init__(self, folders: list[Path], *, is_limited: bool = False) -> None:
        self._folders = folders
        self.is_limited = is_limited
        self.procs_files = [str(folder / "cgroup.procs") for folder in folders]
        kills = [folder / "cgroup.kill" for folder in folders]
        self.kill_file = next((str(file) for file in kills if file.exists()), "")

    @staticmethod
    def make(name: str, memory_bytes: int = 0, homes: list[Home] | None = None) -> Cgroup:
        """The cgroup of one attempt, wherever the system allows one; never raises.

        Args:
            name: unique among those of the machine.
            memory_bytes: limit of its memory; 0: none.
        """
        folders: list[Path] = []
        for home in find_homes() if homes is None else homes:
            folder = home.folder / f"{_PREFIX}{name}"
            with contextlib.suppress(OSError):  # not ours to divide
                folder.mkdir()
                folders.append(folder)
        group = Cgroup(folders, is_limited=bool(memory_bytes))
        if memory_bytes:
            group._limit(memory_bytes)
        return group

    @staticmethod
    def plan(name: str, homes: list[Home] | None = None) -> Cgroup:
        """The cgroup of one attempt without a limit, to be made by whoever puts a process in.

        A start does not wait for it.
        """
        found = find_homes() if homes is None else homes
        group = Cgroup([home.folder / f"{_PREFIX}{name}" for home in found])
        killable = [home for home in found if (home.own / "cgroup.controllers").exists()]
        if killable:
            group.kill_file = str(killable[0].folder / f"{_PREFIX}{name}" / "cgroup.kill")
        return group

    def memory(self) -> MemoryUse | None:
        """What the kernel counted; None where no hierarchy counts memory."""
        return next((use for use in map(_memory_use, self._folders) if use is not None), None)

    def close(self, within_s: float = CLOSE_WITHIN_S) -> None:
        """End what is in it and remove it; blocks for a moment. What hangs stays, with it."""
        deadline = time.monotonic() + within_s
        for folder in self._folders:
            _remove_old(folder.parent)
            while not _removed(folder) and time.monotonic() < deadline:
                _kill_all(folder)
                time.sleep(_REMOVE_AGAIN_S)

    def _limit(self, memory_bytes: int) -> None:
        # The second of each pair keeps it from swapping instead; it is not always there.
        limits = {"memory.max": memory_bytes, "memory.swap.max": 0}
        if any((folder / "memory.limit_in_bytes").exists() for folder in self._folders):
            limits = dict.fromkeys(
                ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), memory_bytes
            )
        for folder in self._folders:
            for name, value in limits.items():
                with contextlib.suppress(OSError):
                    if (folder / name).exists():
                        (folder / name).write_text(str(value))


class OomWatch:
    """Tells whether the kernel killed something of an attempt for want of memory.

    Made before the attempt's process starts.
    """

    def __init__(self, group: Cgroup, homes: list[Home] | None = None) -> None:
        self._group = group
        self._homes = homes
        # The verdict of a cgroup of its own is exact; ours is asked where there is none.
        self._before = own_oom_kills(homes) if group.memory() is None else 0

    def verdict(self, *, died_of_kill: bool, max_rss_bytes: int = 0) -> str | None:
        """In words what the kernel did; None when it did nothing. Ask before the group is closed.

        Args:
            died_of_kill: the attempt's process, or one it spoke for, was ended by a KILL that
                nobody here sent. Without a cgroup of its own that must be so as well.
            max_rss_bytes: of its largest process; 0: nobody knows.
        """
        use = self._group.memory()
        if use is not None and use.oom_kills:
            peak = in_mib(use.peak_bytes) if use.peak_bytes is not None else "unknown"
            limit = in_mib(use.limit_bytes) if use.limit_bytes is not None else "the machine's"
            return f"oom_kill {use.oom_kills}, peak {peak}, limit {limit}"
        if use is not None or not died_of_kill:
            return None
        rose_by = own_oom_kills(self._homes) - self._before
        if rose_by <= 0:
            return None
        largest = f", its largest process had {in_mib(max_rss_bytes)}" if max_rss_bytes else ""
        return f"oom_kill rose by {rose_by} while it ran{largest}"


@lru_cache(maxsize=1)  # a process stays where it was started
def find_homes() -> list[Home]:
    """Where cgroups may be made by this process, as far as can be told without trying."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8")
        membership = Path("/proc/self/cgroup").read_text("utf-8")
    except OSError:
        return []  # not Linux
    paths: dict[str, str] = {}
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    homes: list[Home] = []
    for line in mounts.splitlines():
        place, _, kind = line.partition(" - ")
        root, mount_point = place.split()[3:5]
        file_system, _, options = kind.split(None, 2)
        if file_system == "cgroup" and "memory" in options.split(",") and "memory" in paths:
            own = _below(mount_point, root, paths["memory"])
            homes.append(Home(own, own))
        elif file_system == "cgroup2" and "" in paths:
            own = _below(mount_point, root, paths[""])
            homes.append(Home(_delegated(own), own))
    return homes


def own_oom_kills(homes: list[Home] | None = None) -> int:
    """How many processes the kernel killed for want of memory, in our cgroup if that counts it."""
    found = find_homes() if homes is None else homes
    uses = [use for home in found if (use := _memory_use(home.own)) is not None]
    if uses:
        return sum(use.oom_kills for use in uses)
    return _counter(Path("/proc/vmstat"), "oom_kill") or 0


def in_mib(n_bytes: int) -> str:
    """As people read it: ``64.0 MiB``."""
    return f"{n_bytes / (1 << 20):,.1f} MiB"


def _below(mount_point: str, root: str, path: str) -> Path:
    """The folder of a cgroup; a container may see only a part of the hierarchy mounted."""
    inside = path if root == "/" else path.removeprefix(root) if path.startswith(root) else ""
    return Path(mount_point) / inside.strip("/")


def _delegated(own: Path) -> Path:
    """Of cgroup v2: our own, or the one above when that divides memory and was given to us.

    A cgroup that has processes cannot divide memory among cgroups of its own, so whoever
    delegates puts us into a leaf.
    """
    above = own.parent
    try:
        is_ours = above.stat().st_uid == os.getuid() != 0 or _is_marked(above)
        divides = "memory" in (above / "cgroup.subtree_control").read_text().split()
    except OSError:
        return own
    return above if is_ours and divides else own


def _is_marked(folder: Path) -> bool:
    """Whether systemd says that it leaves this cgroup to whoever is in it (``Delegate=yes``)."""
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def _memory_use(folder: Path) -> MemoryUse | None:
    for events, peak, limit in (
        ("memory.events", "memory.peak", "memory.max"),
        ("memory.oom_control", "memory.max_usage_in_bytes", "memory.limit_in_bytes"),
    ):
        kills = _counter(folder / events, "oom_kill")
        if kills is not None:
            return MemoryUse(kills, _number(folder / peak), _number(folder / limit))
    return None


def _counter(file: Path, name: str) -> int | None:
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError:
        return None
    values = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return int(values[0]) if values else None


def _number(file: Path) -> int | None:
    try:
        value = int(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None  # not there, or "max"
    return value if value < _UNLIMITED else None


def _remove_old(home: Path) -> None:
    """Remove what agents that are gone left; one with processes in it the kernel keeps."""
    for folder in home.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _YOUNG_S:
                folder.rmdir()


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _kill_all(folder: Path) -> None:
    with contextlib.suppress(OSError):
        kill_file = folder / "cgroup.kill"
        if kill_file.exists():
            kill_file.write_text("1")
            return
        for pid in map(int, (folder / "cgroup.procs").read_text().split()):
            if pid > 0:  # 0: of another container
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
