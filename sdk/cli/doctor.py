"""``dray doctor``: whether this machine and its store are as they should be."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from dray.runtime.errors import DrayError, InvalidInput, StoreUnusable
from dray.runtime.paths import HomePaths
from dray.sdk.cli import words
from dray.sdk.cli.output import Column
from dray.sdk.cli.session import Session, verb, verbs

if TYPE_CHECKING:
    from dray.runtime.answers import CheckResult, IntegrityReport

app = verbs()
_OLDEST_SQLITE = (3, 35, 0)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


@verb(app, "doctor")
def doctor(
    session: Session,
    store: Annotated[
        bool, typer.Option("--store", help="Check every invariant of the store.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="With --store: also read every blob.")
    ] = False,
) -> None:
    """Look at this machine, or with --store at the store. Exit code 1: something is not right."""
    if deep and not store:
        raise InvalidInput("--deep is about the store: dray doctor --store --deep", field="--deep")
    is_well = _check_store(session, deep=deep) if store else _check_machine(session)
    if not is_well:
        raise typer.Exit(1)


def _check_store(session: Session, *, deep: bool) -> bool:
    report = _integrity(session, deep=deep)
    if session.out.as_json:
        session.out.json(report)
        return report.ok
    columns: list[Column[CheckResult]] = [
        Column("CHECK", lambda c: c.name),
        Column("", lambda c: "ok" if c.ok else f"VIOLATED {c.n_violations} times"),
        Column("PROMISE", lambda c: c.promise),
    ]
    session.out.table(report.checks, columns)
    for check in report.checks:
        for violation in check.violations:
            session.out.note(f"{check.name}: {violation}")
    n_violated = sum(not check.ok for check in report.checks)
    said = f"{words.count(n_violated, 'check')} violated" if n_violated else "every check holds"
    session.out.note(f"{report.home}: {said} ({report.seconds:.1f} s)")
    return report.ok


def _integrity(session: Session, *, deep: bool) -> IntegrityReport:
    """By the server if one serves the store, else from the files."""
    home = HomePaths(session.settings.home)
    if session.settings.url or not home.state_db.exists():
        return session.client.check_store(deep=deep)
    from importlib.util import find_spec

    if find_spec("aiosqlite") is None:
        raise InvalidInput("this needs a server's part: pip install 'dray[cluster]'", field="store")
    from dray.runtime.store.holding import Holding
    from dray.runtime.store.integrity import check_store

    try:
        holding = Holding.take(home.state_db.parent)
    except StoreUnusable as exc:
        if "holder" not in exc.details:
            raise
        return session.client.check_store(deep=deep)
    try:
        return check_store(home, deep=deep)
    finally:
        holding.release()


def _check_machine(session: Session) -> bool:
    looks: tuple[tuple[str, Callable[[Session], str]], ...] = (
        ("settings", _settings),
        ("data folder", _data_folder),
        ("free space", _free_space),
        ("SQLite", _sqlite),
        ("server", _server),
    )
    findings: list[Finding] = []
    for name, look in looks:
        try:
            findings.append(Finding(name, ok=True, detail=look(session)))
        except DrayError as exc:
            findings.append(Finding(name, ok=False, detail=exc.message))
    columns: list[Column[Finding]] = [
        Column("CHECK", lambda f: f.name),
        Column("", lambda f: "ok" if f.ok else "NOT OK"),
        Column("SEEN", lambda f: f.detail),
    ]
    session.out.table(findings, columns)
    return all(finding.ok for finding in findings)


def _settings(session: Session) -> str:
    warnings = session.loaded.warnings
    if warnings:
        raise InvalidInput("; ".join(warnings))
    changed = [name for name, origin in session.loaded.origins.items() if origin != "default"]
    return f"{', '.join(sorted(changed))} set" if changed else "all defaults"


def _data_folder(session: Session) -> str:
    home = session.settings.home
    if not home.exists():
        return f"{home} is made when it is needed"
    try:
        with tempfile.TemporaryFile(dir=home):
            return f"{home} can be written"
    except OSError as exc:
        raise StoreUnusable(
            f"{home} cannot be written ({exc.strerror}); choose another one with DRAY_HOME"
        ) from exc


def _free_space(session: Session) -> str:
    settings = session.settings
    folder = next(p for p in (settings.home, *settings.home.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    said = f"{free >> 20:,} MiB free in {folder}"
    if free < settings.reserve_blobs_bytes:
        raise StoreUnusable(
            f"{said}, under the reserve of {settings.reserve_blobs_bytes >> 20:,} MiB: a server "
            "here takes no new blobs; make room, or lower reserve_blobs_bytes"
        )
    return said


def _sqlite(session: Session) -> str:
    _ = session
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        raise StoreUnusable(
            f"{sqlite3.sqlite_version}; a server needs {oldest}: use a newer Python"
        )
    return sqlite3.sqlite_version


def _server(session: Session) -> str:
    info = session.client.server_info()
    if info.storage.note:
        raise StoreUnusable(info.storage.note)
    silent = [part.name for part in info.components if part.state != "alive"]
    if silent:
        raise StoreUnusable(f"{session.client.url} answers; {', '.join(silent)} does not")
    return f"{session.client.url}, version {info.version}"
