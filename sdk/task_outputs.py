"""The part of ``Task`` about what a run leaves behind: console, scalars, plots."""

from __future__ import annotations

from dray.runtime.errors import InvalidInput
from dray.sdk.logger import Logger
from dray.sdk.task_artifacts import TaskArtifacts
from dray.sdk.task_results import TaskResults


class TaskOutputs(TaskArtifacts, TaskResults):
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

    def get_output_log_web_page(self) -> str:
        """Address of the task's page."""
        return f"{self._handle.client().url}/#/tasks/{self.id}"
