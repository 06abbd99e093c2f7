"""What files an environment was built of, and whether they are still those.

Whoever runs in an environment may write to it, and its files are hard links that others share. So
the sizes and times of all files are listed when it is built. Each reuse compares the names of the
installed distributions, which takes microseconds; the whole list is compared once in a boot of the
machine, because a power cut loses what was not written out, and after a task that failed in it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: Inside an environment: what it was built of, one line for each file.
_LISTING = "contents"
#: Inside an environment: the boot in which all of it was last compared.
_CHECKED = "checked"
#: Interpreters write it as they go.
_BYTECODE = "__pycache__"
#: Stands for size and time of a link.
_LINK = "link 0"
#: So many files are named in a message.
_N_NAMED = 3


@dataclass(frozen=True)
class Files:
    """The files of an environment at one moment.

    Attributes:
        size_by_path: bytes of each regular file, by its path below the environment's root.
        lines: one for each file and link.
    """

    size_by_path: dict[str, int]
    lines: list[str]

    @property
    def n_bytes(self) -> int:
        """Of all of them; links and bytecode count as nothing."""
        return sum(self.size_by_path.values())


def files_of(folder: Path) -> Files:
    """Every file below ``folder``, bytecode left out; a tight loop, for builds wait for it."""
    files = Files({}, [])
    size_by_path, lines = files.size_by_path, files.lines
    waiting = [("", str(folder))]
    while waiting:
        inside, path = waiting.pop()
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    if name != _BYTECODE:
                        waiting.append((f"{inside}{name}/", entry.path))
                elif entry.is_symlink():
                    lines.append(f"{_LINK} {inside}{name}")
                else:
                    facts = entry.stat(follow_symlinks=False)
                    size_by_path[inside + name] = facts.st_size
                    lines.append(f"{facts.st_size} {facts.st_mtime_ns} {inside}{name}")
    return files


def write_listing(folder: Path, files: Files) -> None:
    """Keep what ``folder`` was built of; it counts as checked from now on."""
    (folder / _LISTING).write_text("\n".join(files.lines), "utf-8", "surrogateescape")
    note_checked(folder)


def is_checked(folder: Path) -> bool:
    """Whether its files were compared since this machine started."""
    try:
        return (folder / _CHECKED).read_text() == _boot()
    except OSError:
        return False


def note_checked(folder: Path) -> None:
    """Its files are what they were, for this boot."""
    with contextlib.suppress(OSError):  # a read-only cache is compared each time
        (folder / _CHECKED).write_text(_boot())


def doubt(folder: Path) -> None:
    """Have all files compared before the next use: a task failed, perhaps because of them."""
    with contextlib.suppress(OSError):
        (folder / _CHECKED).unlink()


def difference(folder: Path) -> str:
    """What is no longer as it was built, as part of a sentence; empty: nothing.

    Files that were added are no difference here; see :func:`changed_distributions`.
    """
    try:
        listing = (folder / _LISTING).read_text("utf-8", "surrogateescape")
    except OSError:
        return "its list of files is gone"
    missing: list[str] = []
    changed: list[str] = []
    root = f"{folder}/"
    for line in listing.splitlines():
        size, time, path = line.split(" ", 2)
        try:
            facts = os.lstat(root + path)
        except OSError:
            missing.append(path)
            continue
        if _signature(facts) != f"{size} {time}":
            changed.append(path)
    return "; ".join([*_named("missing", missing), *_named("changed", changed)])


def distributions(folders: Iterable[Path]) -> list[str]:
    """Names of the metadata folders in ``folders``: each has a distribution and its version."""
    found: list[str] = []
    for folder in folders:
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            found.extend(e.name for e in entries if e.name.endswith((".dist-info", ".egg-info")))
    return sorted(found)


def changed_distributions(built: list[str], now: list[str]) -> str:
    """What was installed or removed since the environment was built; empty: nothing."""
    if built == now:
        return ""
    removed = [_distribution(name) for name in built if name not in now]
    added = [_distribution(name) for name in now if name not in built]
    return "; ".join([*_named("missing", removed), *_named("installed since", added)])


def size_of(folder: Path) -> int:
    """Bytes of all files below ``folder``; links count as nothing."""
    return files_of(folder).n_bytes


def _signature(facts: os.stat_result) -> str:
    """Size and time; a link is itself whatever its time."""
    if stat.S_ISLNK(facts.st_mode):
        return _LINK
    return f"{facts.st_size} {facts.st_mtime_ns}"


def _named(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
    return [f"{what}: {', '.join(sorted(names)[:_N_NAMED])}{more}"]


def _distribution(name: str) -> str:
    return name.rpartition(".")[0]


@cache
def _boot() -> str:
    """Names this run of the kernel; empty where it does not say, and then one check is enough."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
