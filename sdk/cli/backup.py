"""``dray backup``: everything a server keeps in one file, tried, and put back."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from dray.runtime.errors import InvalidInput, StoreUnusable
from dray.runtime.folders import sync_folder
from dray.runtime.paths import HomePaths
from dray.sdk.cli import words
from dray.sdk.cli.output import Facts
from dray.sdk.cli.session import Session, group, verb

if TYPE_CHECKING:
    from dray.runtime.answers import BackupReport

app = group("Backups: everything a server keeps, in one file.")

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")]


@verb(app, "create")
def create(
    session: Session,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="Where to write it. Default: dray-backup-TIME.tar, here."
        ),
    ] = None,
) -> None:
    """Write a backup of one moment; a server that runs goes on. Tokens are not in it."""
    target = file or Path(time.strftime("dray-backup-%Y%m%dT%H%M%SZ.tar", time.gmtime()))
    if target.exists():
        raise InvalidInput(f"{target} is there already; name another file", field="FILE")
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        _write(session, part)
        part.rename(target)
        sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)
    n_bytes = target.stat().st_size
    session.out.answer(
        {"file": str(target), "n_bytes": n_bytes},
        f"{target}  {words.count(n_bytes, 'byte')}; try it with: dray backup verify {target}",
    )


@verb(app, "verify")
def verify(session: Session, file: FileArgument) -> None:
    """Restore a backup into a temporary folder and check every invariant of the store in it."""
    report = _engine().verify(file)
    facts = _facts(report)
    session.out.facts(report, facts)
    if not report.integrity.ok:
        raise typer.Exit(1)


@verb(app, "restore")
def restore(
    session: Session,
    file: FileArgument,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also where there is a store; it is moved aside and kept."),
    ] = False,
) -> None:
    """Make a data folder (--home) what a backup holds. The server of that folder must be down."""
    report = _engine().restore(file, HomePaths(session.settings.home), force=force)
    facts = _facts(report.backup)
    facts.group("Restored")
    facts.add("home", report.home)
    facts.add("old files", report.kept)
    if report.n_closed:
        facts.add("attempts", f"{report.n_closed} that were open are closed as lost workers")
    facts.add("token", "a new one is made by the next `dray up`")
    session.out.facts(report, facts)


def _write(session: Session, part: Path) -> None:
    """By the server if one serves the store, else from the files."""
    home = HomePaths(session.settings.home)
    if session.settings.url or not home.state_db.exists():
        _save(session.client.backup(), part)
        return
    try:
        _engine().create(home, part)
    except StoreUnusable as exc:
        if "holder" not in exc.details:
            raise
        part.unlink(missing_ok=True)
        _save(session.client.backup(), part)


def _save(blocks: Iterator[bytes], path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for block in blocks:
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _facts(report: BackupReport) -> Facts:
    facts = Facts()
    facts.add("backup", report.file)
    facts.add("made", f"{words.moment(report.made_at)} by Dray {report.dray}")
    facts.add("size", words.count(report.n_bytes, "byte"))
    facts.add("blobs", report.n_blobs)
    facts.add("console streams", report.n_streams)
    checks = report.integrity.checks
    facts.add("checks", f"{sum(check.ok for check in checks)} of {len(checks)} hold")
    for check in checks:
        for violation in check.violations:
            facts.add(check.name, violation)
    return facts


def _engine() -> ModuleType:
    """The part of Dray that opens a store itself.

    Raises:
        InvalidInput: it is not installed here.
    """
    from importlib.util import find_spec

    if find_spec("aiosqlite") is None:
        raise InvalidInput("this needs a server's part: pip install 'dray[cluster]'", field="FILE")
    from dray.runtime.store import restore as engine

    return engine
