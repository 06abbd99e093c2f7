"""``dray queue``: named lines of pending tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dray.sdk.cli import words
from dray.sdk.cli.options import Force
from dray.sdk.cli.output import Column
from dray.sdk.cli.session import Session, group, verb

if TYPE_CHECKING:
    from dray.runtime.models import Queue, QueueEntry

app = group("Named lines of pending tasks.")

QueueArgument = Annotated[str, typer.Argument(metavar="QUEUE", help="Name of a queue.")]


@verb(app, "create")
def create(
    session: Session,
    name: QueueArgument,
    static: Annotated[
        bool,
        typer.Option("--static", help="Only agents started by hand take tasks from it."),
    ] = False,
) -> None:
    """Make a queue. Agents are made for its tasks as needed, unless it is static."""
    queue = session.client.create_queue(name, elastic=not static)
    session.out.answer(queue, queue.name)


@verb(app, "list")
def list_(session: Session) -> None:
    """List queues and what waits in each."""
    columns: list[Column[Queue]] = [
        Column("QUEUE", lambda q: q.name),
        Column("PENDING", lambda q: str(q.n_pending)),
        Column("SERVED", lambda q: "yes" if q.served else "no"),
    ]
    session.out.table(session.client.list_queues(), columns, empty="No queues.")


@verb(app, "show")
def show(session: Session, name: QueueArgument) -> None:
    """List what waits in a queue. In the order it will be taken."""
    columns: list[Column[QueueEntry]] = [
        Column("TASK", lambda e: e.task_id, lambda e: words.short_id(e.task_id)),
        Column("PRIORITY", lambda e: str(e.priority)),
        Column("NEEDS", lambda e: e.resources.label()),
        Column("OWNER", lambda e: e.owner),
        Column("SINCE", lambda e: words.moment(e.enqueued_at), lambda e: words.ago(e.enqueued_at)),
    ]
    entries = session.client.queue_tasks(name)
    session.out.table(entries, columns, empty=f"Nothing waits in {name}.")


@verb(app, "delete")
def delete(session: Session, name: QueueArgument, force: Force = False) -> None:
    """Delete a queue. One in which tasks wait only with --force."""
    session.client.delete_queue(name, force=force)
    session.out.answer({"deleted": name}, f"{name} deleted")
