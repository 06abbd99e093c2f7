"""The part of ``Task`` about what a run leaves behind: console, scalars, plots."""

from __future__ import annotations

from dray.runtime.errors import InvalidInput
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.logger import Logger
from dray.sdk.task_artifacts import TaskArtifacts

if TYPE_CHECKING:
    from typing import Any

#: Most points of a series the server gives at once.
ALL_POINTS = 100_000
#: Bytes of console asked for, for each report that is wanted.
_REPORT_BYTES = 64 << 10


class TaskOutputs(TaskArtifacts):
    """Results of the run; reading them asks the server."""

    def get_logger(self) -> Logger:
        """What reports scalars, text and plots of the running task.

        Raises:
            InvalidInput: this is not the task of this process.
        """
        attempt = self._attempt
        if attempt is None:
            raise InvalidInput(
                f"task {self.id[:8]} does not run in this process, so nothing can be reported to "
                "it; read it with get_reported_scalars",
                field="task",
            )
        return Logger.of(attempt)

    @property
    def logger(self) -> Logger:
        """The same as :meth:`get_logger`."""
        return self.get_logger()

    def get_reported_scalars(self, max_samples: int = 0) -> dict[str, dict[str, dict[str, Any]]]:
        """Scalars as ``{title: {series: {"name", "x", "y"}}}``.

        Args:
            max_samples: most points of a series; 0: all, up to 100,000.
        """
        wanted = max(2, max_samples) if max_samples else ALL_POINTS
        found = self._handle.client().scalars(self.id, max_points=wanted)
        return {
            title: {
                name: {"name": name, "x": points.iterations, "y": points.values}
                for name, points in series.items()
            }
            for title, series in found.items()
        }

    def get_last_scalar_metrics(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Summary of each series: ``{title: {series: {"last", "min", "max", …}}}``."""
        self._handle.reload()
        return self.data.get("metrics") or {}

    def get_reported_single_values(self) -> dict[str, float]:
        """Numbers of the summary, as ``report_single_value`` left them."""
        self._handle.reload()
        return dict(self._data.get("single_values") or {})

    def get_reported_single_value(self, name: str) -> float | None:
        """One number of the summary; None when there is none by that name."""
        return self.get_reported_single_values().get(name)

    def get_reported_console_output(self, number_of_reports: int = 1) -> list[str]:
        """The last reports of the console, oldest first, each as a terminal shows it.

        A report is what one stream brought at a time. Progress bars are one line in it, and a
        line in brackets says so where output is not stored.
        """
        from dray.runtime.console_text import lines_of_pieces

        wanted = max(1, number_of_reports)
        page = self._handle.client().console(self.id, tail_bytes=wanted * _REPORT_BYTES)
        return [
            "".join(f"{line.text}\n" for line in lines_of_pieces([piece]))
            for piece in page.pieces[-wanted:]
        ]

    def get_output_log_web_page(self) -> str:
        """Address of the task's page."""
        return f"{self._handle.client().url}/#/tasks/{self.id}"
