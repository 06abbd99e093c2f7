"""The part of ``Task`` about its states: where it is, how it ends, waiting for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dray.runtime.errors import Conflict, IllegalTransition, InvalidInput
from dray.runtime.errors import ServerUnreachable as _Unreachable
from dray.runtime.state_words import WORD_BY_STATE
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.tasks.base import TaskBase
from dray.sdk.tasks.word_sets import TaskStatusEnum

if TYPE_CHECKING:
    from typing import Any

    from dray.runtime.states import State

#: How long a task that is stopped, to be reset, is waited for.
_STOP_WAIT_S = 120.0


class UnexpectedStatus(Conflict, RuntimeError):
    """A task came to another state than was waited for, or to none of them in time."""


class DeleteError(Conflict):
    """A task cannot be deleted."""


class TaskLife(TaskBase):
    """States, in the words of ClearML's programs; ``state`` has Dray's own."""

    TaskStatusEnum = TaskStatusEnum
    #: What :meth:`delete` raises.
    DeleteError = DeleteError

    def get_status(self) -> str:
        """Its state as the server has it now, one of ``Task.TaskStatusEnum``.

        created, queued, in_progress, completed, failed, stopped or published.
        """
        return WORD_BY_STATE[self.state]

    @property
    def status(self) -> str:
        """The same as :meth:`get_status`."""
        return self.get_status()

    @property
    def state(self) -> str:
        """Its state in Dray's words.

        draft, pending, running, completed, failed, aborted or published.
        """
        try:
            self._handle.reload()
        except _Unreachable:
            if self._attempt is None:
                raise
            return self._attempt.ended or "running"  # this is its process
        return str(self._data["state"])

    def get_status_message(self) -> tuple[str, str]:
        """Its state, and why it ended or is about to; empty when there is nothing to say."""
        status = self.get_status()
        cause: dict[str, Any] = self._data.get("cause") or {}
        return status, str(cause.get("message") or "")

    @property
    def last_worker(self) -> str | None:
        """The agent that ran it last; ``local:HOST`` for a run started by hand."""
        attempt: dict[str, Any] = self._data.get("attempt") or {}
        return str(attempt.get("agent") or "") or None

    def get_executed_queue(self, return_name: bool = False) -> str | None:
        """The queue it waits in or was last taken from; None when it was in none.

        Args:
            return_name: its name instead of its id.
        """
        name = str(self._data.get("queue") or "")
        if not name or return_name:
            return name or None
        return self._handle.client().get_queue(name).id

    def wait_for_status(
        self,
        status: Iterable[str] | str = (
            TaskStatusEnum.completed,
            TaskStatusEnum.stopped,
            TaskStatusEnum.closed,
        ),
        raise_on_status: Iterable[str] | str | None = (TaskStatusEnum.failed,),
        check_interval_sec: float = 60.0,
        timeout: float | None = None,
    ) -> None:
        """Wait until the task is in one of ``status``.

        A task that has ended otherwise is not waited for any longer.

        Args:
            status: states waited for, in ClearML's words or Dray's own.
            raise_on_status: states that raise instead.
            check_interval_sec: not needed: the server tells, nothing polls.
            timeout: seconds to wait at most; None: for ever.

        Raises:
            UnexpectedStatus: (a ``RuntimeError``) it came to one of ``raise_on_status``, ended
                otherwise than waited for, or the time was over.
            InvalidInput: a word that is no state.
        """
        del check_interval_sec
        wanted, bad = _states(status), _states(raise_on_status or ())
        task = self._handle.client().wait(self.id, {*wanted, *bad}, timeout)
        self._handle.reload()
        state, reason = task.state, f": {task.cause.message}" if task.cause else ""
        word = WORD_BY_STATE[str(state)]
        open_states = ("draft", "pending", "running")
        if state in bad or (state not in wanted and str(state) not in open_states):
            raise UnexpectedStatus(
                f"task {self.id[:8]} is {word}{reason}", task_id=self.id, state=str(state)
            )
        if state not in wanted:
            words = ", ".join(sorted(WORD_BY_STATE[str(one)] for one in wanted))
            raise UnexpectedStatus(
                f"task {self.id[:8]} is {word} after {timeout:g} s; waited for {words}",
                task_id=self.id,
                state=str(state),
            )

    def mark_started(self, force: bool = False) -> None:
        """State that a draft runs, somewhere that Dray knows nothing of.

        Nobody says then that it is still there: it is shown as unreachable after a while, and
        ends when it is marked. In its own run nothing happens: it is running.

        Args:
            force: not needed for a draft, failed or aborted task; a completed one is final.

        Raises:
            IllegalTransition: it waits in a queue, is completed or published.
        """
        del force
        if self._attempt is None and self.state != "running":
            self._start()

    def started(self, ignore_errors: bool = True, force: bool = False) -> None:
        """The same as :meth:`mark_started`; a refusal is said unless errors matter.

        Args:
            ignore_errors: say a refusal on stderr.
            force: see :meth:`mark_started`.
        """
        try:
            self.mark_started(force)
        except IllegalTransition as exc:
            if not ignore_errors:
                raise
            session.say(f"warning: not marked: {exc}")

    def mark_completed(
        self,
        ignore_errors: bool = True,
        status_message: str | None = None,
        force: bool = False,
    ) -> bool:
        """State that it is completed, whatever its process exits with.

        In its own run it counts when the process has exited. One that runs on an agent is
        stopped.

        Args:
            ignore_errors: say what is wrong instead of raising it.
            status_message: for the task's cause.
            force: also a task that does not run: a draft, failed, aborted or pending one.

        Raises:
            IllegalTransition: its state does not allow it, with ``ignore_errors=False``.
        """
        return self._mark("completed", status_message, force, ignore_errors)

    def completed(self, ignore_errors: bool = True) -> bool:
        """The same as :meth:`mark_completed`."""
        return self.mark_completed(ignore_errors)

    def mark_failed(
        self,
        ignore_errors: bool = True,
        status_reason: str | None = None,
        status_message: str | None = None,
        force: bool = False,
    ) -> bool:
        """State that it failed; see :meth:`mark_completed`.

        Args:
            ignore_errors: say what is wrong instead of raising it.
            status_reason: for the task's cause; before ``status_message``.
            status_message: for the task's cause.
            force: also a task that does not run.

        Raises:
            IllegalTransition: its state does not allow it, with ``ignore_errors=False``.
        """
        said = ": ".join(text for text in (status_reason, status_message) if text)
        return self._mark("failed", said, force, ignore_errors)

    failed = mark_failed

    def mark_stopped(self, force: bool = False, status_message: str | None = None) -> None:
        """State that it was stopped; see :meth:`mark_completed`. A pending one leaves its queue.

        Args:
            force: also a draft.
            status_message: for the task's cause.
        """
        self._mark("aborted", status_message, force, ignore_errors=True)

    def stopped(
        self,
        ignore_errors: bool = True,
        force: bool = False,
        status_reason: str | None = None,
        status_message: str | None = None,
    ) -> bool:
        """The same as :meth:`mark_stopped`, with a reason."""
        said = ": ".join(text for text in (status_reason, status_message) if text)
        return self._mark("aborted", said, force, ignore_errors)

    def mark_stop_request(self, force: bool = False, status_message: str | None = None) -> bool:
        """Ask it to stop: its abort callback is called, then its processes are ended.

        Args:
            force: not needed: a pending task is ended as well.
            status_message: for the task's cause.
        """
        return self.stop_request(ignore_errors=True, force=force, status_message=status_message)

    def stop_request(
        self,
        ignore_errors: bool = True,
        force: bool = False,
        status_message: str | None = None,
    ) -> bool:
        """The same as :meth:`mark_stop_request`."""
        del force
        return self._ignoring(ignore_errors, lambda: self.abort(status_message or ""))

    def abort(self, reason: str = "") -> None:
        """End it: a pending task at once, a running one by signal."""
        self._handle.client().abort(self.id, reason=reason)
        self._handle.reload()

    def reset(self, set_started_on_success: bool = False, force: bool = False) -> None:
        """Make it a draft again; its outputs are deleted. Nothing happens in the run of an agent.

        Args:
            set_started_on_success: call :meth:`mark_started` on it then.
            force: also a running task, which is stopped first.

        Raises:
            IllegalTransition: it is running and ``force`` was not given, or it is published.
            InvalidInput: it is the task of this process.
        """
        attempt = self._attempt
        if attempt is not None:
            if attempt.is_remote and not force:
                session.say("reset() does nothing in the run of an agent")
                return
            raise InvalidInput("the running task cannot be reset; close() it first", field="task")
        client, state = self._handle.client(), self.state
        if state == "pending":
            client.dequeue(self.id)
        elif state == "running" and force:
            self.abort("stopped to be reset")
            client.wait(self.id, (), _STOP_WAIT_S)
        if state not in ("draft", "pending"):
            client.reset(self.id)
        self._handle.reload()
        if set_started_on_success:
            self.mark_started()

    def publish(self, ignore_errors: bool = True) -> bool:
        """Make it read-only for ever; it must have ended.

        Args:
            ignore_errors: say what else is wrong instead of raising it.

        Raises:
            InvalidInput: it has not ended.
        """
        state = self.state
        if state in ("draft", "pending", "running"):
            raise InvalidInput(
                f"task {self.id[:8]} is {WORD_BY_STATE[state]}: only a task that has ended can be "
                "published; publish_on_completion() publishes it then",
                field="task",
            )

        def publish() -> None:
            self._handle.client().publish(self.id)
            self._handle.reload()

        return self._ignoring(ignore_errors, publish)

    def publish_on_completion(self, enable: bool = True) -> None:
        """Have it published in the moment it is completed; not when it fails or is stopped.

        Raises:
            NotEditable: it has ended.
        """
        self._handle.put_label(publish_on_completion=bool(enable))

    def delete(
        self,
        delete_artifacts_and_models: bool = True,
        skip_models_used_by_other_tasks: bool = True,
        raise_on_error: bool = False,
        callback: Callable[[str, str], bool] | None = None,
        force: bool = False,
    ) -> bool:
        """Delete it with its artifacts and the models it made; True when it is gone.

        What the server keeps is deleted by the server, what is elsewhere by this process. In the
        run of an agent nothing happens.

        Args:
            delete_artifacts_and_models: also those that lie elsewhere, and models; what the
                server keeps of a task goes with it in any case.
            skip_models_used_by_other_tasks: leave models alone that another task uses.
            raise_on_error: raise what goes wrong; otherwise it is said.
            callback: asked with ``("artifact" or "model", uri)``; deletes what it says True to.
            force: also a running or published task.

        Raises:
            InvalidInput: it is the task of this process.
            DeleteError: with ``raise_on_error``: it is published, or something could not go.
        """
        attempt = self._attempt
        if attempt is not None and attempt.is_remote:
            return False
        if attempt is not None:
            raise InvalidInput(
                "the running task cannot delete itself; close() it first", field="task"
            )
        from dray.sdk.tasks import delete as task_delete

        what = task_delete.What(
            delete_artifacts_and_models, skip_models_used_by_other_tasks, callback, force
        )
        problem = task_delete.delete(self._handle.client(), self.id, what)
        if problem and raise_on_error:
            raise DeleteError(problem, task_id=self.id)
        if problem:
            session.say(f"warning: {problem}")
        return not problem

    def _mark(self, outcome: str, message: str | None, force: bool, ignore_errors: bool) -> bool:
        if self._attempt is not None:
            self._handle.mark(outcome, message or "")
            return True
        return self._ignoring(ignore_errors, lambda: self._mark_other(outcome, message, force))

    def _mark_other(self, outcome: str, message: str | None, force: bool) -> None:
        state = self.state
        if state == "pending" and outcome == "aborted":
            self.abort(message or "")
            return
        if force and state in ("draft", "pending", "failed", "aborted"):
            if state == "pending":
                self._handle.client().dequeue(self.id)
            self._start()
        self._handle.mark(outcome, message or "")

    def _start(self) -> None:
        """Take the lease of a run that nobody renews."""
        import platform

        from dray.runtime.ids import new_id

        agent = f"local:{platform.node()}"
        self._handle.client().start(self.id, agent=agent, node=platform.node(), claim_id=new_id())
        self._handle.reload()

    def _ignoring(self, ignore_errors: bool, step: Callable[[], None]) -> bool:
        try:
            step()
        except (IllegalTransition, Conflict) as exc:
            if not ignore_errors:
                raise
            session.say(f"warning: {exc.message}")
            return False
        return True


def _states(words: Iterable[str] | str) -> set[State]:
    from dray.runtime.state_words import state_of

    given = (words,) if isinstance(words, str) else words
    return {state_of(str(word)) for word in given}
