"""What would be left after a power cut: files and names as far as they were synced."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest


class Disk:
    """Watches what is synced below a folder; all that is there at first counts as synced.

    What SQLite syncs by itself is not seen.
    """

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self._root = root
        #: {inode: bytes of a file, names in a folder}
        self._sizes: dict[int, int] = {}
        self._names: dict[int, set[str]] = {}
        for folder, _, files in os.walk(root):
            self._note(os.stat(folder), folder)
            for name in files:
                self._note(os.lstat(os.path.join(folder, name)), "")
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, self._noting(getattr(os, name)))

    def has_bytes(self, file: Path) -> bool:
        """Whether all that is in a file would be."""
        found = file.stat()
        return self._sizes.get(found.st_ino) == found.st_size

    def has_name(self, path: Path) -> bool:
        """Whether there would be something by that name, and the folders above it."""
        above = [path, *path.parents]
        return all(
            one.name in self._names.get(one.parent.stat().st_ino, ())
            for one in above[: above.index(self._root)]
        )

    def has(self, file: Path) -> bool:
        """Whether a file would be there, whole."""
        return self.has_name(file) and self.has_bytes(file)

    def _noting(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def note(descriptor: int) -> None:
            sync(descriptor)
            self._note(os.fstat(descriptor), descriptor)

        return note

    def _note(self, found: os.stat_result, folder: str | int) -> None:
        if stat.S_ISDIR(found.st_mode):
            self._names[found.st_ino] = set(os.listdir(folder))
        else:
            self._sizes[found.st_ino] = found.st_size
