"""The part of ``Logger`` that reports lines, points, matrices and surfaces.

Part of the child's path: the builders are imported by the first plot.
"""

from __future__ import annotations

from dray.sdk.light import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class SeriesInfo:
    """A line of ``report_line_plot``.

    Args:
        name: of the line.
        data: pairs of x and y.
        labels: of the points; as many as there are, or None.
    """

    def __init__(self, name: str, data: Any, labels: Sequence[Any] | None = None) -> None:
        from dray.sdk.plots.parts import columns_of, demand_one_each, names_of

        xs, _ = columns_of("data", data, 2)
        if labels is not None:
            demand_one_each("labels", names_of("labels", labels), len(xs), "points", False)
        self.name, self.data, self.labels = name, data, labels


class ShapeReports:
    """Numbers as shapes: along axes, over a plane, in space.

    In every call the same title, series and iteration replace each other, ``iteration=None`` is
    iteration 0, and a task that was continued counts on from its initial iteration. Numbers that
    are not finite are gaps. Arrays may be NumPy's, tensors, or lists and tuples.
    """

    SeriesInfo = SeriesInfo

    def report_line_plot(
        self,
        title: str,
        series: Sequence[SeriesInfo | Mapping[str, Any]],
        xaxis: str,
        yaxis: str,
        mode: str = "lines",
        iteration: int | None = None,
        reverse_xaxis: bool = False,
        comment: str | None = None,
        extra_layout: Mapping[str, Any] | None = None,
    ) -> None:
        """Show several lines in one plot.

        Args:
            title: of the plot.
            series: the lines, as ``Logger.SeriesInfo(name, data, labels)`` or dicts of those.
            xaxis: what x is.
            yaxis: what y is.
            mode: ``lines``, ``markers`` or ``lines+markers``.
            iteration: step it belongs to.
            reverse_xaxis: high numbers to the left.
            comment: shown below the title.
            extra_layout: more members of plotly's layout.

        Raises:
            TypeError: an argument of another type.
            ValueError: points that are no pairs, labels that are not one each.
        """
        from dray.sdk.plots import figures as plots

        lines = [line if isinstance(line, SeriesInfo) else SeriesInfo(**line) for line in series]
        figure = plots.lines(
            title,
            [(line.name, line.data, line.labels) for line in lines],
            xaxis=xaxis,
            yaxis=yaxis,
            mode=mode,
            reverse_xaxis=reverse_xaxis,
            comment=comment,
            extra_layout=extra_layout,
        )
        self._put(title, lines[0].name if lines else "", iteration, figure)

    def report_scatter2d(
        self,
        title: str,
        series: str,
        scatter: Any,
        iteration: int | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        labels: Sequence[str] | None = None,
        mode: str = "lines",
        comment: str | None = None,
        extra_layout: Mapping[str, Any] | None = None,
    ) -> None:
        """Show points in a plane, joined by lines unless ``mode`` says otherwise.

        Args:
            title: of the plot.
            series: of the plot.
            scatter: pairs of x and y; of over 100,000 the extremes of every stretch.
            iteration: step it belongs to.
            xaxis: what x is.
            yaxis: what y is.
            labels: of the points.
            mode: ``lines``, ``markers`` or ``lines+markers``.
            comment: shown below the title.
            extra_layout: more members of plotly's layout.

        Raises:
            TypeError: an argument of another type.
            ValueError: points that are no pairs, labels that are not one each.
        """
        from dray.sdk.plots import figures as plots

        figure = plots.lines(
            title,
            [(series, scatter, labels)],
            xaxis=xaxis,
            yaxis=yaxis,
            mode=mode,
            comment=comment,
            extra_layout=extra_layout,
        )
        self._put(title, series, iteration, figure)

    def report_scatter3d(
        self,
        title: str,
        series: str,
        scatter: Any,
        iteration: int | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        zaxis: str | None = None,
        labels: Sequence[Any] | None = None,
        mode: str = "markers",
        fill: bool = False,
        comment: str | None = None,
        extra_layout: Mapping[str, Any] | None = None,
    ) -> None:
        """Show points in space.

        Args:
            title: of the plot.
            series: of the plot; a list of names for a list of groups.
            scatter: triples of x, y and z; or a list of groups of them.
            iteration: step it belongs to.
            xaxis: what x is.
            yaxis: what y is.
            zaxis: what z is.
            labels: of the points; of each group of them.
            mode: ``markers``, ``lines`` or ``lines+markers``.
            fill: fill what the points surround.
            comment: shown below the title.
            extra_layout: more members of plotly's layout.

        Raises:
            TypeError: an argument of another type.
            ValueError: points that are no triples.
        """
        from dray.sdk.plots import space as plots_space

        figure = plots_space.scatter3d(
            title,
            series,
            scatter,
            xaxis=xaxis,
            yaxis=yaxis,
            zaxis=zaxis,
            labels=labels,
            mode=mode,
            fill=fill,
            comment=comment,
            extra_layout=extra_layout,
        )
        name = cast("Any", series)
        self._put(title, name if isinstance(name, str) else ", ".join(name), iteration, figure)

    def report_confusion_matrix(
        self,
        title: str,
        series: str,
        matrix: Any,
        iteration: int | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        xlabels: Sequence[Any] | None = None,
        ylabels: Sequence[Any] | None = None,
        yaxis_reversed: bool = False,
        comment: str | None = None,
        extra_layout: Mapping[str, Any] | None = None,
    ) -> None:
        """Show a matrix as a heat map.

        Args:
            title: of the plot.
            series: of the plot.
            matrix: rows of numbers.
            iteration: step it belongs to.
            xaxis: what the columns are.
            yaxis: what the rows are.
            xlabels: a name for each column.
            ylabels: a name for each row.
            yaxis_reversed: the first row is on top; otherwise it is the lowest.
            comment: shown below the title.
            extra_layout: more members of plotly's layout, or of its heat map.

        Raises:
            TypeError: an argument of another type.
            ValueError: rows that differ in length, labels that are not one each.
        """
        from dray.sdk.plots import figures as plots

        figure = plots.matrix(
            title,
            series,
            matrix,
            xaxis=xaxis,
            yaxis=yaxis,
            xlabels=xlabels,
            ylabels=ylabels,
            yaxis_reversed=yaxis_reversed,
            comment=comment,
            extra_layout=extra_layout,
        )
        self._put(title, series, iteration, figure)

    def report_matrix(
        self,
        title: str,
        series: str,
        matrix: Any,
        iteration: int | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        xlabels: Sequence[Any] | None = None,
        ylabels: Sequence[Any] | None = None,
        yaxis_reversed: bool = False,
        extra_layout: Mapping[str, Any] | None = None,
    ) -> None:
        """The same as :meth:`report_confusion_matrix`, by its old name."""
        warn_of("report_matrix", "report_confusion_matrix")
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
            None,
            extra_layout,
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
        xlabels: Sequence[Any] | None = None,
        ylabels: Sequence[Any] | None = None,
        camera: Sequence[float] | None = None,
        comment: str | None = None,
        extra_layout: Mapping[str, Any] | None = None,
    ) -> None:
        """Show a matrix as heights over a plane.

        Args:
            title: of the plot.
            series: of the plot.
            matrix: rows of numbers.
            iteration: step it belongs to.
            xaxis: what the columns are.
            yaxis: what the rows are.
            zaxis: what the heights are.
            xlabels: a name for each column.
            ylabels: a name for each row.
            camera: where it is seen from, as x, y and z; plotly's own place by default.
            comment: shown below the title.
            extra_layout: more members of plotly's layout.

        Raises:
            TypeError: an argument of another type.
            ValueError: rows that differ in length, a camera that is not three numbers.
        """
        from dray.sdk.plots import space as plots_space

        figure = plots_space.surface(
            title,
            series,
            matrix,
            xaxis=xaxis,
            yaxis=yaxis,
            zaxis=zaxis,
            xlabels=xlabels,
            ylabels=ylabels,
            camera=camera,
            comment=comment,
            extra_layout=extra_layout,
        )
        self._put(title, series, iteration, figure)

    def _put(self, title: Any, series: Any, iteration: Any, figure: dict[str, Any]) -> None:
        """Record a plot of the run."""
        raise NotImplementedError


def warn_of(old: str, new: str) -> None:
    """Warn of a method by its old name."""
    import warnings

    warnings.warn(f"Logger.{old} is deprecated; use Logger.{new}", DeprecationWarning, stacklevel=3)
