"""Scalars and plots of a model: reported by a run, kept with the model.

Part of the child's path: the standard library only, no network.
"""

from __future__ import annotations

from dray.runtime.errors import UsageError
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.plots import plain
from dray.sdk.reporting.logger_plots import PlotReports

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.logger import Logger
    from dray.sdk.session import Session

#: Kinds of records that can be a model's as well as a task's.
_OF_MODELS = frozenset({"scalar", "single", "plot"})


class _ModelSession:
    """A run as a logger sees it, whose reports are of a model."""

    def __init__(self, attempt: Session, model_id: str) -> None:
        self._attempt = attempt
        self._model_id = model_id
        self.task: dict[str, Any] = {}
        self.initial_iteration = 0
        self.writer = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._attempt, name)

    def scalar(self, title: str, series: str, iteration: int, value: float) -> None:
        """One point of the model.

        Raises:
            InvalidInput: iteration or value is no number.
        """
        step, point = plain.whole("iteration", iteration), plain.number("value", value)
        self.record("scalar", title=title, series=series, i=step, v=point)

    def record(self, kind: str, **members: Any) -> None:
        """Append one record; a report becomes the model's."""
        if kind in _OF_MODELS:
            report = {"k": kind, **members}
            self._attempt.record("of_model", id=self._model_id, report=report)
        else:
            self._attempt.record(kind, **members)


class ModelReports(PlotReports):
    """Reports that belong to a model rather than to the task that makes them.

    Plots take what ``Logger`` takes. They travel with a run, so one has to run here.
    """

    @property
    def id(self) -> str:
        """Of the model."""
        raise NotImplementedError

    @property
    def _attempt(self) -> Session:  # pyright: ignore[reportIncompatibleVariableOverride]
        attempt = session.current()
        if attempt is None:
            raise UsageError(
                "reports of a model travel with a run: call Task.init before reporting",
                field="task",
            )
        return cast("Session", _ModelSession(attempt, self.id))

    def report_scalar(self, title: str, series: str, value: float, iteration: int) -> None:
        """Add a point to ``series`` of the model's chart ``title``."""
        self._logger().report_scalar(title, series, value, iteration)

    def report_single_value(self, name: str, value: float) -> None:
        """Set a number of the model's summary; the last one stays."""
        self._logger().report_single_value(name, value)

    def _logger(self) -> Logger:
        from dray.sdk.logger import Logger

        return Logger(self._attempt)
