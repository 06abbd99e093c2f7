"""``dray run``: run a script as it is, on the cluster or recorded on this machine."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dray.runtime.errors import InvalidInput, NotFound
from dray.sdk.cli import options
from dray.sdk.cli.execution_options import ExecutionOptions
from dray.sdk.cli.follow import follow as follow_console
from dray.sdk.cli.follow import report_end
from dray.sdk.cli.new_task import Wanted, create
from dray.sdk.cli.policy_options import PolicyOptions
from dray.sdk.cli.session import Session, verb, verbs
from dray.sdk.cli.task_moves import check_queue, put_in_queue

app = verbs()


@verb(app, "run")
def run(
    session: Session,
    wanted: Wanted,
    surroundings: ExecutionOptions,
    limits: PolicyOptions,
    queue: Annotated[
        str | None, typer.Option("--queue", "-q", metavar="QUEUE", help="Queue to put it in.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Run it here, recorded.")] = False,
    priority: options.Priority = None,
    follow: options.Follow = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the task has ended.")] = False,
) -> None:
    """Run a script as it is. What follows -- goes to the script, which need not know of Dray."""
    if local == (queue is not None):
        raise InvalidInput("say where to run it: --queue QUEUE, or --local", field="--queue")
    if local:
        _refuse_for_local(wanted, surroundings, limits)
        raise typer.Exit(_run_here(wanted))
    check_queue(session, queue or "")
    draft = create(session, wanted, limits, surroundings)
    task = put_in_queue(session, draft.id, queue or "", priority)
    session.out.answer(task, task.id)
    if follow:
        report_end(session, follow_console(session, task))
    elif wait:
        report_end(session, session.client.wait(task.id))


def _refuse_for_local(
    wanted: Wanted, surroundings: ExecutionOptions, limits: PolicyOptions
) -> None:
    for option in limits.given:
        raise InvalidInput(
            f"{option} is for a task in a queue; a run started here is not run again by itself. "
            "Give --queue instead of --local",
            field=option,
        )
    kept = ("script", "arguments", "project", "name")
    for name, value in {**asdict(wanted), **asdict(surroundings)}.items():
        if name not in kept and value is not None:
            option = f"--{name.replace('_', '-')}"
            raise InvalidInput(
                f"{option} is for a run on the cluster; with --local the script runs as it is, "
                "here, with the arguments after --",
                field=option,
            )


def _run_here(wanted: Wanted) -> int:
    """Run the script under the recorder; its exit code, or 128 + the signal that ended it."""
    if not Path(wanted.script).is_file():
        raise NotFound(f"no script {wanted.script} in {Path.cwd()}", path=wanted.script)
    command = [sys.executable, "-m", "dray.sdk.bootstrap"]
    for option, value in (("--project", wanted.project), ("--name", wanted.name)):
        command += [option, value] if value is not None else []
    command += [wanted.script, *(wanted.arguments or ())]
    with subprocess.Popen(command) as process:
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt:  # the script got it too; it decides when to end
                continue
            return code if code >= 0 else 128 - code
