"""Lay a snapshot's files out in a folder; no entry can be written outside of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from dray.envbuilder.failures import source_failed
from dray.runtime.snapshots import FileEntry, check_entry

#: Threads that copy: a disk that is far away is waited for by all of them at once.
_N_WRITERS = 4
#: Files a thread takes at a time.
_N_AT_ONCE = 64
_BLOCK = 1 << 20


def lay_out(entries: list[FileEntry], content: Mapping[str, Path], target: Path) -> set[str]:
    """Make ``target`` with every file and link of ``entries``; for a thread.

    Files are copies: what the user's code writes must not reach the cache, so a hard link will
    not do. Each is held against its hash while it is copied. Links come last, and none is the
    parent of anything, so nothing is written through one.

    ``content`` is ``{sha256: path}`` of the files' bytes.

    Returns:
        The blobs whose bytes are not what their address says; their files are not to be used.

    Raises:
        InvalidInput: an entry that leaves the root.
        PreparationFailed: entries that contradict each other.
    """
    _check_no_clash(entries)
    target.mkdir(parents=True)
    folders: set[str] = set()
    for entry in entries:
        check_entry(entry)
        folders.add(entry.path.rpartition("/")[0])
    for folder in sorted(folders):
        os.makedirs(target / folder, exist_ok=True)
    files = [entry for entry in entries if not entry.link]
    parts = [files[begin : begin + _N_AT_ONCE] for begin in range(0, len(files), _N_AT_ONCE)]
    with ThreadPoolExecutor(_N_WRITERS, "layout") as writers:
        copied = [writers.submit(_copy_all, part, content, os.fspath(target)) for part in parts]
    damaged = set[str]().union(*(future.result() for future in copied))
    for entry in entries:
        if entry.link:
            os.symlink(entry.link, target / entry.path)
    return damaged


def _copy_all(entries: list[FileEntry], content: Mapping[str, Path], target: str) -> set[str]:
    """Copy files; returns those blobs that are damaged."""
    damaged: set[str] = set()
    for entry in entries:
        mode = 0o777 if entry.executable else 0o666  # as far as the agent's umask lets it
        to = os.open(f"{target}/{entry.path}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(content[entry.sha256], "rb", buffering=0) as source, open(to, "wb", 0) as file:
            hasher = hashlib.sha256()
            while block := source.read(_BLOCK):
                hasher.update(block)
                view = memoryview(block)
                while view:
                    view = view[file.write(view) :]
        if hasher.hexdigest() != entry.sha256:
            damaged.add(entry.sha256)
    return damaged


def _check_no_clash(entries: list[FileEntry]) -> None:
    """Refuse a path that occurs twice, or that lies below a file or a link."""
    seen: set[str] = set()
    for entry in entries:
        path = _canonical(entry.path)
        if path in seen:
            raise source_failed(f"the snapshot has {entry.path!r} twice")
        seen.add(path)
    folders = {_canonical(path).rpartition("/")[0] for path in seen}
    for folder in folders:
        at = folder
        while at:
            if at in seen:
                raise source_failed(f"the snapshot has files below the file {at!r}")
            at = at.rpartition("/")[0]


def _canonical(path: str) -> str:
    """``path`` as it is the same file: without ``.`` and double slashes."""
    if "//" in path or "./" in path or path.startswith(".") or path.endswith(("/", ".")):
        return str(PurePosixPath(path))
    return path
