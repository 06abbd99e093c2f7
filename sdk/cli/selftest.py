"""``dray selftest``: breaks a cluster of its own and says which promises held."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from dray.runtime import durations
from dray.runtime.errors import InvalidInput
from dray.sdk.cli.session import Session, verb, verbs

app = verbs()

#: Shorter runs end before a lease can run out.
SHORTEST_S = 5.0


@verb(app, "selftest")
def selftest(
    session: Session,
    chaos: Annotated[
        str, typer.Option("--chaos", metavar="DURATION", help="How long faults happen.")
    ] = "2m",
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Deal the same faults and tasks.")
    ] = None,
    tasks: Annotated[
        int | None, typer.Option("--tasks", metavar="N", min=1, help="How many tasks to run.")
    ] = None,
    agents: Annotated[
        int, typer.Option("--agents", metavar="N", min=1, help="Slots of the private cluster.")
    ] = 8,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder with logs, store and side log.")
    ] = False,
) -> None:
    """Break a private cluster on purpose. Kills and stops its parts, judges the promises."""
    duration_s = durations.seconds(chaos, "--chaos")
    if duration_s < SHORTEST_S:
        raise InvalidInput(
            f"--chaos {chaos} is too short for a lease to run out; give {SHORTEST_S:g}s or more",
            field="chaos",
            value=chaos,
        )
    if find_spec("ray") is None:
        raise InvalidInput("this needs Ray: run pip install 'dray[cluster]'", field="command")
    from dray.selftest import chaos as runner
    from dray.selftest import report

    chosen = runner.new_seed() if seed is None else seed
    options = runner.Options(duration_s, chosen, tasks, agents, keep)
    found = runner.run(options, session.out.note)
    session.out.answer(found, report.text(found))
    if not found.is_clean:
        session.out.note(f"dray: run it again with: dray selftest --chaos {chaos} --seed {chosen}")
        raise typer.Exit(1)
