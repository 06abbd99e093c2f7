"""``dray run``: run a script as it is, on the cluster or recorded on this machine."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

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
from dray.sdk.cli.wanted_code import CodeOptions, show_files

app = verbs()


@verb(app, "run")
def run(
    session: Session,
    code: CodeOptions,
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files that would be sent, and send none.")
    ] = False,
) -> None:
    """Run a script as it is. What follows -- goes to the script, which need not know of Dray."""
    if dry_run:
        show_files(session, code)
        return
    if local == (queue is not None):
        raise InvalidInput("say where to run it: --queue QUEUE, or --local", field="--queue")
    if local:
        code.check()
        _refuse_for_local({**asdict(code), **asdict(wanted), **asdict(surroundings)}, limits)
        raise typer.Exit(_run_here(code, wanted))
    check_queue(session, queue or "")
    draft = create(session, code, wanted, limits, surroundings)
    task = put_in_queue(session, draft.id, queue or "", priority)
    session.out.answer(task, task.id)
    if follow:
        report_end(session, follow_console(session, task))
    elif wait:
        report_end(session, session.client.wait(task.id))


def _refuse_for_local(given: dict[str, Any], limits: PolicyOptions) -> None:
    for option in limits.given:
        raise InvalidInput(
            f"{option} is for a task in a queue; a run started here is not run again by itself. "
            "Give --queue instead of --local",
            field=option,
        )
    kept = ("script", "arguments", "module", "binary", "project", "name")
    for name, value in given.items():
        if name not in kept and value is not None:
            option = f"--{name.replace('_', '-')}"
            raise InvalidInput(
                f"{option} is for a run on the cluster; with --local the script runs as it is, "
                "here, with the arguments after --",
                field=option,
            )


def _run_here(code: CodeOptions, wanted: Wanted) -> int:
    """Run the script under the recorder; its exit code, or 128 + the signal that ended it."""
    if not code.module and not Path(str(code.script)).is_file():
        raise NotFound(f"no script {code.script} in {Path.cwd()}", path=code.script)
    command = [sys.executable, "-m", "dray.sdk.bootstrap"]
    given = (("project", wanted.project), ("name", wanted.name), ("binary", code.binary))
    for option, value in given:
        command += [f"--{option}", value] if value is not None else []
    command += ["-m", code.module] if code.module else [str(code.script)]
    command += code.words
    with subprocess.Popen(command) as process:
        while True:
            try:
                ended = process.wait()
            except KeyboardInterrupt:  # the script got it too; it decides when to end
                continue
            return ended if ended >= 0 else 128 - ended
