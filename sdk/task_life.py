"""The part of ``Task`` about its states: where it is, how it ends, waiting for it."""

from __future__ import annotations

from collections.abc import Iterable

from dray.runtime.errors import DrayError, InvalidInput, ServerUnreachable
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.task_base import TaskBase

if TYPE_CHECKING:
    from typing import Any

#: Words of ClearML's programs for the states people see.
_WORDS = {
    "created": "draft",
    "queued": "pending",
    "in_progress": "running",
    "stopped": "aborted",
    "closed": "published",
}


class TaskLife(TaskBase):
    """States: draft, pending, running, completed, failed, aborted, published."""

    def get_status(self) -> str:
        """Its state, as the server has it now."""
        try:
            self._handle.reload()
        except ServerUnreachable:
            if self._attempt is None:
                raise
            return "running"  # it is: this is its process
        return str(self._data["state"])

    @property
    def status(self) -> str:
        """The same as :meth:`get_status`."""
        return self.get_status()

    def get_status_message(self) -> str:
        """Why it ended, or is about to; empty when there is nothing to say."""
        cause: dict[str, Any] = self._data.get("cause") or {}
        return str(cause.get("message") or "")

    def wait_for_status(
        self,
        status: Iterable[str] | str = ("completed", "aborted", "published"),
        raise_on_status: Iterable[str] | str | None = ("failed",),
        timeout: float | None = None,
    ) -> None:
        """Wait until the task is in one of ``status``; the server tells, nothing polls.

        Args:
            status: states waited for.
            raise_on_status: states that raise instead.
            timeout: seconds to wait at most.

        Raises:
            DrayError: it came to one of ``raise_on_status``, ended otherwise than waited for,
                or the time was over.
        """
        wanted, bad = _states(status), _states(raise_on_status or ())
        task = self._handle.client().wait(self.id, {*wanted, *bad}, timeout)
        self._handle.reload()
        state, reason = str(task.state), f": {task.cause.message}" if task.cause else ""
        if state in bad or (state not in wanted and state not in ("draft", "pending", "running")):
            raise DrayError(f"task {self.id[:8]} is {state}{reason}", task_id=self.id, state=state)
        if state not in wanted:
            raise DrayError(
                f"task {self.id[:8]} is {state} after {timeout:g} s; "
                f"waited for {', '.join(sorted(wanted))}",
                task_id=self.id,
                state=state,
            )

    def mark_completed(self, status_message: str | None = None) -> None:
        """State that it is completed, whatever the process exits with."""
        self._handle.mark("completed", status_message or "")

    def mark_failed(
        self, status_reason: str | None = None, status_message: str | None = None
    ) -> None:
        """State that it failed."""
        self._handle.mark("failed", status_reason or status_message or "")

    def mark_stopped(self, status_message: str | None = None) -> None:
        """State that it was stopped: aborted."""
        self._handle.mark("aborted", status_message or "")

    def abort(self, reason: str = "") -> None:
        """End it: a pending task at once, a running one by signal."""
        self._handle.client().abort(self.id, reason=reason)
        self._handle.reload()

    def reset(self) -> None:
        """Make it a draft again; its outputs are deleted. Nothing happens under an agent."""
        attempt = self._attempt
        if attempt is None:
            self._handle.client().reset(self.id)
            self._handle.reload()
        elif attempt.is_remote:
            session.say("reset() does nothing in the run of an agent")
        else:
            raise InvalidInput("the running task cannot be reset; close() it first", field="task")

    def publish(self) -> None:
        """Make it read-only for ever; it must have ended."""
        self._handle.client().publish(self.id)
        self._handle.reload()

    def delete(self, force: bool = False) -> bool:
        """Delete it and its outputs.

        Raises:
            InvalidInput: it is the task of this process.
        """
        if self._attempt is not None:
            raise InvalidInput(
                "the running task cannot delete itself; close() it first", field="task"
            )
        self._handle.client().delete_task(self.id, force=force)
        return True

    def flush(self, wait_for_uploads: bool = False) -> bool:
        """Nothing waits in this process: each report is in the spool when its call returns."""
        del wait_for_uploads
        return True


def _states(words: Iterable[str] | str) -> set[str]:
    given = (words,) if isinstance(words, str) else words
    return {_WORDS.get(str(word).lower(), str(word).lower()) for word in given}
