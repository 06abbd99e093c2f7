"""``dray queue``: named lines of pending tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dray.sdk.cli import words
from dray.sdk.cli.execution_options import (
    ContainerArguments,
    Image,
    Manager,
    TorchBackend,
    container_members,
    script_of,
)
from dray.sdk.cli.options import Force
from dray.sdk.cli.output import Column
from dray.sdk.cli.session import Session, group, verb

if TYPE_CHECKING:
    from dray.runtime.execution import RunDefaults
    from dray.runtime.models import Queue, QueueEntry

app = group("Named lines of pending tasks.")

QueueArgument = Annotated[str, typer.Argument(metavar="QUEUE", help="Name of a queue.")]


@dataclass(frozen=True)
class DefaultOptions:
    """How a queue's tasks run that do not say it themselves; None means not said."""

    manager: Manager = None
    torch_backend: TorchBackend = None
    image: Image = None
    container_arguments: ContainerArguments = None
    setup_script: Annotated[
        Path | None,
        typer.Option(
            "--setup-script", metavar="FILE", help="Shell lines to run in that container first."
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """Members of the defaults that were given; an empty text takes one away."""
        container = container_members(
            self.image, self.container_arguments, script_of(self.setup_script)
        )
        members = {
            "environment_manager": self.manager,
            "torch_backend": self.torch_backend,
            "container": container or None,
        }
        return {name: value for name, value in members.items() if value is not None}


@verb(app, "create")
def create(
    session: Session,
    name: QueueArgument,
    defaults: DefaultOptions,
    static: Annotated[
        bool,
        typer.Option("--static", help="Only agents started by hand take tasks from it."),
    ] = False,
) -> None:
    """Make a queue. Agents are made for its tasks as needed, unless it is static."""
    given = defaults.given()
    queue = session.client.create_queue(name, elastic=not static, defaults=given or None)
    session.out.answer(queue, queue.name)


@verb(app, "edit")
def edit(session: Session, name: QueueArgument, defaults: DefaultOptions) -> None:
    """Change how a queue's tasks run. Those that do not say it; an empty text takes one away."""
    given = defaults.given()
    if not given:
        raise typer.BadParameter("nothing to change: give at least one option")
    queue = session.client.edit_queue(name, defaults=given)
    session.out.answer(queue, f"{queue.name}: {_told(queue.defaults) or 'no defaults'}")


@verb(app, "list")
def list_(session: Session) -> None:
    """List queues and what waits in each."""
    columns: list[Column[Queue]] = [
        Column("QUEUE", lambda q: q.name),
        Column("PENDING", lambda q: str(q.n_pending)),
        Column("SERVED", lambda q: "yes" if q.served else "no"),
        Column("DEFAULTS", lambda q: _told(q.defaults)),
    ]
    session.out.table(session.client.list_queues(), columns, empty="No queues.")


@verb(app, "show")
def show(session: Session, name: QueueArgument) -> None:
    """List what waits in a queue. In the order it will be taken."""
    told = _told(session.client.get_queue(name).defaults)
    if told:
        session.out.note(f"its tasks run with {told}, unless they say otherwise")
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


def _told(defaults: RunDefaults) -> str:
    """Defaults in a few words; empty when there are none."""
    manager, container = defaults.environment_manager, defaults.container
    image = " ".join(filter(None, (container.image, container.arguments)))
    setup = "a setup script" if container.setup_script else ""
    torch = f"PyTorch for {defaults.torch_backend}" if defaults.torch_backend else ""
    return ", ".join(filter(None, (image, setup, manager, torch)))
