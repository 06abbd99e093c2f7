"""A snapshot of the user's code: which files, their hashes, what the server lacks of them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dray.runtime.errors import InvalidInput, TooLarge
from dray.runtime.snapshots import FileEntry, digest, encode_manifest, link_stays_inside

#: A file over the limit is rarely alone: so many of the largest are named.
LARGEST_NAMED = 10
_BLOCK = 1 << 20


class BlobStore(Protocol):
    """Where blobs go; the client is one."""

    def missing_blobs(self, sha256: Iterable[str]) -> list[str]:
        """Which of these it does not hold."""
        ...

    def put_blob(self, source: Path | bytes, *, sha256: str = "") -> str:
        """Take a file or bytes in."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """Code, ready to be sent.

    Attributes:
        manifest: canonical bytes; their sha256 names the snapshot.
        sources: sha256 → a file that has this content, links not among them.
        n_bytes: sum of all file sizes.
        left_out: what could not be taken, one sentence each.
    """

    manifest: bytes
    sources: dict[str, Path]
    n_bytes: int
    n_files: int
    left_out: list[str] = field(default_factory=list[str])

    @property
    def sha256(self) -> str:
        """Name of the snapshot: the address of its manifest."""
        return digest(self.manifest)


@dataclass(frozen=True)
class Sent:
    """What uploading a snapshot came to."""

    n_files: int
    n_bytes: int


def take(root: Path, names: Iterable[str], limit_bytes: int) -> Snapshot:
    """The snapshot of the files ``names`` below ``root``.

    Sizes are added up before anything is read, so that a forgotten data set costs nothing.

    Args:
        root: top folder of the code.
        names: relative to ``root``, with ``/``.
        limit_bytes: on the sum of the files.

    Raises:
        TooLarge: they are over the limit; the ten largest are named.
        InvalidInput: a name that is not text.
    """
    left_out: list[str] = []
    sized = [found for name in names if (found := _look(root, name, left_out)) is not None]
    total = sum(n_bytes for _, n_bytes, _ in sized)
    if total > limit_bytes:
        raise _too_large(sized, total, limit_bytes)
    entries: list[FileEntry] = []
    sources: dict[str, Path] = {}
    for name, _, link in sized:
        entry = _link_entry(name, link) if link else _file_entry(root, name)
        entries.append(entry)
        if not link:
            sources.setdefault(entry.sha256, root / name)
    return Snapshot(encode_manifest(entries), sources, total, len(entries), left_out)


def send(snapshot: Snapshot, store: BlobStore) -> Sent:
    """Upload what ``store`` lacks, the manifest last, so that it never names a missing blob.

    Raises:
        InvalidInput: a file was changed while it was being sent.
    """
    missing = store.missing_blobs([*snapshot.sources, snapshot.sha256])
    n_bytes = 0
    wanted = [sha256 for sha256 in missing if sha256 in snapshot.sources]
    for sha256 in wanted:
        # Read once: what is checked is what is sent, even while an editor saves the file.
        data = snapshot.sources[sha256].read_bytes()
        if digest(data) != sha256:
            raise InvalidInput(
                f"{snapshot.sources[sha256]} was changed while its snapshot was sent; try again",
                field="snapshot",
            )
        store.put_blob(data, sha256=sha256)
        n_bytes += len(data)
    if snapshot.sha256 in missing:
        store.put_blob(snapshot.manifest, sha256=snapshot.sha256)
    return Sent(len(wanted), n_bytes)


def relative_names(root: Path, files: Iterable[Path]) -> list[str]:
    """``files`` as names below ``root``; those outside it are dropped."""
    top = root.resolve()
    resolved = (file.parent.resolve() / file.name for file in files)
    return [file.relative_to(top).as_posix() for file in resolved if file.is_relative_to(top)]


def _look(root: Path, name: str, left_out: list[str]) -> tuple[str, int, str] | None:
    """Name, size and link target of what belongs in the snapshot."""
    try:
        name.encode()
    except UnicodeEncodeError as exc:
        raise InvalidInput(
            f"file name {name!r} is not UTF-8; rename it or let git ignore it", field="snapshot"
        ) from exc
    path = root / name
    try:
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            target = os.readlink(path).replace(os.sep, "/")
            if link_stays_inside(name, target):
                return name, len(target.encode()), target
            info = path.stat()  # what lies outside travels as a copy
    except OSError as exc:
        left_out.append(f"{name}: {exc.strerror or exc}")
        return None
    if not stat.S_ISREG(info.st_mode):
        left_out.append(f"{name}: neither a file nor a link inside the code")
        return None
    return name, info.st_size, ""


def _too_large(sized: list[tuple[str, int, str]], total: int, limit_bytes: int) -> TooLarge:
    largest = sorted(sized, key=lambda item: -item[1])[:LARGEST_NAMED]
    shown = "\n".join(f"  {n_bytes / 2**20:10.1f} MiB  {name}" for name, n_bytes, _ in largest)
    return TooLarge(
        f"the code is {total / 2**20:.1f} MiB, over the limit of {limit_bytes / 2**20:.1f} MiB; "
        f"nothing was sent. The largest files:\n{shown}\n"
        "Let git ignore what is not code, or raise DRAY_SNAPSHOT_LIMIT_BYTES.",
        limit_bytes=limit_bytes,
        n_bytes=total,
        largest=[name for name, _, _ in largest],
    )


def _link_entry(name: str, target: str) -> FileEntry:
    data = target.encode()
    return FileEntry(name, digest(data), len(data), link=target)


def _file_entry(root: Path, name: str) -> FileEntry:
    path, hasher, n_bytes = root / name, hashlib.sha256(), 0
    with path.open("rb") as file:
        executable = bool(os.fstat(file.fileno()).st_mode & stat.S_IXUSR)
        while block := file.read(_BLOCK):
            hasher.update(block)
            n_bytes += len(block)
    return FileEntry(name, hasher.hexdigest(), n_bytes, executable=executable)
