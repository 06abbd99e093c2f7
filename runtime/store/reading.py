"""Look at a database as it is at one moment, beside whoever writes it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from dray.runtime.errors import NotFound, StoreUnusable
from dray.runtime.store.migrate import migrations


def open_moment(path: Path, schema: str) -> sqlite3.Connection:
    """A connection that reads one moment of a file, whatever is committed meanwhile; blocks.

    Any thread may use it, one at a time.

    Raises:
        NotFound: there is no such file.
        StoreUnusable: it is damaged, or not of the schema this program knows.
    """
    if not path.is_file():
        raise NotFound(f"there is no store in {path.parent.parent}: no {path.name}", path=str(path))
    newest = migrations(schema)[-1].version
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as exc:
        raise StoreUnusable(f"{path} cannot be opened: {exc}", path=str(path)) from exc
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # BEGIN alone sees nothing
    except sqlite3.DatabaseError as exc:
        connection.close()
        raise StoreUnusable(
            f"{path} cannot be read ({exc}); if it is damaged, restore a backup: "
            "dray backup restore FILE --force",
            path=str(path),
        ) from exc
    if version != newest:
        connection.close()
        way_out = "update Dray" if version > newest else "start it once with `dray up`"
        raise StoreUnusable(
            f"{path} has schema {version}, this Dray knows {newest}; {way_out}",
            path=str(path),
            version=version,
        )
    return connection
