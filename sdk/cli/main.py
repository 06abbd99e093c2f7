"""The command line: its nouns and verbs, and how every command ends.

Exit codes: 0 done, 1 a task failed, 2 wrong usage or a refused request, 3 no server, 130 left
with Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from dray.runtime.errors import DrayError, ServerUnreachable
from dray.sdk.cli import (
    agents,
    backup,
    cluster,
    demo,
    doctor,
    envs,
    init,
    models,
    projects,
    queues,
    run_script,
    selftest,
    sync,
    tasks,
)
from dray.sdk.cli.session import group

USAGE, UNREACHABLE, INTERRUPTED = 2, 3, 130

app = group("Haul experiments from a laptop onto a Ray cluster.")
for nounless in (cluster, demo, doctor, init, run_script, selftest, sync):
    app.add_typer(nounless.app)
app.add_typer(tasks.app, name="task")
app.add_typer(queues.app, name="queue")
app.add_typer(agents.app, name="agent")
app.add_typer(models.app, name="model")
app.add_typer(envs.app, name="env")
app.add_typer(projects.app, name="project")
app.add_typer(backup.app, name="backup")


def _show_version(wanted: bool) -> None:
    if wanted:
        from dray import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Haul experiments from a laptop onto a Ray cluster."""
    del version


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: without the program's name; default: this process's.
    """
    try:
        app(args=None if arguments is None else list(arguments), prog_name="dray")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except DrayError as error:
        print(f"dray: {error.message}", file=sys.stderr)
        return UNREACHABLE if isinstance(error, ServerUnreachable) else USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def run() -> None:
    """What the ``dray`` program does."""
    sys.exit(main())
