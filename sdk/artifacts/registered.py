"""Tables that a run registered: kept as artifacts again whenever they have changed.

No thread watches them. They are looked at when one is set, by ``task.flush`` and ``task.close``,
and when the process ends.
"""

from __future__ import annotations

import atexit
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk import session
from dray.sdk.artifacts import artifact as artifacts
from dray.sdk.artifacts import formats as artifact_formats
from dray.sdk.artifacts.formats import csv_bytes
from dray.sdk.artifacts.keeping import keep
from dray.sdk.parameters import values as parameters
from dray.sdk.session import BLOBS_FOLDER, Session, now, say
from dray.sdk.storage import destinations

KIND = "data-audit-table"

#: {task id and epoch of a run of this process: its tables}
_BY_RUN: dict[str, Registered] = {}


class Registered(dict[str, Any]):
    """The tables of one run by name; setting one keeps it."""

    def __init__(self, attempt: Session) -> None:
        super().__init__()
        self.attempt = attempt
        self.pid = os.getpid()
        self.metadata: dict[str, dict[str, str]] = {}
        #: {name: columns that tell rows apart; None: all}
        self.columns: dict[str, list[str] | None] = {}
        #: {name: sha256 of what was kept last}
        self.kept: dict[str, str] = {}

    def __setitem__(self, name: str, table: Any) -> None:
        _check_table(name, table)
        super().__setitem__(name, table)
        self.sync(name)

    def sync(self, name: str) -> None:
        """Keep a table if it has changed since it was last looked at."""
        table = self[name]
        data = csv_bytes(table, index=False)
        if self.kept.get(name) == hashlib.sha256(data).hexdigest():
            return
        sha256, n_bytes = keep(data, Path(self.attempt.spool, BLOBS_FOLDER))
        filename = f"{name.replace('/', '_')}.csv.gz"
        shown = f"{table!r}\n\n{_statistics(name, table, self.columns.get(name))}"
        artifacts.put_record(
            self.attempt,
            {
                "name": name,
                "type": KIND,
                "filename": filename,
                "sha256": sha256,
                "n_bytes": n_bytes,
                "uri": destinations.address(self.attempt.task, "artifacts", name, filename),
                "preview": artifact_formats.clipped(shown),
                "metadata": self.metadata.get(name, {}),
                "created_at": now(),
            },
        )
        self.kept[name] = sha256


def tables(attempt: Session) -> Registered:
    """The registered tables of a run."""
    key = attempt.spool
    found = _BY_RUN.get(key)
    if found is None or found.attempt is not attempt:
        found = _BY_RUN[key] = Registered(attempt)
    return found


def register(
    attempt: Session,
    name: str,
    table: Any,
    metadata: Mapping[str, Any] | None,
    uniqueness_columns: bool | Iterable[str],
) -> None:
    """Keep a table and follow its changes; see ``Task.register_artifact``."""
    _check_table(name, table)
    if not name or name.strip("/ ") != name or "\0" in name:
        raise InvalidInput(f"{name!r} cannot be an artifact's name", field="name", value=name)
    columns = None
    if not isinstance(uniqueness_columns, bool):
        columns = [str(column) for column in uniqueness_columns]
        lacking = [column for column in columns if column not in table.columns]
        if lacking:
            say(f"warning: table {name!r} has no columns {', '.join(lacking)}; they do not count")
    mine = tables(attempt)
    if not mine:
        atexit.register(_at_exit, mine)
    if name in mine:
        say(f"registered table {name!r} is replaced by another one")
    mine.metadata[name] = {str(k): parameters.to_text(v)[0] for k, v in (metadata or {}).items()}
    mine.columns[name] = columns
    mine.kept.pop(name, None)
    mine[name] = table


def unregister(attempt: Session, name: str) -> None:
    """Keep a table a last time and follow it no more; unknown names are no error."""
    mine = tables(attempt)
    if name in mine:
        mine.sync(name)
        del mine[name]


def sync_all(attempt: Session) -> None:
    """Keep every registered table of a run that has changed; never raises."""
    mine = _BY_RUN.get(attempt.spool)
    if mine is None or mine.pid != os.getpid():
        return
    for name in mine:
        try:
            mine.sync(name)
        except Exception as exc:  # the run's end must not depend on a table
            say(f"warning: registered table {name!r} is not kept: {type(exc).__name__}: {exc}")


def _at_exit(mine: Registered) -> None:
    if session.current() is mine.attempt:  # else it was closed, with its tables as they were
        sync_all(mine.attempt)


def _check_table(name: str, table: Any) -> None:
    pandas = artifact_formats.loaded("pandas", "DataFrame")
    if not isinstance(table, pandas):
        raise WrongType(
            f"registered artifact {name!r} is a {type(table).__name__}; only pandas DataFrames can "
            "be registered, everything else goes with upload_artifact",
            field="artifact",
        )


def _statistics(name: str, table: Any, columns: list[str] | None) -> str:
    there = [c for c in columns if c in table.columns] if columns else list(table.columns)
    if not len(table) or not there:
        return f"[{name}]: shape={table.shape}"
    try:
        n_unique = len(table.drop_duplicates(subset=cast("Any", there)))
    except TypeError:  # lists in cells
        n_unique = len(table[there].astype(str).drop_duplicates())
    share = 100.0 * n_unique / len(table)
    return f"[{name}]: shape={table.shape}, {n_unique} unique rows, {share:.1f}% uniqueness"
