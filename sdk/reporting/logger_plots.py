"""The part of ``Logger`` that reports bars, tables and figures of plotly and matplotlib.

Part of the child's path: the builders are imported by the first plot.
"""

from __future__ import annotations

from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.reporting.logger_shapes import ShapeReports, warn_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import Any

    from dray.sdk.session import Session


class PlotReports(ShapeReports):
    """Bars, tables, and figures of other libraries.

    In every call the same title, series and iteration replace each other, ``iteration=None`` is
    iteration 0, and a task that was continued counts on from its initial iteration. Numbers that
    are not finite are gaps. Arrays may be NumPy's, tensors, or lists and tuples.
    """

    _attempt: Session

    def report_histogram(
        self,
        title: str,
        series: str,
        values: Any,
        iteration: int | None = None,
        labels: Sequence[str] | None = None,
        xlabels: Sequence[str] | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        mode: str | None = None,
        data_args: Mapping[str, Any] | None = None,
        extra_layout: Mapping[str, Any] | None = None,
    ) -> None:
        """Show bars whose heights are given; nothing is counted here.

        Args:
            title: of the plot.
            series: of the plot.
            values: a row of heights, or several.
            iteration: step it belongs to.
            labels: a name for each row.
            xlabels: a name for each bar of a row.
            xaxis: what the bars are.
            yaxis: what the heights are.
            mode: ``group`` (default), ``stack`` or ``relative``.
            data_args: more members of plotly's bars, such as ``{"orientation": "h"}``.
            extra_layout: more members of plotly's layout.

        Raises:
            TypeError: an argument of another type.
            ValueError: heights or labels that do not fit each other, an unknown mode.
        """
        from dray.sdk.plots import figures as plots

        figure = plots.histogram(
            title,
            series,
            values,
            labels=labels,
            xlabels=xlabels,
            xaxis=xaxis,
            yaxis=yaxis,
            mode=mode,
            data_args=data_args,
            extra_layout=extra_layout,
        )
        self._put(title, series, iteration, figure)

    def report_vector(
        self,
        title: str,
        series: str,
        values: Any,
        iteration: int | None = None,
        labels: Sequence[str] | None = None,
        xlabels: Sequence[str] | None = None,
        xaxis: str | None = None,
        yaxis: str | None = None,
        mode: str | None = None,
        extra_layout: Mapping[str, Any] | None = None,
    ) -> None:
        """The same as :meth:`report_histogram`, by its old name."""
        warn_of("report_vector", "report_histogram")
        self.report_histogram(
            title,
            series,
            values,
            iteration,
            labels,
            xlabels,
            xaxis,
            yaxis,
            mode,
            None,
            extra_layout,
        )

    def report_table(
        self,
        title: str,
        series: str,
        iteration: int | None = None,
        table_plot: Any = None,
        csv: str | os.PathLike[str] | None = None,
        url: str | None = None,
        extra_layout: Mapping[str, Any] | None = None,
        extra_data: Mapping[str, Any] | None = None,
    ) -> None:
        """Show a table; of a long one the first 10,000 rows.

        Args:
            title: of the plot.
            series: of the plot.
            iteration: step it belongs to.
            table_plot: a ``DataFrame``, rows whose first one names the columns, or dicts. Any:
                the data frames of several libraries share no type.
            csv: path of a CSV file instead.
            url: address of a CSV file instead; it is fetched before this returns.
            extra_layout: more members of plotly's layout.
            extra_data: more members of plotly's table, such as ``{"columnwidth": [2, 1]}``.

        Raises:
            UsageError: not exactly one of ``table_plot``, ``csv`` and ``url`` is given.
            TypeError: an argument of another type.
            ValueError: a file or address that cannot be read.
        """
        from dray.sdk.plots import tables as plots_tables
        from dray.sdk.plots.reports import one_of

        given = one_of("report_table", table_plot=table_plot, csv=csv or None, url=url or None)
        if given == "csv":
            columns, rows = plots_tables.cells_of_csv(cast("str", csv))
        elif given == "url":
            columns, rows = plots_tables.cells_of_url(cast("str", url))
        else:
            columns, rows = plots_tables.cells_of(table_plot)
        figure = plots_tables.table(
            title, series, columns, rows, extra_layout=extra_layout, extra_data=extra_data
        )
        self._put(title, series, iteration, figure)

    def report_plotly(
        self, title: str, series: str, figure: Any, iteration: int | None = None
    ) -> None:
        """Show a figure of plotly.

        Args:
            title: of the plot; the figure keeps its own beside it.
            series: of the plot.
            figure: a ``plotly.graph_objects.Figure``, or a dict or JSON text of ``data`` and
                ``layout``. Any: plotly is the user's.
            iteration: step it belongs to.

        Raises:
            TypeError: it is none of them.
            ValueError: a dict without data and layout, text that is no JSON.
        """
        from dray.sdk.plots import figures as plots

        self._put(title, series, iteration, plots.plotly(figure))

    def report_matplotlib_figure(
        self,
        title: str,
        series: str,
        figure: Any,
        iteration: int | None = None,
        report_image: bool = False,
        report_interactive: bool = True,
    ) -> None:
        """Show a figure of matplotlib.

        One with a single pair of axes that holds lines, points, bars or areas becomes an
        interactive plot; any other one, whose conversion would lose something, is a picture.

        Args:
            title: of the plot.
            series: of the plot.
            figure: a ``Figure``, its axes, or ``matplotlib.pyplot`` for the current one. Any:
                matplotlib is the user's.
            iteration: step it belongs to.
            report_image: keep it among the debug samples, as a PNG file.
            report_interactive: False: keep it as a picture whatever it holds.

        Raises:
            TypeError: it is none of them.
            ValueError: matplotlib cannot draw it.
        """
        from dray.sdk.plots import matplotlib_figures as plots_matplotlib

        plots_matplotlib.record_figure(
            self._attempt,
            figure,
            title,
            series,
            iteration,
            report_image=report_image,
            report_interactive=report_interactive,
            is_explicit=True,
        )

    @classmethod
    def matplotlib_force_report_non_interactive(cls, force: bool) -> None:
        """Keep every figure of matplotlib as a picture from now on, in this process; or not."""
        from dray.sdk.plots import matplotlib_figures as plots_matplotlib

        plots_matplotlib.force_pictures(force)

    def _put(self, title: Any, series: Any, iteration: Any, figure: dict[str, Any]) -> None:
        from dray.sdk.plots import reports

        reports.put_plot(self._attempt, title, series, iteration, figure)
