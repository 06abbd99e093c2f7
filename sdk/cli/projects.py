"""``dray project``: folders of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dray.sdk.cli import words
from dray.sdk.cli.output import Column
from dray.sdk.cli.session import Session, group, verb

if TYPE_CHECKING:
    from dray.runtime.models import Project

app = group("Projects: folders of tasks.")


@verb(app, "list")
def list_(session: Session) -> None:
    """List projects and what each holds."""
    columns: list[Column[Project]] = [
        Column("PROJECT", lambda p: p.name),
        Column("TASKS", lambda p: str(p.n_tasks)),
        Column("CREATED", lambda p: words.moment(p.created_at), lambda p: words.ago(p.created_at)),
        Column("DESCRIPTION", lambda p: p.description),
    ]
    session.out.table(session.client.list_projects(), columns, empty="No projects yet.")
