"""Invariants between the databases and the files beside them: console, receipts, blobs."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from dray.runtime.errors import InvalidInput
from dray.runtime.paths import HomePaths
from dray.runtime.records import CONSOLE_STREAMS
from dray.runtime.snapshots import decode_manifest

#: Subject (mostly a task's id) and what was seen.
Violation = tuple[str, str]

_READ_BYTES = 1 << 20
_OUTPUTS = """
SELECT DISTINCT task_id, epoch FROM offsets
UNION SELECT DISTINCT task_id, epoch FROM console
UNION SELECT DISTINCT task_id, epoch FROM texts
UNION SELECT DISTINCT task_id, epoch FROM plots
UNION SELECT DISTINCT task_id, epoch FROM singles
UNION SELECT DISTINCT task_id, epoch FROM media
UNION SELECT DISTINCT s.task_id, c.epoch FROM series s JOIN chunks c ON c.series_id = s.id
"""
#: What was reported of a model is of no attempt: tasks come and go, it stays.
_MODEL = "SELECT 1 FROM models WHERE id = ? AND ? = 0"
_PURGED_UP_TO = "SELECT epoch FROM purges WHERE task_id = ?"
_ATTEMPT = "SELECT 1 FROM attempts WHERE task_id = ? AND epoch = ?"
_STREAMS = """
SELECT task_id, epoch, stream, n_bytes, n_missing FROM offsets ORDER BY task_id, epoch, stream
"""
_PIECES = """
SELECT c.task_id, c.epoch, c.stream, c.offset, c.n_bytes, c.missing, c.position,
    o.n_bytes AS accepted, o.n_missing
FROM console c LEFT JOIN offsets o
    ON o.task_id = c.task_id AND o.epoch = c.epoch AND o.stream = c.stream
ORDER BY c.task_id, c.epoch, c.stream, c.seq
"""
_UNINDEXED = """
SELECT o.task_id, o.epoch, o.stream, o.n_bytes FROM offsets o
WHERE o.stream <> 'records' AND o.n_bytes > 0 AND NOT EXISTS (
    SELECT 1 FROM console c
    WHERE c.task_id = o.task_id AND c.epoch = o.epoch AND c.stream = o.stream)
"""
_RECEIPTS = "SELECT task_id, epoch, receipt FROM attempts WHERE receipt <> '{}'"
_ARTIFACTS = """
SELECT task_id, name, sha256 FROM artifacts
WHERE sha256 <> '' AND coalesce(json_extract(document, '$.uri'), '') = ''
"""
_MEDIA = "SELECT task_id, title, series, sha256 FROM media WHERE sha256 <> '' AND uri = ''"
_MODELS = "SELECT id, name, sha256 FROM models WHERE sha256 <> '' AND uri = ''"
_SNAPSHOTS = """
SELECT t.id, json_extract(d.execution, '$.snapshot') AS snapshot
FROM tasks t JOIN documents d ON d.task_id = t.id
WHERE t.epoch > 0 AND COALESCE(json_extract(d.execution, '$.snapshot'), '') <> ''
"""


@dataclass(frozen=True)
class Evidence:
    """One moment of a store."""

    home: HomePaths
    state: sqlite3.Connection
    results: sqlite3.Connection

    def blob(self, sha256: str) -> Path:
        """Where a blob lies if it is there."""
        return self.home.blobs / sha256[:2] / sha256


def outputs_without_attempt(evidence: Evidence) -> Iterator[Violation]:
    """Outputs that nobody made; a later attempt of that number would take them for its own."""
    for row in evidence.results.execute(_OUTPUTS):
        task_id, epoch = row["task_id"], row["epoch"]
        if evidence.state.execute(_ATTEMPT, (task_id, epoch)).fetchone():
            continue
        if evidence.state.execute(_MODEL, (task_id, epoch)).fetchone():
            continue
        purge = evidence.state.execute(_PURGED_UP_TO, (task_id,)).fetchone()
        if purge is None or purge["epoch"] < epoch:
            yield task_id, f"outputs of attempt {epoch}, which was never made"


def broken_indexes(evidence: Evidence) -> Iterator[Violation]:
    """Streams whose pieces do not follow each other up to what was accepted."""
    found = evidence.results.execute(_PIECES)
    for key, rows in groupby(found, key=lambda row: (row["task_id"], row["epoch"], row["stream"])):
        pieces = list(rows)
        fault = index_fault(
            [(p["offset"], p["n_bytes"], p["missing"], p["position"]) for p in pieces],
            pieces[0]["accepted"] or 0,
        )
        if fault:
            yield key[0], f"{key[1]}.{key[2]}: {fault}"
    for row in evidence.results.execute(_UNINDEXED):
        what = f"{row['n_bytes']} bytes were accepted, no piece is listed"
        yield row["task_id"], f"{row['epoch']}.{row['stream']}: {what}"


def index_fault(pieces: list[tuple[int, int, int, int | None]], accepted: int) -> str:
    """What is wrong with (offset, bytes, missing before it, position in the file); or nothing."""
    end, position = 0, 0
    for offset, n_bytes, missing, placed in pieces:
        if offset != end + missing:
            return f"a piece begins at {offset}, expected was {end + missing}"
        if (offset if placed is None else placed) != position:
            return f"the piece at {offset} lies at {placed}, expected was {position}"
        end, position = offset + n_bytes, position + n_bytes
    return "" if end == accepted else f"pieces end at {end}, accepted are {accepted} bytes"


def short_files(evidence: Evidence) -> Iterator[Violation]:
    """Streams whose file has fewer bytes than were acknowledged and not stated as missing."""
    for row in evidence.results.execute(_STREAMS):
        stored = row["n_bytes"] - row["n_missing"]
        if row["stream"] not in CONSOLE_STREAMS or stored == 0:
            continue
        path = evidence.home.console_stream(row["task_id"], row["epoch"], row["stream"])
        size = path.stat().st_size if path.is_file() else 0
        if size < stored:
            yield row["task_id"], f"{path.name} has {size} of {stored} bytes"


def false_receipts(evidence: Evidence) -> Iterator[Violation]:
    """Receipts that say exact although what is stored is something else."""
    for row in evidence.state.execute(_RECEIPTS):
        for stream, receipt in json.loads(row["receipt"]).items():
            if stream not in CONSOLE_STREAMS or not receipt.get("exact"):
                continue
            path = evidence.home.console_stream(row["task_id"], row["epoch"], stream)
            fault = receipt_fault(path, receipt)
            if fault:
                yield row["task_id"], f"{path.name} has {fault}"


def receipt_fault(path: Path, receipt: dict[str, Any]) -> str:
    """What a stream's file has against a receipt that says exact; empty: nothing."""
    if receipt.get("missing_bytes"):  # the hash is of bytes that nobody has
        stored = int(receipt["stored_bytes"])
        n_bytes = path.stat().st_size if path.is_file() else 0
        return "" if n_bytes >= stored else f"{n_bytes} of {stored} bytes beside its gaps"
    n_bytes, seen = digest(path, receipt["n_bytes"])
    if (n_bytes, seen) == (receipt["n_bytes"], receipt["sha256"]):
        return ""
    said = f"{receipt['n_bytes']} with {receipt['sha256'][:12]}"
    return f"{n_bytes} bytes with sha256 {seen[:12]}, the receipt says {said}"


def missing_blobs(evidence: Evidence) -> Iterator[Violation]:
    """Artifacts, models, debug samples and snapshots whose bytes are not there."""
    for row in evidence.state.execute(_ARTIFACTS):
        if not evidence.blob(row["sha256"]).is_file():
            yield row["task_id"], f"artifact {row['name']}: no blob {row['sha256']}"
    for row in evidence.state.execute(_MODELS):
        if not evidence.blob(row["sha256"]).is_file():
            yield row["id"], f"model {row['name']}: no blob {row['sha256']}"
    for row in evidence.results.execute(_MEDIA):
        if not evidence.blob(row["sha256"]).is_file():
            yield row["task_id"], f"sample {row['title']}/{row['series']}: no blob {row['sha256']}"
    broken: dict[str, str] = {}  # many tasks share one snapshot
    for row in evidence.state.execute(_SNAPSHOTS):
        snapshot = row["snapshot"]
        if snapshot not in broken:
            broken[snapshot] = _snapshot_fault(evidence, snapshot)
        if broken[snapshot]:
            yield row["id"], broken[snapshot]


def _snapshot_fault(evidence: Evidence, sha256: str) -> str:
    try:
        entries = decode_manifest(evidence.blob(sha256).read_bytes())
    except FileNotFoundError:
        return f"snapshot {sha256} is not there"
    except InvalidInput as exc:
        return f"snapshot {sha256}: {exc.message}"
    for entry in entries:
        if not entry.link and not evidence.blob(entry.sha256).is_file():
            return f"snapshot {sha256}: no blob {entry.sha256} of {entry.path}"
    return ""


def false_blobs(evidence: Evidence) -> Iterator[Violation]:
    """Blobs whose content has another hash than their name."""
    for folder in sorted(evidence.home.blobs.glob("[0-9a-f][0-9a-f]")):
        for path in sorted(folder.iterdir()):
            _, seen = digest(path, path.stat().st_size)
            if seen != path.name:
                yield path.name, f"its content has sha256 {seen}"


def digest(path: Path, n_bytes: int) -> tuple[int, str]:
    """How many of the first ``n_bytes`` bytes of a file are there, and their sha256."""
    seen, n_left = hashlib.sha256(), n_bytes
    try:
        with path.open("rb") as file:
            while n_left and (data := file.read(min(n_left, _READ_BYTES))):
                seen.update(data)
                n_left -= len(data)
    except FileNotFoundError:
        pass  # as good as empty
    return n_bytes - n_left, seen.hexdigest()
