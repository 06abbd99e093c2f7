"""Check on a store every invariant that rows and files can show; changes nothing.

Each check is a sentence about what must be true and a function that finds what breaks it. All of
them read one moment of the databases, so that a store that is being served can be checked too.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from dray.runtime.answers import CheckResult, IntegrityReport
from dray.runtime.paths import HomePaths
from dray.runtime.store import integrity_audit, integrity_files, integrity_sql
from dray.runtime.store.integrity_files import Evidence, Violation
from dray.runtime.store.reading import open_moment

#: Violations that a report names; it counts them all.
SHOWN = 20


@dataclass(frozen=True)
class Check:
    """One thing that must be true.

    Attributes:
        promise: the sentence.
        find: what breaks it, as (subject, what was seen).
        is_deep: it reads every byte of large files, so it is run on demand.
    """

    name: str
    promise: str
    find: Callable[[Evidence], Iterator[Violation]]
    is_deep: bool = False


def _by_sql(schema: str, sql: str, evidence: Evidence) -> Iterator[Violation]:
    connection = evidence.state if schema == "state" else evidence.results
    for row in connection.execute(sql):
        yield str(row[0]), str(row[1])


def _damage(schema: str, evidence: Evidence) -> Iterator[Violation]:
    connection = evidence.state if schema == "state" else evidence.results
    for (line,) in connection.execute(f"PRAGMA integrity_check({SHOWN})"):
        if line != "ok":
            yield f"{schema}.db", line


def _dangling(schema: str, evidence: Evidence) -> Iterator[Violation]:
    connection = evidence.state if schema == "state" else evidence.results
    for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"{schema}.db", f"row {rowid} of {table} names something that is not in {parent}"


#: Every check, in the order in which they are told.
CHECKS: tuple[Check, ...] = (
    *(
        Check(f"{schema}_file", f"{schema}.db is whole", partial(_damage, schema))
        for schema in ("state", "results")
    ),
    *(
        Check(
            f"{schema}_references",
            f"what a row of {schema}.db names is there",
            partial(_dangling, schema),
        )
        for schema in ("state", "results")
    ),
    *(
        Check(name, promise, partial(_by_sql, schema, sql))
        for name, promise, schema, sql in integrity_sql.CHECKS
    ),
    Check(
        "audit_chain",
        "every step of a task is in the table of states, follows the one before it, and the "
        "last one led to where the task is",
        integrity_audit.broken_chains,
    ),
    Check(
        "outputs_owned",
        "every output belongs to an attempt that was made, or is about to be deleted",
        integrity_files.outputs_without_attempt,
    ),
    Check(
        "console_index",
        "the pieces of a stream follow each other without hole or overlap, from its first byte "
        "to its offset, but for what is stated as missing",
        integrity_files.broken_indexes,
    ),
    Check(
        "console_files",
        "every console byte that was acknowledged is in its file",
        integrity_files.short_files,
    ),
    Check(
        "receipts",
        "a receipt that says exact has the hash of what is stored",
        integrity_files.false_receipts,
    ),
    Check(
        "blobs_there",
        "the content of every artifact and of the code of every task that has run is there",
        integrity_files.missing_blobs,
    ),
    Check(
        "blobs_true",
        "every blob is what its name says",
        integrity_files.false_blobs,
        is_deep=True,
    ),
)


def check_store(home: HomePaths, *, deep: bool = False) -> IntegrityReport:
    """Check the store in ``home``, served or not; blocks, and changes nothing.

    What is violated is looked at a second time, because files are read after the databases: a
    task that is deleted in between is no violation.

    Args:
        home: the data folder.
        deep: also read every blob.

    Raises:
        NotFound: there is no store.
        StoreUnusable: it is of another schema, or cannot be opened.
    """
    began = time.monotonic()
    chosen = [check for check in CHECKS if deep or not check.is_deep]
    found = _look(home, chosen)
    suspects = [check for check in chosen if found[check.name]]
    again = _look(home, suspects) if suspects else {}
    results: list[CheckResult] = []
    for check in chosen:
        confirmed = set(again.get(check.name, ()))
        seen = [one for one in found[check.name] if one in confirmed]
        shown = [f"{subject}: {what}" for subject, what in seen[:SHOWN]]
        results.append(CheckResult(check.name, check.promise, not seen, len(seen), shown))
    return IntegrityReport(
        home=str(home.root),
        ok=all(result.ok for result in results),
        deep=deep,
        seconds=round(time.monotonic() - began, 3),
        checks=results,
    )


def _look(home: HomePaths, checks: list[Check]) -> dict[str, list[Violation]]:
    with (
        closing(open_moment(home.state_db, "state")) as state,
        closing(open_moment(home.results_db, "results")) as results,
    ):
        evidence = Evidence(home, state, results)
        return {check.name: list(_findings(check, evidence)) for check in checks}


def _findings(check: Check, evidence: Evidence) -> Iterator[Violation]:
    try:
        yield from check.find(evidence)
    except sqlite3.DatabaseError as exc:  # a damaged page must not hide what else is wrong
        yield check.name, f"cannot be looked at: {exc}"
