"""A policy as its user changes it: a few members, durations as people write them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Union

from dray.runtime import durations
from dray.runtime.errors import InvalidInput
from dray.runtime.models import OnLost, Policy

#: A number of seconds, or a text such as ``2h30m``.
Duration = Union[str, float, timedelta]  # noqa: UP007  (3.10 evaluates it)

#: Said of a limit, it takes the limit away.
NO_LIMIT = "none"


@dataclass(frozen=True)
class PolicyChanges:
    """What to change of a policy; None: as it was. See ``models.Policy`` for what each means.

    Attributes:
        max_run_time: ``"none"`` for no limit.
        stop_grace: ``"none"`` for the cluster's.
    """

    retries: int | None = None
    retry_delay: Duration | None = None
    max_run_time: Duration | None = None
    on_lost: str | None = None
    max_requeues: int | None = None
    quarantine_after: int | None = None
    stop_grace: Duration | None = None

    def applied(self, policy: Policy, *, as_options: bool = False) -> Policy:
        """``policy`` with these changes.

        Args:
            policy: as it was.
            as_options: name members in errors as the command line does.

        Raises:
            InvalidInput: a value that cannot be used; names it and what would do.
        """

        def named(member: str) -> str:
            return f"--{member.replace('_', '-')}" if as_options else member

        changes: dict[str, Any] = {}
        for member in ("retries", "max_requeues", "quarantine_after"):
            if (number := getattr(self, member)) is not None:
                changes[member] = _count(number, named(member))
        if self.retry_delay is not None:
            changes["retry_delay_s"] = durations.seconds(self.retry_delay, named("retry_delay"))
        if self.max_run_time is not None:
            changes["max_run_time_s"] = _limit(self.max_run_time, named("max_run_time"))
            if changes["max_run_time_s"] == 0:
                field = named("max_run_time")
                raise InvalidInput(
                    f"{field} {self.max_run_time!r} leaves no time to run: write 90s, 2h30m or 1d, "
                    f"or {NO_LIMIT!r} for no limit",
                    field=field,
                    value=str(self.max_run_time),
                )
        if self.stop_grace is not None:
            changes["stop_grace_s"] = _limit(self.stop_grace, named("stop_grace"))
        if self.on_lost is not None:
            changes["on_lost"] = _on_lost(self.on_lost, named("on_lost"))
        return replace(policy, **changes)


def _limit(given: Duration, field: str) -> float | None:
    is_none = isinstance(given, str) and given.strip().lower() == NO_LIMIT
    return None if is_none else durations.seconds(given, field)


def _count(number: int, field: str) -> int:
    is_whole = isinstance(number, int) and not isinstance(number, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not is_whole or number < 0:
        raise InvalidInput(
            f"{field} {number!r}: give a whole number of 0 or more", field=field, value=number
        )
    return number


def _on_lost(text: str, field: str) -> OnLost:
    try:
        return OnLost(str(text).strip().lower())
    except ValueError as exc:
        raise InvalidInput(
            f"{field} {text!r} is none of {', '.join(map(str, OnLost))}", field=field, value=text
        ) from exc
