"""What each installed package says of its own files, against the files that are there.

A package's ``RECORD`` has the size and hash of every file (PEP 376). An installer that links from
its cache does not look at the files, so what was damaged there would go from one environment into
the next.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import posixpath
from collections.abc import Iterator
from pathlib import Path

from dray.envbuilder.cache.contents import Files

_RECORD = ".dist-info/RECORD"


def damaged(folder: Path, files: Files, *, by_hash: bool = False) -> list[str]:
    """Packages of the environment in ``folder`` of which a file is not what its package says.

    Args:
        by_hash: read every byte, too: a second or so for a large stack.
    """
    sizes = files.size_by_path
    #: {path: package} of what does not fit, and what fits: several packages may bring one file.
    wrong: dict[str, str] = {}
    right: set[str] = set()
    for record in [path for path in sizes if path.endswith(_RECORD)]:
        info = posixpath.dirname(record)
        package = posixpath.basename(info).partition("-")[0]
        for path, sha256, n_bytes in _rows(folder / record, f"{posixpath.dirname(info)}/"):
            if sizes.get(path) == n_bytes and not (by_hash and _differs(folder / path, sha256)):
                right.add(path)
            else:
                wrong[path] = package
    return sorted({package for path, package in wrong.items() if path not in right})


def _rows(record: Path, packages: str) -> Iterator[tuple[str, str, int]]:
    """Path, hash and size of each file; bytecode, and what has no size, is left out."""
    with record.open(encoding="utf-8", newline="") as lines:
        for row in csv.reader(lines):
            if len(row) != 3 or not row[2] or row[0].endswith(".pyc"):
                continue
            path = packages + row[0]
            if row[0].startswith("."):  # out of the packages' folder, to scripts and data
                path = posixpath.normpath(path)
            yield path, row[1], int(row[2])


def _differs(path: Path, said: str) -> bool:
    kind, _, expected = said.partition("=")
    if kind != "sha256":
        return False
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() != expected
