"""``dray task``: make, find, show, edit, clone and delete tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dray.sdk.cli import new_task, options, reproduce, task_moves, task_results, words
from dray.sdk.cli.execution_options import ExecutionOptions
from dray.sdk.cli.new_task import Wanted
from dray.sdk.cli.output import Column
from dray.sdk.cli.policy_options import PolicyOptions
from dray.sdk.cli.session import Session, group, verb
from dray.sdk.cli.wanted_code import CodeOptions

if TYPE_CHECKING:
    from dray.runtime.models import Task

app = group("Tasks: make, find, edit, queue and read them.")
app.add_typer(task_moves.app)
app.add_typer(task_results.app)
app.add_typer(reproduce.app)

States = Annotated[
    list[str] | None,
    typer.Option("--state", metavar="STATE", help="In this state; give it several times."),
]


@verb(app, "create")
def create(
    session: Session,
    code: CodeOptions,
    wanted: Wanted,
    surroundings: ExecutionOptions,
    limits: PolicyOptions,
) -> None:
    """Make a draft from a script. It lies here or in a repository; `dray run` also queues it."""
    task = new_task.create(session, code, wanted, limits, surroundings)
    session.out.answer(task, task.id)


@verb(app, "list")
def list_(
    session: Session,
    project: options.Project = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="Part of the name.")
    ] = None,
    state: States = None,
    type_: options.Type = None,
    tag: options.Tags = None,
    queue: Annotated[
        str | None, typer.Option("--queue", "-q", metavar="QUEUE", help="In this queue.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="OWNER", help="Created by.")
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="WORDS", help="Words to look for.")
    ] = None,
    order: Annotated[
        str, typer.Option("--order", metavar="MEMBER", help="Member; - for last first.")
    ] = "-created_at",
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")
    ] = 20,
    all_: Annotated[bool, typer.Option("--all", help="Every one, however many.")] = False,
) -> None:
    """List tasks, newest first."""
    query: dict[str, Any] = {
        "project": project or "",
        "name": name or "",
        "state": state or (),
        "type": [type_] if type_ else (),
        "tag": tag or (),
        "queue": queue or "",
        "owner": owner or "",
        "search": search or "",
        "order": order,
    }
    if all_:
        session.out.table(session.client.iter_tasks(**query), _columns(), empty="No tasks.")
        return
    page = session.client.list_tasks(**query, limit=limit)
    session.out.table(page.items, _columns(), empty="No tasks.")
    if page.next_cursor is not None:
        session.out.note(f"There are more than {limit}; --all lists them.")


@verb(app, "show")
def show(session: Session, task_id: options.TaskId) -> None:
    """Show a task. State and cause, why it waits, budgets, every attempt, parameters, metrics."""
    from dray.runtime.codec import to_json
    from dray.runtime.states import Phase, State
    from dray.sdk.cli.task_facts import facts_of

    task = session.client.get_task(task_id)
    asks = task.state is State.PENDING or task.phase is Phase.UNREACHABLE
    why = session.client.why(task.id).reason if asks else ""
    page = f"{session.client.url}/#/tasks/{task.id}"
    attempts = session.client.attempts(task.id) if task.epoch > 1 else []
    shown = {**to_json(task), "why": why, "attempts": to_json(attempts)}
    session.out.facts(shown, facts_of(task, why, page, attempts))


@verb(app, "edit")
def edit(
    session: Session,
    task_id: options.TaskId,
    surroundings: ExecutionOptions,
    limits: PolicyOptions,
    name: options.Name = None,
    project: options.Project = None,
    comment: options.Comment = None,
    tag: options.Tags = None,
    property_: Annotated[
        list[str] | None,
        typer.Option("--property", metavar="NAME=VALUE", help="User property; several times."),
    ] = None,
    type_: options.Type = None,
    args: options.Args = None,
    priority: options.Priority = None,
    repo: options.Repository = None,
    branch: options.Branch = None,
    commit: options.Commit = None,
    working_dir: options.WorkingDir = None,
    script: Annotated[
        str | None, typer.Option("--script", metavar="SCRIPT", help="Script to run.")
    ] = None,
    package: options.Packages = None,
    python: options.Python = None,
    cpus: options.Cpus = None,
    gpus: options.Gpus = None,
    memory_gib: options.MemoryGib = None,
) -> None:
    """Edit a draft. Name, project, comment, tags and properties can be edited in any state."""
    from dray.runtime.codec import to_json
    from dray.runtime.models import TaskType

    changes: dict[str, Any] = {
        "name": name,
        "project": project,
        "comment": comment,
        "tags": tag,
        "properties": options.pairs(property_, "--property") or None,
        "type": options.one_of(TaskType, type_, "--type") if type_ else None,
        "parameters": options.parameters(args) or None,
        "priority": priority,
    }
    execution: dict[str, Any] = {
        "repository": repo,
        "branch": branch,
        "commit": commit,
        "working_dir": working_dir,
        "entry_point": script,
        "packages": package,
        "python_version": python,
    }
    if limits.given:
        changes["policy"] = limits.applied(session.client.get_task(task_id).policy)
    if any(amount is not None for amount in (cpus, gpus, memory_gib)):
        held = session.client.get_task(task_id).execution.resources
        execution["resources"] = options.resources(held, cpus, gpus, memory_gib)
    execution = {k: v for k, v in execution.items() if v is not None} | surroundings.given()
    if "container" in execution:
        held_in = to_json(session.client.get_task(task_id).execution.container)
        execution["container"] = {**held_in, **execution["container"]}
    changes["execution"] = execution or None
    changes = {member: value for member, value in changes.items() if value is not None}
    if not changes:
        raise typer.BadParameter("nothing to change: give at least one option")
    task = session.client.edit_task(task_id, **changes)
    session.out.answer(task, task.id)


@verb(app, "clone")
def clone(
    session: Session,
    task_id: options.TaskId,
    limits: PolicyOptions,
    name: options.Name = None,
    project: options.Project = None,
    comment: options.Comment = None,
    tag: options.Tags = None,
    args: options.Args = None,
    queue: Annotated[
        str | None,
        typer.Option("--queue", "-q", metavar="QUEUE", help="Put the clone in this queue."),
    ] = None,
    packages: Annotated[
        str | None,
        typer.Option(
            "--packages",
            metavar="WORD",
            help="requested; or resolved: exactly what an agent installed for the task.",
        ),
    ] = None,
) -> None:
    """Copy a task into a new draft. Code, parameters and settings; --args changes some."""
    policy = limits.applied(session.client.get_task(task_id).policy) if limits.given else None
    changes: dict[str, Any] = {
        "name": name,
        "project": project,
        "comment": comment,
        "tags": tag,
        "packages": packages,
    }
    parameters = options.parameters(args)
    if queue is not None:
        task_moves.check_queue(session, queue)
    task = session.client.clone_task(task_id, **{k: v for k, v in changes.items() if v is not None})
    edits: dict[str, Any] = {"parameters": parameters or None, "policy": policy}
    edits = {member: value for member, value in edits.items() if value is not None}
    if edits:
        task = session.client.edit_task(task.id, **edits)
    if queue is not None:
        task = task_moves.put_in_queue(session, task.id, queue, None)
    session.out.answer(task, task.id)


@verb(app, "delete")
def delete(session: Session, task_ids: options.TaskIds, force: options.Force = False) -> None:
    """Delete tasks with their results. A running one only with --force."""
    for task_id in task_ids:
        session.client.delete_task(task_id, force=force)
        session.out.answer({"deleted": task_id}, f"{task_id} deleted")


def _columns() -> list[Column[Task]]:
    return [
        Column("TASK", lambda t: t.id, lambda t: words.short_id(t.id)),
        Column("STATE", _state),
        Column("PROJECT", lambda t: t.project),
        Column("NAME", lambda t: t.name),
        Column("QUEUE", lambda t: t.queue),
        Column("CREATED", lambda t: words.moment(t.created_at), lambda t: words.ago(t.created_at)),
        Column("CAUSE", lambda t: t.cause.message if t.cause else ""),
    ]


def _state(task: Task) -> str:
    return f"{task.state} {task.phase}" if task.phase else str(task.state)
