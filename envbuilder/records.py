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
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dray.envbuilder.contents import Files

_RECORD = ".dist-info/RECORD"


class _Row(NamedTuple):
    package: str
    path: str
    sha256: str
    n_bytes: int


def damaged(folder: Path, files: Files, *, by_hash: bool = False) -> list[str]:
    """Packages of the environment in ``folder`` of which a file is not what its package says.

    A file that several packages bring is whichever of theirs.

    Args:
        by_hash: read every byte, too: a second or so for a large stack.
    """
    rows_by_path: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in _rows(folder, files):
        rows_by_path[row.path].append(row)
    found: set[str] = set()
    for path, rows in rows_by_path.items():
        n_bytes = files.size_by_path.get(path, -1)
        fitting = [row for row in rows if row.n_bytes == n_bytes]
        if fitting and by_hash:
            sha256 = _sha256(folder / path)
            fitting = [row for row in fitting if row.sha256 in ("", sha256)]
        if not fitting:
            found.update(row.package for row in rows)
    return sorted(found)


def _rows(folder: Path, files: Files) -> Iterator[_Row]:
    """What the records say; bytecode, and files whose size they leave open, are left out."""
    for record in files.size_by_path:
        if not record.endswith(_RECORD):
            continue
        info = posixpath.dirname(record)
        packages = posixpath.dirname(info)
        package = posixpath.basename(info).partition("-")[0]
        with (folder / record).open(encoding="utf-8", newline="") as lines:
            for row in csv.reader(lines):
                if len(row) == 3 and row[2].isdecimal() and not row[0].endswith(".pyc"):
                    path = posixpath.normpath(f"{packages}/{row[0]}")
                    yield _Row(package, path, row[1].removeprefix("sha256="), int(row[2]))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
