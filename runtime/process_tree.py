"""What a supervisor and its keepers ask of the system: who is below whom, signals, cgroups.

For the processes that fork an agent's children: the standard library, and little of it.
"""

from __future__ import annotations

import ctypes
import os
import signal

TYPE_CHECKING = False  # typing itself would add to the memory that each fork copies
if TYPE_CHECKING:
    from collections.abc import Collection

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
#: KILL is repeated, because a tree may fork between the look at it and the signal.
KILL_EVERY_S = 0.02
#: A process that KILL does not end within this time hangs in the kernel (a dead disk, mostly).
STUCK_AFTER_S = 5.0

prctl = ctypes.CDLL(None, use_errno=True).prctl


def wake_on_child_exit() -> int:
    """A descriptor that becomes readable whenever a child of this process has ended."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, on_child_exit)
    return reader


def on_child_exit(number: int, frame: object) -> None:
    """Nothing: without a handler there would be no wake-up."""


def set_niceness(value: int) -> bool:
    """Set the niceness of this process; False where the system does not let it go that low."""
    try:
        if os.getpriority(os.PRIO_PROCESS, 0) != value:
            os.setpriority(os.PRIO_PROCESS, 0, value)
    except PermissionError:
        return False
    return True


def descendants(root: int, skip: Collection[int] = ()) -> list[int]:
    """The live processes below ``root``, without those in ``skip`` and what is below them."""
    children: dict[int, list[int]] = {}
    zombies: set[int] = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb", buffering=0) as stat:
                state, parent = stat.read().rpartition(b")")[2].split(None, 2)[:2]
        except OSError:
            continue  # it ended while we looked
        children.setdefault(int(parent), []).append(int(name))
        if state in b"ZX":
            zombies.add(int(name))
    found: list[int] = []
    parents = [root]
    while parents:
        below = [pid for pid in children.get(parents.pop(), ()) if pid not in skip]
        parents += below
        found += [pid for pid in below if pid not in zombies]
    return found


def send_signal(pids: list[int], number: int) -> None:
    """Signal each of ``pids``; stopped ones are woken, or they would not act on it."""
    for pid in pids:
        try:
            os.kill(pid, number)
            if number in (signal.SIGINT, signal.SIGTERM):
                os.kill(pid, signal.SIGCONT)
        except (ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or became another user's and will show up as stuck


def join_groups(procs_files: list[str], pid: int) -> None:
    """Move a process into cgroups, made if they are not there; it stays where that cannot be."""
    for procs_file in procs_files:
        try:
            if not os.path.isdir(os.path.dirname(procs_file)):
                os.mkdir(os.path.dirname(procs_file))
            with open(procs_file, "wb", buffering=0) as file:
                file.write(b"%d" % pid)
        except OSError:
            continue  # not delegated after all, or removed meanwhile: nothing depends on it


def kill_group(kill_file: str) -> None:
    """Kill everything in a cgroup at once, where there is one; the signals do it otherwise."""
    if kill_file:
        try:
            with open(kill_file, "wb", buffering=0) as file:
                file.write(b"1")
        except OSError:
            return


def remove_groups(procs_files: list[str]) -> None:
    """Remove the cgroups of a tree that is gone."""
    for procs_file in procs_files:
        try:
            os.rmdir(os.path.dirname(procs_file))
        except OSError:
            continue  # gone already, or somebody else is in there: the next agent looks again
