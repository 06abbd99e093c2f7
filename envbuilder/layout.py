"""Lay a snapshot's files out in a folder; no entry can be written outside of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from dray.envbuilder.failures import source_failed
from dray.runtime.snapshots import FileEntry, check_entry


def lay_out(entries: list[FileEntry], content: Mapping[str, Path], target: Path) -> None:
    """Make ``target`` with every file and link of ``entries``; for a thread.

    Files are copies: what the user's code writes must not reach the cache, so a hard link will
    not do. Links come last, and none is the parent of anything, so nothing is written through one.

    ``content`` is ``{sha256: path}`` of the files' bytes.

    Raises:
        InvalidInput: an entry that leaves the root.
        PreparationFailed: entries that contradict each other.
    """
    _check_no_clash(entries)
    target.mkdir(parents=True)
    folders: set[Path] = {target}
    for entry in sorted(entries, key=lambda e: bool(e.link)):
        check_entry(entry)
        path = target / entry.path
        if path.parent not in folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            folders.add(path.parent)
        if entry.link:
            path.symlink_to(entry.link)
        else:
            _copy(content[entry.sha256], path, executable=entry.executable)


def _copy(source: Path, path: Path, *, executable: bool) -> None:
    shutil.copyfile(source, path)
    if executable:
        path.chmod(path.stat().st_mode | 0o111)


def _check_no_clash(entries: list[FileEntry]) -> None:
    """Refuse a path that occurs twice, or that lies below a file or a link."""
    seen: set[PurePosixPath] = set()
    for entry in entries:
        path = PurePosixPath(entry.path)
        if path in seen:
            raise source_failed(f"the snapshot has {entry.path!r} twice")
        seen.add(path)
    for path in seen:
        for parent in path.parents:
            if parent in seen:
                raise source_failed(
                    f"the snapshot has {str(path)!r} below the file {str(parent)!r}"
                )
