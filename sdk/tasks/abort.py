"""The part of ``Task`` about being stopped: what the run does before it is ended."""

from __future__ import annotations

from collections.abc import Callable

from dray.runtime.errors import InvalidInput
from dray.sdk.tasks.base import TaskBase


class TaskAbort(TaskBase):
    """A last word for whoever is stopped."""

    def register_abort_callback(
        self,
        callback_function: Callable[[], object] | None,
        callback_execution_timeout: float = 30.0,
    ) -> None:
        """Have a function called when the run of this process is stopped, before any signal.

        It may still report, upload and store: the task is running, in its phase ``stopping``,
        until its processes are gone. It is called in a thread of its own while the script goes
        on, for an abort, a time limit, and ``dray down``, which waits for some seconds only. When
        it returns, raises, or has used up its time, the processes get SIGINT, then SIGTERM, then
        SIGKILL. Each process of the run has one callback of its own; a forked child has none
        until it registers one.

        Args:
            callback_function: called without arguments; None removes the one that is registered.
            callback_execution_timeout: seconds it may take, at most 1800.

        Raises:
            InvalidInput: this is not the task of this process, or a value cannot be used.
        """
        from dray.sdk.runs import abort_callback

        attempt = self._attempt
        if attempt is None:
            raise InvalidInput(
                f"task {self.id[:8]} does not run in this process: only its own can register "
                "a callback",
                field="task",
            )
        abort_callback.register(attempt, callback_function, callback_execution_timeout)
