"""What the hooks of gradient boosting share: a callback more, and scalars of evaluated metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from dray.sdk.hooks.capture import Arguments
from dray.sdk.hooks.watch import tell_once
from dray.sdk.session import Session


class Trainings:
    """Metrics of the trainings of one run: a second one gets a number to its titles."""

    def __init__(self, attempt: Session) -> None:
        self._attempt = attempt
        self._n_begun = 0

    def begin(self) -> Training:
        """The next training."""
        number, self._n_begun = self._n_begun, self._n_begun + 1
        return Training(self._attempt, f" - {number}" if number else "")


class Training:
    """Metrics of one training, as scalars; one that cannot be recorded never stops it."""

    def __init__(self, attempt: Session, suffix: str) -> None:
        self._attempt = attempt
        self._suffix = suffix

    def report(self, data: Any, metric: Any, value: Any, iteration: int) -> None:
        """Record one value of ``metric`` on the data set ``data``."""
        try:
            step = iteration + self._attempt.initial_iteration
            self._attempt.writer.scalar(f"{data}{self._suffix}", str(metric), step, value)
        except Exception as exc:
            tell_once(f"metric {data}", f"metric {data}/{metric} was not recorded: {exc}")

    def report_last(self, log: Mapping[Any, Mapping[Any, Any]] | None, iteration: int) -> None:
        """Record the last value of each metric of ``{data set: {metric: values}}``."""
        for data, metrics in (log or {}).items():
            for metric, values in metrics.items():
                if values:
                    self.report(data, metric, values[-1], iteration)


def with_callback(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], callback: Any
) -> Arguments | None:
    """The arguments of a call with one more in ``callbacks``; the caller's list stays as it is.

    None of a call that does not fit the function: that is the function's own to say.
    """
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return None
    bound.arguments["callbacks"] = [*(bound.arguments.get("callbacks") or ()), callback]
    return bound.args, bound.kwargs
