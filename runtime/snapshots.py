"""A snapshot of code: a manifest of paths and content hashes, kept as a blob of its own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

from dray.runtime.errors import InvalidInput

#: Version of the manifest's format.
FORMAT = 1


@dataclass(frozen=True)
class FileEntry:
    """One file of a snapshot.

    Attributes:
        path: relative to the root of the code, with ``/``.
        sha256: of the content, its address in the blob store; for a link, of its target text.
        n_bytes: size of the content.
        executable: whether the owner may execute it.
        link: target when it is a symbolic link that stays inside the root; else empty.
    """

    path: str
    sha256: str
    n_bytes: int
    executable: bool = False
    link: str = ""


def encode_manifest(entries: list[FileEntry]) -> bytes:
    """The canonical bytes of a manifest: equal trees give equal bytes, so equal hashes."""
    files = [
        [e.path, e.sha256, e.n_bytes, int(e.executable), e.link]
        for e in sorted(entries, key=lambda e: e.path)
    ]
    return json.dumps({"format": FORMAT, "files": files}, separators=(",", ":")).encode()


def decode_manifest(data: bytes) -> list[FileEntry]:
    """The entries of a manifest, every path checked to stay inside the root.

    Raises:
        InvalidInput: not a manifest, or a path or link that leaves the root.
    """
    try:
        document = cast("dict[str, Any]", json.loads(data))
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']} is not {FORMAT}")
        entries = [
            FileEntry(str(path), str(sha256), int(n_bytes), bool(executable), str(link))
            for path, sha256, n_bytes, executable, link in document["files"]
        ]
    except (ValueError, KeyError, TypeError) as exc:
        raise InvalidInput(f"not a snapshot manifest: {exc}", field="snapshot") from exc
    for entry in entries:
        check_entry(entry)
    return entries


def check_entry(entry: FileEntry) -> None:
    """Refuse an entry that would be written outside the root.

    Raises:
        InvalidInput: an absolute path, ``..``, or a link that leaves the root.
    """
    path = PurePosixPath(entry.path)
    if not entry.path or path.is_absolute() or ".." in path.parts or "\0" in entry.path:
        raise InvalidInput(f"snapshot path {entry.path!r} leaves the root", field="snapshot")
    if entry.link and not link_stays_inside(entry.path, entry.link):
        raise InvalidInput(
            f"snapshot link {entry.path!r} -> {entry.link!r} leaves the root", field="snapshot"
        )


def link_stays_inside(path: str, target: str) -> bool:
    """Whether a link at ``path`` to ``target`` resolves inside the root, by text alone."""
    if PurePosixPath(target).is_absolute():
        return False
    depth = len(PurePosixPath(path).parts) - 1
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True


def digest(data: bytes) -> str:
    """The sha256 of ``data``, hexadecimal: its address in a blob store."""
    return hashlib.sha256(data).hexdigest()
