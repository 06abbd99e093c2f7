"""``dray sync``: ship runs that were recorded offline, or that their server has not whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dray.runtime.errors import InvalidInput
from dray.sdk.cli import words
from dray.sdk.cli.output import Column
from dray.sdk.cli.session import Session, verb, verbs

if TYPE_CHECKING:
    from dray.sdk.ship.sync import SyncReport

app = verbs()


@verb(app, "sync")
def sync(
    session: Session,
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help="Folders of runs, or zips of them."),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every run of this machine that is not shipped yet.")
    ] = False,
) -> None:
    """Ship runs recorded offline. In whole or in part, as often as one likes."""
    from dray.sdk.runs.offline import opened
    from dray.sdk.ship.sync import sync as ship

    reports: list[SyncReport] = []
    for folder in _chosen(session, folders or [], all_):
        session.out.note(f"Shipping {folder} …")
        with opened(folder) as place:
            report = ship(place, session.client)
        if report.note:
            session.out.note(f"dray: warning: {report.note}")
        reports.append(report)
    session.out.table(reports, _columns(), empty="Nothing to ship.")


def _chosen(session: Session, folders: list[Path], every: bool) -> list[Path]:
    from dray.runtime.paths import HomePaths
    from dray.sdk.ship.sync import find_spools

    if every == bool(folders):
        raise InvalidInput("say what to ship: folders of runs, or --all", field="FOLDER")
    return folders or find_spools(HomePaths(session.settings.home))


def _columns() -> list[Column[SyncReport]]:
    return [
        Column("TASK", lambda r: r.task_id, lambda r: words.short_id(r.task_id)),
        Column("STATE", lambda r: str(r.state)),
        Column("SENT", lambda r: str(r.n_bytes), lambda r: words.count(r.n_bytes, "byte")),
        Column("WHOLE", lambda r: "yes" if r.closed else "not yet"),
    ]
