"""A snapshot of the user's code: which files, their hashes, what the server lacks of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from dray.runtime import blob_batch
from dray.runtime.errors import InvalidInput, TooLarge
from dray.runtime.snapshots import FileEntry, digest, encode_manifest, link_stays_inside
from dray.sdk.capture.filehashes import FileHashes

#: A file over the limit is rarely alone: so many of the largest are named.
LARGEST_NAMED = 10
#: Batches under way at once: one is written to the server's disk while the next is read here.
_N_AT_ONCE = 2
#: A large file that is written all the time is read again so often before it is given up.
_N_TRIES = 3


class BlobStore(Protocol):
    """Where blobs go; the client is one."""

    def missing_blobs(self, sha256: Iterable[str]) -> list[str]:
        """Which of these it does not hold."""
        ...

    def put_blob(self, source: Path | bytes, *, sha256: str = "") -> str:
        """Take a file or bytes in."""
        ...

    def put_blobs(self, contents: Mapping[str, bytes]) -> None:
        """Take several small ones in, by their sha256."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """Code, ready to be sent.

    Attributes:
        root: top folder of the code.
        entries: its files and links.
        hashes: what is known of them; told of what is read again.
        left_out: what could not be taken, one sentence each.
        pointers: files that git-lfs has not fetched; they travel as the pointers they are.
    """

    root: Path
    entries: list[FileEntry]
    hashes: FileHashes
    left_out: list[str] = field(default_factory=list[str])
    pointers: list[str] = field(default_factory=list[str])

    @cached_property
    def manifest(self) -> bytes:
        """Canonical bytes; their sha256 names the snapshot."""
        return encode_manifest(self.entries)

    @cached_property
    def sha256(self) -> str:
        """Name of the snapshot: the address of its manifest."""
        return digest(self.manifest)

    @property
    def n_bytes(self) -> int:
        """Sum of all file sizes."""
        return sum(entry.n_bytes for entry in self.entries)

    @property
    def n_files(self) -> int:
        """Files and links."""
        return len(self.entries)

    @cached_property
    def by_content(self) -> dict[str, FileEntry]:
        """Content → a file that has it; links have none."""
        return {entry.sha256: entry for entry in reversed(self.entries) if not entry.link}


@dataclass(frozen=True)
class Sent:
    """What uploading a snapshot came to.

    Attributes:
        sha256: name of what was sent: the snapshot's, unless files changed meanwhile.
        changed: files that did; they were sent as they were then.
    """

    sha256: str
    n_files: int
    n_bytes: int
    changed: list[str] = field(default_factory=list[str])


def take(
    root: Path, names: Iterable[str], limit_bytes: int, kept_hashes: Path | None = None
) -> Snapshot:
    """The snapshot of the files ``names`` below ``root``.

    Sizes are added up before anything is read, so that a forgotten data set costs nothing.

    Args:
        root: top folder of the code.
        names: relative to ``root``, with ``/``.
        limit_bytes: on the sum of the files.
        kept_hashes: folder where the hashes of earlier snapshots are.

    Raises:
        TooLarge: they are over the limit; the ten largest are named.
        InvalidInput: a name that is not text.
    """
    left_out: list[str] = []
    top = os.fspath(root)
    sized = [found for name in names if (found := _look(top, name, left_out)) is not None]
    total = sum(info.st_size for _, info, _ in sized)
    if total > limit_bytes:
        raise _too_large([(name, info.st_size) for name, info, _ in sized], total, limit_bytes)
    hashes = FileHashes(kept_hashes, root)
    entries: list[FileEntry] = []
    pointers: list[str] = []
    for name, info, link in sized:
        if link:
            data = link.encode()
            entries.append(FileEntry(name, digest(data), len(data), link=link))
            continue
        try:
            found = hashes.of(name, info)
        except OSError as exc:
            left_out.append(f"{name}: {exc.strerror or exc}")
            continue
        entries.append(FileEntry(name, found.sha256, found.n_bytes, found.executable))
        if found.pointer:
            pointers.append(name)
    hashes.save()
    return Snapshot(root, entries, hashes, left_out, pointers)


def missing(snapshot: Snapshot, store: BlobStore) -> set[str]:
    """Content that ``store`` lacks of it."""
    return set(store.missing_blobs(snapshot.by_content))


def send(snapshot: Snapshot, store: BlobStore) -> Sent:
    """Upload what ``store`` lacks, the manifest last, so that it never names a missing blob.

    A file that is saved meanwhile is sent as it is then, and the manifest says so.

    Raises:
        InvalidInput: a large file that does not stand still long enough to be sent.
    """
    if not store.missing_blobs([snapshot.sha256]):
        # Manifests come last and nothing is deleted: where one is, its blobs are.
        return Sent(snapshot.sha256, 0, 0)
    lacking = missing(snapshot, store)
    wanted = {sha256: e for sha256, e in snapshot.by_content.items() if sha256 in lacking}
    upload = _Upload(snapshot, store)
    small = [e for e in wanted.values() if e.n_bytes <= blob_batch.BLOB_LIMIT_BYTES]
    by_path = {entry.path: entry for entry in small}
    batches = blob_batch.batches((entry.path, entry.n_bytes) for entry in small)
    with ThreadPoolExecutor(_N_AT_ONCE, "snapshot") as pool:
        tasks = [pool.submit(upload.send_batch, [by_path[path] for path in b]) for b in batches]
        try:
            for task in tasks:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
    for entry in wanted.values():
        if entry.n_bytes > blob_batch.BLOB_LIMIT_BYTES:
            upload.send_large(entry)
    if not upload.changed:
        store.put_blob(snapshot.manifest, sha256=snapshot.sha256)
        return Sent(snapshot.sha256, len(wanted), upload.n_bytes)
    return _send_changed(snapshot, store, upload, len(wanted))


def _send_changed(snapshot: Snapshot, store: BlobStore, upload: _Upload, n_files: int) -> Sent:
    """The manifest of what was really sent: files with one content may have become several."""
    stale = {old for old, _ in upload.changed.values()}
    entries: list[FileEntry] = []
    for entry in snapshot.entries:
        if entry.link or entry.sha256 not in stale:
            entries.append(entry)
        elif entry.path in upload.changed:
            entries.append(upload.changed[entry.path][1])
        else:  # a twin of a file that was changed: its content was never sent
            entries.append(upload.send_now(entry))
    manifest = encode_manifest(entries)
    store.put_blob(manifest, sha256=digest(manifest))
    return Sent(digest(manifest), n_files, upload.n_bytes, sorted(upload.changed))


class _Upload:
    """Files on their way to a store, as they are when they are read."""

    def __init__(self, snapshot: Snapshot, store: BlobStore) -> None:
        self._root = snapshot.root
        self._hashes = snapshot.hashes
        self._store = store
        self.n_bytes = 0
        #: path → the content it had, and the entry it has now
        self.changed: dict[str, tuple[str, FileEntry]] = {}

    def send_batch(self, entries: list[FileEntry]) -> None:
        """Send small files in one request."""
        contents: dict[str, bytes] = {}
        for entry in entries:
            # Read once: what is checked is what is sent, even while an editor saves the file.
            data = self._read(entry)
            now = replace(entry, sha256=digest(data), n_bytes=len(data))
            if now.sha256 != entry.sha256:
                self.changed[entry.path] = (entry.sha256, now)
            contents[now.sha256] = data
        self._store.put_blobs(contents)
        self.n_bytes += sum(map(len, contents.values()))

    def send_now(self, entry: FileEntry) -> FileEntry:
        """Send a file as it is now; returns what it is."""
        data = self._read(entry)
        now = replace(entry, sha256=digest(data), n_bytes=len(data))
        self._store.put_blob(data, sha256=now.sha256)
        return now

    def send_large(self, entry: FileEntry) -> None:
        """Send a file that is read in pieces; one that changes meanwhile is read again."""
        now = entry
        refused: Exception | None = None
        for _ in range(_N_TRIES):
            try:
                self._store.put_blob(self._root / entry.path, sha256=now.sha256)
            except (InvalidInput, OSError) as exc:
                refused = exc
                now = self._read_again(entry)
                continue
            self.n_bytes += now.n_bytes
            if now is not entry:
                self.changed[entry.path] = (entry.sha256, now)
            return
        raise InvalidInput(
            f"{self._root / entry.path} was changed each of {_N_TRIES} times it was sent; try "
            "again when nobody writes it, or leave it out with a line in .drayignore",
            field="snapshot",
        ) from refused

    def _read_again(self, entry: FileEntry) -> FileEntry:
        try:
            found = self._hashes.read_again(entry.path)
        except OSError as exc:
            raise _gone(self._root / entry.path, exc) from exc
        return replace(entry, sha256=found.sha256, n_bytes=found.n_bytes)

    def _read(self, entry: FileEntry) -> bytes:
        try:
            return (self._root / entry.path).read_bytes()
        except OSError as exc:
            raise _gone(self._root / entry.path, exc) from exc


def relative_names(root: Path, files: Iterable[Path]) -> list[str]:
    """``files`` as names below ``root``; those outside it are dropped."""
    top = root.resolve()
    resolved = (file.parent.resolve() / file.name for file in files)
    return [file.relative_to(top).as_posix() for file in resolved if file.is_relative_to(top)]


def _look(top: str, name: str, left_out: list[str]) -> tuple[str, os.stat_result, str] | None:
    """Name, status and link target of what belongs in the snapshot."""
    if not name.isascii():
        _check_text(name)
    path = f"{top}/{name}"
    try:
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode):
            target = os.readlink(path).replace(os.sep, "/")
            if link_stays_inside(name, target):
                return name, info, target
            info = os.stat(path)  # what lies outside travels as a copy
    except OSError as exc:
        left_out.append(f"{name}: {exc.strerror or exc}")
        return None
    if not stat.S_ISREG(info.st_mode):
        left_out.append(f"{name}: neither a file nor a link inside the code")
        return None
    return name, info, ""


def _check_text(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as exc:
        raise InvalidInput(
            f"file name {name!r} is not UTF-8; rename it or let git ignore it", field="snapshot"
        ) from exc


def _too_large(sized: list[tuple[str, int]], total: int, limit_bytes: int) -> TooLarge:
    largest = sorted(sized, key=lambda item: -item[1])[:LARGEST_NAMED]
    shown = "\n".join(f"  {n_bytes / 2**20:10.1f} MiB  {name}" for name, n_bytes in largest)
    return TooLarge(
        f"the code is {total / 2**20:.1f} MiB, over the limit of {limit_bytes / 2**20:.1f} MiB; "
        f"nothing was sent. The largest files:\n{shown}\n"
        "Leave out what is not code with lines in .gitignore or .drayignore, or raise "
        "DRAY_SNAPSHOT_LIMIT_BYTES.",
        limit_bytes=limit_bytes,
        n_bytes=total,
        largest=[name for name, _ in largest],
    )


def _gone(path: Path, exc: OSError) -> InvalidInput:
    return InvalidInput(
        f"{path} could not be read while the code was sent ({exc.strerror or exc}); try again",
        field="snapshot",
    )
