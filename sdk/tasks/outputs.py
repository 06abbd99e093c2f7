"""The part of ``Task`` about what a run leaves behind: console, scalars, plots."""

from __future__ import annotations

from dray.sdk.light import TYPE_CHECKING
from dray.sdk.logger import Logger
from dray.sdk.tasks.artifacts import TaskArtifacts
from dray.sdk.tasks.results import TaskResults

if TYPE_CHECKING:
    from typing import Any

if TYPE_CHECKING:
    from typing import Any


class TaskOutputs(TaskArtifacts, TaskResults):
    """Results of the run; reading them asks the server."""

    #: The logger of a task that does not run here.
    _outside: Logger | None = None

    def get_logger(self) -> Logger:
        """What reports scalars, text, plots and media of the task.

        For the running task each report is appended to a file here. For any other one each call
        sends what it says, and raises when the server does not answer or will not take it (a
        published task takes nothing); many points are faster reported by the run itself.
        """
        attempt = self._attempt
        if attempt is not None:
            return Logger.of(attempt)
        if self._outside is None:
            from dray.sdk.reporting.logger_outside import OutsideRun

            run: Any = OutsideRun(dict(self._data), self._handle.client)
            self._outside = Logger.of(run)
        return self._outside

    @property
    def logger(self) -> Logger:
        """The same as :meth:`get_logger`."""
        return self.get_logger()

    def get_output_log_web_page(self) -> str:
        """Address of the task's page."""
        return f"{self._handle.client().url}/#/tasks/{self.id}"
