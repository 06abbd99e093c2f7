"""Hashes of files on this machine, kept so that what did not change is not read again.

As git's index does it: a file whose size, times and inode are those that were noted has the
content that was hashed. One that was changed just before it was hashed is not noted, since a
second change within the same tick of the clock would not show.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple, cast

#: Version of the file's format.
FORMAT = 1
#: The coarsest clock of a file system in use (FAT) ticks every two seconds.
RACY_NS = 2_000_000_000
#: Trees whose hashes are kept; the one used longest ago goes.
TREES_KEPT = 64
_BLOCK = 1 << 20
#: How a file begins that stands for one which git-lfs has not fetched.
_POINTER = b"version https://git-lfs.github.com/spec/"


class Hashed(NamedTuple):
    """What was read of a file.

    Attributes:
        pointer: it only names the content, which git-lfs has elsewhere.
    """

    sha256: str
    n_bytes: int
    executable: bool
    pointer: bool = False


class FileHashes:
    """The hashes of the files below one folder.

    Several processes may use the same: each reads a whole file and puts a whole one in its place.

    Args:
        kept: folder to keep them in; None keeps nothing.
        root: top of the tree.
    """

    def __init__(self, kept: Path | None, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._path = kept / f"{_name_of(self._root)}.json" if kept is not None else None
        #: name → size, mtime, ctime, inode, mode, sha256, whether it is a pointer
        self._known = self._read()
        self._used: dict[str, list[Any]] = {}
        self.n_read = 0

    def of(self, name: str, info: os.stat_result) -> Hashed:
        """The hash of the regular file ``name``, whose status is ``info``.

        Raises:
            OSError: it cannot be read.
        """
        known = self._known.get(name)
        if known is not None and (
            known[1] == info.st_mtime_ns
            and known[2] == info.st_ctime_ns
            and known[0] == info.st_size
            and known[3] == info.st_ino
            and known[4] == info.st_mode
        ):
            self._used[name] = known
            return Hashed(known[5], known[0], _executable(known[4]), bool(known[6]))
        return self._hash(name)

    def read_again(self, name: str) -> Hashed:
        """The hash of ``name`` as it is now, whatever was noted.

        Raises:
            OSError: it cannot be read.
        """
        self._used.pop(name, None)
        return self._hash(name)

    def save(self) -> None:
        """Keep what was asked for; a folder that cannot be written only costs time, next time."""
        if self._path is None or (not self.n_read and len(self._used) == len(self._known)):
            return
        folder = self._path.parent
        document = {"format": FORMAT, "root": self._root, "files": self._used}
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd, aside = tempfile.mkstemp(prefix=".hashes-", dir=folder)
            try:
                with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(json.dumps(document, separators=(",", ":"), ensure_ascii=False))
                os.replace(aside, self._path)
            except BaseException:
                os.unlink(aside)
                raise
            _forget_oldest(folder)

    def _hash(self, name: str) -> Hashed:
        hasher, n_bytes, head = hashlib.sha256(), 0, b""
        with open(os.path.join(self._root, name), "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            began_ns = time.time_ns()
            while block := file.read(_BLOCK):
                head = head or block[: len(_POINTER)]
                hasher.update(block)
                n_bytes += len(block)
            after = os.fstat(file.fileno())
        self.n_read += 1
        sha256, pointer = hasher.hexdigest(), head == _POINTER
        signature = _signature(after)
        if signature == _signature(before) and n_bytes == after.st_size:
            latest = max(after.st_mtime_ns, after.st_ctime_ns)
            if latest < began_ns - RACY_NS:
                self._used[name] = [*signature, sha256, int(pointer)]
        return Hashed(sha256, n_bytes, _executable(after.st_mode), pointer)

    def _read(self) -> dict[str, list[Any]]:
        if self._path is None:
            return {}
        try:
            text = self._path.read_text("utf-8", "surrogateescape")
            document = cast("dict[str, Any]", json.loads(text))
            if document["format"] == FORMAT and document["root"] == self._root:
                return cast("dict[str, list[Any]]", document["files"])
        except (OSError, ValueError, KeyError, TypeError):
            return {}  # none yet, or damaged: everything is read once more
        return {}


def _signature(info: os.stat_result) -> list[int]:
    return [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_mode]


def _executable(mode: int) -> bool:
    return bool(mode & stat.S_IXUSR)


def _name_of(root: str) -> str:
    return hashlib.sha256(root.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _forget_oldest(folder: Path) -> None:
    kept = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[TREES_KEPT:]:
        path.unlink(missing_ok=True)
