"""``dray demo``: the main job end to end on this machine, from two lines in a script."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dray.runtime.errors import DrayError
from dray.runtime.records import CONSOLE_STREAMS
from dray.sdk.cli import cluster, words
from dray.sdk.cli.demo_code import EDITS, MARK, NEW_FILE, DemoCode, environment_variables, make
from dray.sdk.cli.follow import follow
from dray.sdk.cli.output import Column, Output
from dray.sdk.cli.session import Session, verb, verbs
from dray.sdk.cli.task_facts import receipt_words, seconds_to_first_line

if TYPE_CHECKING:
    from dray.runtime.models import Metric, Task
    from dray.sdk.client import Client

app = verbs()

PROJECT = "Examples/Digits"
#: The argument the clone changes, and its new value.
CHANGED, CHANGED_VALUE = "Args/epochs", "12"
#: A run's code is captured beside it, so the server may hear of its commit after it has ended.
RECORDED_WITHIN_S, POLL_S = 60.0, 0.1


@dataclass(frozen=True)
class Run:
    """One of the demo's three runs and how it went."""

    title: str
    task: Task


@verb(app, "demo")
def demo(
    session: Session,
    queue: Annotated[
        str, typer.Option("--queue", "-q", metavar="QUEUE", help="Queue to use.")
    ] = "default",
) -> None:
    """Run the main job end to end here. A script runs locally, on the cluster, and as a clone."""
    aside = Session(Output(consoles_aside=True), session.flags)
    info = cluster.start(aside)
    with tempfile.TemporaryDirectory(prefix="dray-demo-") as folder:
        aside.out.note("\n1. A repository with the digits example, committed, then edited:")
        code = make(Path(folder))
        aside.out.note(f"   {len(EDITS)} lines of train.py changed, {NEW_FILE} new and untracked")
        runs = run_all(aside, code, queue)
    session.out.table(runs, _columns())
    failures = [sentence for sentence, holds in checks(session.client, runs).items() if not holds]
    _say_receipts(aside, runs)
    for sentence in failures:
        aside.out.note(f"NOT SO: {sentence}")
    aside.out.note(f"\nLook at them: {info.page}\nThe cluster goes on; stop it with: dray down")
    if failures:
        raise typer.Exit(1)


def run_all(session: Session, code: DemoCode, queue: str) -> list[Run]:
    """Run the script here, move it to ``queue``, clone that with another argument."""
    client, note = session.client, session.out.note
    seen: set[str] = set()

    def started(*arguments: str) -> Task:
        task = _start(client, code, seen, arguments)
        seen.add(task.id)
        return task

    note("\n2. It runs here, recorded:   $ python train.py")
    local = client.wait(started().id)
    note(f"\n3. The same run, moved:      $ python train.py --queue {queue}")
    remote = follow(session, started("--queue", queue))
    name, value = CHANGED, CHANGED_VALUE
    note(f"\n4. A clone of it:            $ dray task clone {remote.id[:8]} --args epochs={value}")
    clone = client.clone_task(remote.id, name=f"train digits, {value} epochs")
    client.edit_task(clone.id, parameters={name: {"value": value}})
    clone = follow(session, client.enqueue(clone.id, queue).task)
    ended = {"here": local, "moved": remote, "clone": clone}
    return [Run(title, client.get_task(task.id)) for title, task in ended.items()]


def _start(client: Client, code: DemoCode, seen: set[str], arguments: tuple[str, ...]) -> Task:
    """Run the script as its user would, and find the task it became."""
    command = [str(code.python), "train.py", *arguments]
    done = subprocess.run(
        command, check=False, cwd=code.root, stdout=2, env=environment_variables(client)
    )
    if done.returncode != 0:
        raise DrayError(f"{' '.join(command)} ended with code {done.returncode}")
    deadline = time.monotonic() + RECORDED_WITHIN_S
    while time.monotonic() < deadline:
        for task in client.list_tasks(project=PROJECT, limit=10).items:
            if task.execution.commit == code.commit and task.id not in seen:
                return client.get_task(task.id)
        time.sleep(POLL_S)
    raise DrayError(f"{' '.join(command)} ended, and no task of it is in project {PROJECT}")


def checks(client: Client, runs: list[Run]) -> dict[str, bool]:
    """What must hold after the demo, sentence by sentence."""
    from dray.runtime.states import State

    here, moved, clone = (run.task for run in runs)
    found: dict[str, Callable[[], bool]] = {
        "all three runs completed": lambda: all(r.task.state is State.COMPLETED for r in runs),
        "uncommitted and untracked code ran on the cluster": lambda: (
            MARK in b"".join(client.console_raw(moved.id)).decode("utf-8", "replace")
        ),
        "the same code and arguments gave the same accuracy there": lambda: (
            here.single_values.get("accuracy") == moved.single_values.get("accuracy")
        ),
        f"the clone ran {CHANGED_VALUE} epochs, as its changed argument says": lambda: (
            _accuracy(clone) is not None and _epochs(clone) == int(CHANGED_VALUE)
        ),
        "every console is stored byte for byte": lambda: all(_is_exact(r.task) for r in runs),
    }
    return {sentence: holds() for sentence, holds in found.items()}


def _accuracy(task: Task) -> Metric | None:
    return task.metrics.get("accuracy", {}).get("test")


def _epochs(task: Task) -> int | None:
    metric = _accuracy(task)
    return None if metric is None else metric.n_points


def _is_exact(task: Task) -> bool:
    receipt = task.attempt.receipt if task.attempt else {}
    return bool(receipt) and all(stream.exact for stream in receipt.values())


def _arguments(task: Task) -> str:
    shown = ("Args/epochs", "Args/lr")
    return " ".join(
        f"{name.removeprefix('Args/')}={task.parameters[name].value}"
        for name in shown
        if name in task.parameters
    )


def _environment(task: Task) -> str:
    report = task.attempt.environment if task.attempt else None
    if report is None:
        return "its own"
    return f"{'reused' if report.reused else 'built'} in {words.duration(report.seconds)}"


def _columns() -> list[Column[Run]]:
    return [
        Column("RUN", lambda r: r.title),
        Column("TASK", lambda r: r.task.id, lambda r: words.short_id(r.task.id)),
        Column("STATE", lambda r: str(r.task.state)),
        Column("CAUSE", lambda r: r.task.cause.message if r.task.cause else ""),
        Column("ARGUMENTS", lambda r: _arguments(r.task)),
        Column("EPOCHS", lambda r: str(_epochs(r.task) or "")),
        Column("ACCURACY", lambda r: words.value(r.task.single_values.get("accuracy", 0.0))),
        Column("ENVIRONMENT", lambda r: _environment(r.task)),
        Column("FIRST LINE", lambda r: words.duration(seconds_to_first_line(r.task))),
    ]


def _say_receipts(session: Session, runs: list[Run]) -> None:
    session.out.note("\nConsoles:")
    for run in runs:
        receipt = run.task.attempt.receipt if run.task.attempt else {}
        for stream in CONSOLE_STREAMS:
            if stream in receipt:
                session.out.note(f"  {run.title:6} {stream:8} {receipt_words(receipt[stream])}")
