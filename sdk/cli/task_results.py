"""``dray task``: what a task has left behind: console, scalars, and how two tasks differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dray.sdk.cli import options, words
from dray.sdk.cli.follow import follow as follow_console
from dray.sdk.cli.follow import has_failed, print_console, report_end
from dray.sdk.cli.output import Column
from dray.sdk.cli.session import Session, verb, verbs
from dray.sdk.cli.task_facts import receipt_words

if TYPE_CHECKING:
    from dray.runtime.models import Task
    from dray.sdk.cli.task_diff import Difference

app = verbs()

#: Points of a series on a terminal, where a thousand lines help nobody.
_POINTS_ON_TERMINAL = 20


@verb(app, "logs")
def logs(
    session: Session,
    task_id: options.TaskId,
    follow: options.Follow = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="With the log of preparing the environment.")
    ] = False,
    stream: Annotated[
        str | None,
        typer.Option(
            "--stream", metavar="STREAM", help="One stream of the last attempt, byte for byte."
        ),
    ] = None,
    tail_bytes: Annotated[
        int | None,
        typer.Option("--tail-bytes", metavar="N", min=1, help="Only the last so many bytes."),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="As it was written: every carriage return, every cursor move."),
    ] = False,
) -> None:
    """Print a task's console as a terminal shows it. -f goes on until the task ends."""
    task = session.client.get_task(task_id)
    if stream is not None:
        _say_what_is_missing(session, task, stream)
        for block in session.client.console_raw(task.id, stream=stream):
            session.out.raw(block)
    elif follow:
        report_end(session, follow_console(session, task, prepare=prepare))
    else:
        print_console(session, task, prepare=prepare, tail_bytes=tail_bytes, raw=raw)
        if has_failed(task) and task.cause is not None:
            session.out.note(f"Task {task.id[:8]} {task.state}: {task.cause.message}")


def _say_what_is_missing(session: Session, task: Task, stream: str) -> None:
    receipt = task.attempt.receipt.get(stream) if task.attempt else None
    if receipt is not None and receipt.missing_bytes:
        session.out.note(f"{stream}: {receipt_words(receipt)}")


@verb(app, "scalars")
def scalars(
    session: Session,
    task_id: options.TaskId,
    title: Annotated[str, typer.Option("--title", metavar="TITLE", help="Only this title.")] = "",
    series: Annotated[
        str, typer.Option("--series", metavar="SERIES", help="Only this series.")
    ] = "",
    max_points: Annotated[
        int | None,
        typer.Option("--max-points", metavar="N", min=2, help="Thin each series to so many."),
    ] = None,
) -> None:
    """Print the points of a task's scalars."""
    limit = max_points or (_POINTS_ON_TERMINAL if session.out.on_terminal else 1000)
    found = session.client.scalars(task_id, title=title, series=series, max_points=limit)
    if session.out.as_json:
        session.out.json(found)
        return
    points = [
        (title, name, iteration, value)
        for title, by_name in found.items()
        for name, line in by_name.items()
        for iteration, value in zip(line.iterations, line.values, strict=True)
    ]
    columns: list[Column[tuple[str, str, int, float]]] = [
        Column("TITLE", lambda p: p[0]),
        Column("SERIES", lambda p: p[1]),
        Column("ITERATION", lambda p: str(p[2])),
        Column("VALUE", lambda p: repr(p[3]), lambda p: words.value(p[3])),
    ]
    session.out.table(points, columns, empty="No scalars.")


@verb(app, "diff")
def diff(
    session: Session,
    left: options.TaskId,
    right: options.TaskId,
    code: Annotated[
        bool, typer.Option("--code", help="Print the lines of the code that differ, too.")
    ] = False,
) -> None:
    """Show how two tasks differ. Code, environment, packages, parameters, results."""
    from dray.sdk.cli.code_diff import compare_code
    from dray.sdk.cli.task_diff import compare

    first, second = session.client.get_task(left), session.client.get_task(right)
    files = compare_code(
        first.execution, second.execution, session.client.read_blob, with_text=code
    )
    columns: list[Column[Difference]] = [
        Column("SECTION", lambda d: d.section),
        Column("NAME", lambda d: d.name),
        Column(words.short_id(first.id), lambda d: d.left if d.left is not None else "-"),
        Column(words.short_id(second.id), lambda d: d.right if d.right is not None else "-"),
    ]
    found = compare(first, second, files)
    session.out.table(found, columns, empty="They do not differ.")
    if not session.out.as_json:
        for each in files:
            session.out.lines(each.text)
