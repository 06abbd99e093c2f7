"""Bring a database file to the newest schema, after a snapshot of it, or refuse clearly."""

from __future__ import annotations

import re
import sqlite3
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from dray.runtime.errors import DrayError, InsufficientStorage, StoreUnusable
from dray.runtime.store import packing
from dray.runtime.store.ballast import is_full

_NAME = re.compile(r"(\d{4})_\w+\.sql")
#: "DRAY" in ASCII; SQLite keeps it in the header of the file.
APPLICATION_ID = int.from_bytes(b"DRAY", "big")

#: RETURNING came with it.
OLDEST_SQLITE = (3, 35, 0)


@dataclass(frozen=True)
class Migration:
    """One step of the schema: from ``version - 1`` to ``version``."""

    version: int
    name: str
    sql: str


def migrations(schema: str) -> list[Migration]:
    """The steps of ``schema`` (``state`` or ``results``) in order."""
    folder = resources.files("dray.runtime.store") / "migrations" / schema
    found = [
        Migration(int(match.group(1)), file.name, file.read_text("utf-8"))
        for file in folder.iterdir()
        if (match := _NAME.fullmatch(file.name))
    ]
    return sorted(found, key=lambda migration: migration.version)


def migrate(path: Path, steps: list[Migration], snapshots: Path) -> None:
    """Run the steps that ``path`` lacks, each in a transaction of its own; blocks.

    Args:
        path: the file; made when it is not there.
        steps: every step known, in order.
        snapshots: folder for a copy of an existing file before it is changed.

    Raises:
        StoreUnusable: not a database of ours, a newer one, a step failed, or SQLite is too old.
        InsufficientStorage: the disk is full.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise StoreUnusable(
            f"this Python has SQLite {sqlite3.sqlite_version}, the store needs {oldest} or newer; "
            "use a newer Python build",
            path=str(path),
        )
    try:
        connection = sqlite3.connect(path, isolation_level=None)
    except sqlite3.Error as exc:
        raise StoreUnusable(f"{path} cannot be opened: {exc}", path=str(path)) from exc
    try:
        _bring_up(connection, path, steps, snapshots)
    except sqlite3.DatabaseError as exc:
        raise _refusal(path, exc, snapshots) from exc
    finally:
        connection.close()


def is_damage(exc: BaseException) -> bool:
    """Whether SQLite says that the file itself is broken."""
    return "malformed" in str(exc) or "not a database" in str(exc)


def _refusal(path: Path, exc: sqlite3.DatabaseError, snapshots: Path) -> DrayError:
    if is_full(exc):
        return InsufficientStorage(
            f"{path} cannot be opened: the disk of {path.parent} is full; make room", path=str(path)
        )
    if is_damage(exc):
        return StoreUnusable(
            f"{path} is damaged, or not a database ({exc}); restore a backup: "
            f"dray backup restore FILE --force (copies from before updates are in {snapshots})",
            path=str(path),
        )
    return StoreUnusable(
        f"{path} cannot be brought to the schema of this Dray ({exc}); it is as it was: go back "
        f"to the Dray that wrote it (a copy from before is in the snapshots, {snapshots})",
        path=str(path),
    )


def _bring_up(
    connection: sqlite3.Connection, path: Path, steps: list[Migration], snapshots: Path
) -> None:
    version = _pragma(connection, "user_version")
    newest = steps[-1].version
    if version > newest:
        raise StoreUnusable(
            f"{path} was written by a newer Dray (schema {version}, this one knows {newest}); "
            "update Dray, or restore an older snapshot",
            path=str(path),
            version=version,
            newest=newest,
        )
    is_new = version == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    if not is_new and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreUnusable(f"{path} is a database of another program", path=str(path))
    missing = [step for step in steps if step.version > version]
    if missing and not is_new:
        _snapshot(connection, path, version, snapshots)
    connection.execute("PRAGMA journal_mode = WAL")  # kept in the file; readers beside a writer
    packing.register(connection)
    for step in missing:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{step.sql}\nPRAGMA user_version = {step.version};\nCOMMIT;"
        )


def _snapshot(connection: sqlite3.Connection, path: Path, version: int, snapshots: Path) -> None:
    snapshots.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    copy = sqlite3.connect(snapshots / f"{path.stem}-v{version}-{stamp}.db")
    try:
        connection.backup(copy)
    finally:
        copy.close()


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
