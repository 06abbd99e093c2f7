"""Scalars and plots of a model: reported by a run, kept with the model.

Part of the child's path: the standard library only, no network.
"""

from __future__ import annotations

from dray.runtime.errors import UsageError
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.plots import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
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


class ModelReports:
    """Reports that belong to a model rather than to the task that makes them."""

    @property
    def id(self) -> str:
        """Of the model."""
        raise NotImplementedError

    def report_scalar(self, title: str, series: str, value: float, iteration: int) -> None:
        """Add a point to ``series`` of the model's chart ``title``."""
        self._logger().report_scalar(title, series, value, iteration)

    def report_single_value(self, name: str, value: float) -> None:
        """Set a number of the model's summary; the last one stays."""
        self._logger().report_single_value(name, value)

    def report_histogram(
        self,
        title: str,
        series: str,
        values: Sequence[float],
        iteration: int | None = None,
        labels: list[str] | None = None,
        xlabels: list[str] | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        mode: str | None = None,
        data_args: dict[str, Any] | None = None,
        extra_layout: dict[str, Any] | None = None,
    ) -> None:
        """Show bars of the given heights; arguments as :meth:`Logger.report_histogram`."""
        self._logger().report_histogram(
            title=title,
            series=series,
            values=values,
            iteration=iteration,
            labels=labels,
            xlabels=xlabels,
            xaxis=xaxis,
            yaxis=yaxis,
            mode=mode,
            data_args=data_args,
            extra_layout=extra_layout,
        )

    def report_vector(
        self,
        title: str,
        series: str,
        values: Sequence[float],
        iteration: int | None = None,
        labels: list[str] | None = None,
        xlabels: list[str] | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        mode: str | None = None,
        extra_layout: dict[str, Any] | None = None,
    ) -> None:
        """The same as :meth:`report_histogram`."""
        self._logger().report_vector(
            title=title,
            series=series,
            values=values,
            iteration=iteration,
            labels=labels,
            xlabels=xlabels,
            xaxis=xaxis,
            yaxis=yaxis,
            mode=mode,
            extra_layout=extra_layout,
        )

    def report_table(
        self,
        title: str,
        series: str,
        iteration: int | None = None,
        table_plot: Any = None,
        csv: str | None = None,
        url: str | None = None,
        extra_layout: dict[str, Any] | None = None,
    ) -> None:
        """Show a table: rows, a ``DataFrame``, or a csv file; as :meth:`Logger.report_table`."""
        self._logger().report_table(
            title=title,
            series=series,
            iteration=iteration,
            table_plot=table_plot,
            csv=csv,
            url=url,
            extra_layout=extra_layout,
        )

    def report_line_plot(
        self,
        title: str,
        series: Sequence[Any],
        xaxis: str,
        yaxis: str,
        mode: str = "lines",
        iteration: int | None = None,
        reverse_xaxis: bool = False,
        comment: str | None = None,
        extra_layout: dict[str, Any] | None = None,
    ) -> None:
        """Show lines, each a ``SeriesInfo`` or a dict of ``name`` and ``data``."""
        self._logger().report_line_plot(
            title=title,
            series=series,
            xaxis=xaxis,
            yaxis=yaxis,
            mode=mode,
            iteration=iteration,
            reverse_xaxis=reverse_xaxis,
            comment=comment,
            extra_layout=extra_layout,
        )

    def report_scatter2d(
        self,
        title: str,
        series: str,
        scatter: Any,
        iteration: int | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        labels: list[str] | None = None,
        mode: str = "line",
        comment: str | None = None,
        extra_layout: dict[str, Any] | None = None,
    ) -> None:
        """Show points in a plane; arguments as :meth:`Logger.report_scatter2d`."""
        self._logger().report_scatter2d(
            title=title,
            series=series,
            scatter=scatter,
            iteration=iteration,
            xaxis=xaxis,
            yaxis=yaxis,
            labels=labels,
            mode="lines" if mode == "line" else mode,
            comment=comment,
            extra_layout=extra_layout,
        )

    def report_scatter3d(
        self,
        title: str,
        series: str,
        scatter: Any,
        iteration: int | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        zaxis: str | None = None,
        labels: list[str] | None = None,
        mode: str = "markers",
        fill: bool = False,
        comment: str | None = None,
        extra_layout: dict[str, Any] | None = None,
    ) -> None:
        """Show points in space; arguments as :meth:`Logger.report_scatter3d`."""
        self._logger().report_scatter3d(
            title=title,
            series=series,
            scatter=scatter,
            iteration=iteration,
            xaxis=xaxis,
            yaxis=yaxis,
            zaxis=zaxis,
            labels=labels,
            mode=mode,
            fill=fill,
            comment=comment,
            extra_layout=extra_layout,
        )

    def report_confusion_matrix(
        self,
        title: str,
        series: str,
        matrix: Any,
        iteration: int | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        xlabels: list[str] | None = None,
        ylabels: list[str] | None = None,
        yaxis_reversed: bool = False,
        comment: str | None = None,
        extra_layout: dict[str, Any] | None = None,
    ) -> None:
        """Show a matrix as a heat map; arguments as :meth:`Logger.report_confusion_matrix`."""
        self._logger().report_confusion_matrix(
            title=title,
            series=series,
            matrix=matrix,
            iteration=iteration,
            xaxis=xaxis,
            yaxis=yaxis,
            xlabels=xlabels,
            ylabels=ylabels,
            yaxis_reversed=yaxis_reversed,
            comment=comment,
            extra_layout=extra_layout,
        )

    def report_matrix(
        self,
        title: str,
        series: str,
        matrix: Any,
        iteration: int | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        xlabels: list[str] | None = None,
        ylabels: list[str] | None = None,
        yaxis_reversed: bool = False,
        extra_layout: dict[str, Any] | None = None,
    ) -> None:
        """The same as :meth:`report_confusion_matrix`, without a comment."""
        self.report_confusion_matrix(
            title,
            series,
            matrix,
            iteration,
            xaxis,
            yaxis,
            xlabels,
            ylabels,
            yaxis_reversed,
            extra_layout=extra_layout,
        )

    def report_surface(
        self,
        title: str,
        series: str,
        matrix: Any,
        iteration: int | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        zaxis: str | None = None,
        xlabels: list[str] | None = None,
        ylabels: list[str] | None = None,
        camera: Sequence[float] | None = None,
        comment: str | None = None,
        extra_layout: dict[str, Any] | None = None,
    ) -> None:
        """Show a matrix as a surface; arguments as :meth:`Logger.report_surface`."""
        self._logger().report_surface(
            title=title,
            series=series,
            matrix=matrix,
            iteration=iteration,
            xaxis=xaxis,
            yaxis=yaxis,
            zaxis=zaxis,
            xlabels=xlabels,
            ylabels=ylabels,
            camera=camera,
            comment=comment,
            extra_layout=extra_layout,
        )

    def _logger(self) -> Logger:
        from dray.sdk.logger import Logger

        attempt = session.current()
        if attempt is None:
            raise UsageError(
                "reports of a model travel with a run: call Task.init before reporting",
                field="task",
            )
        return Logger(cast("Session", _ModelSession(attempt, self.id)))
