"""Options about what may be done with a task when things go wrong, shared by several commands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dray.runtime.models import Policy

Retries = Annotated[
    int | None,
    typer.Option("--retries", metavar="N", help="Try its own failure again so often."),
]
RetryDelay = Annotated[
    str | None,
    typer.Option(
        "--retry-delay", metavar="TIME", help="Before the first retry: 10s; then twice as long."
    ),
]
MaxRunTime = Annotated[
    str | None,
    typer.Option(
        "--max-run-time", metavar="TIME", help="End an attempt after this: 90s, 2h30m, 1d; none."
    ),
]
OnLost = Annotated[
    str | None,
    typer.Option(
        "--on-lost", metavar="WHAT", help="When its worker is lost: requeue, or wait for it."
    ),
]
MaxRequeues = Annotated[
    int | None,
    typer.Option("--max-requeues", metavar="N", help="Lost workers may send it back so often."),
]
QuarantineAfter = Annotated[
    int | None,
    typer.Option(
        "--quarantine-after", metavar="N", help="Fail for good once N agents died; 0 never."
    ),
]
StopGrace = Annotated[
    str | None,
    typer.Option("--stop-grace", metavar="TIME", help="Between the signals that stop it."),
]


@dataclass(frozen=True)
class PolicyOptions:
    """What the command line says about a task's policy; None means not said."""

    retries: Retries = None
    retry_delay: RetryDelay = None
    max_run_time: MaxRunTime = None
    on_lost: OnLost = None
    max_requeues: MaxRequeues = None
    quarantine_after: QuarantineAfter = None
    stop_grace: StopGrace = None

    @property
    def given(self) -> list[str]:
        """The options that were given, by name."""
        said = asdict(self)
        return [f"--{name.replace('_', '-')}" for name in said if said[name] is not None]

    def applied(self, policy: Policy) -> Policy:
        """``policy`` with what was said.

        Raises:
            InvalidInput: a value that cannot be used; names the option and what would do.
        """
        from dray.runtime.policy_changes import PolicyChanges

        return PolicyChanges(**asdict(self)).applied(policy, as_options=True)
