"""``from dray.utilities.plotly_reporter import SeriesInfo``: a line of ``report_line_plot``."""

from __future__ import annotations

from dray.sdk.reporting.logger_shapes import SeriesInfo

__all__ = ["SeriesInfo"]
