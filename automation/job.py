"""A job: a clone of a task with some things changed, sent to a queue and waited for."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dray.runtime.errors import DrayError, InvalidInput, ServerUnreachable
from dray.sdk import session
from dray.sdk.task import Task

_ENDED = ("completed", "failed", "stopped", "published")


class RunningJob:
    """A task somebody has made already, looked at as a job.

    Args:
        existing_task: the task or its id.

    Raises:
        NotFound: no task has the id.
    """

    def __init__(self, existing_task: Task | str) -> None:
        self.task = existing_task if isinstance(existing_task, Task) else _task(existing_task)

    def task_id(self) -> str:
        """Id of its task."""
        return self.task.id

    def launch(self, queue_name: str | None = None) -> bool:
        """Put it in a queue (``default`` unless said); False, and one line why, when that fails."""
        try:
            Task.enqueue(self.task, queue_name=queue_name)
        except DrayError as exc:
            session.say(f"job {self.task.id[:8]} was not put in a queue: {exc}")
            return False
        return True

    def abort(self) -> None:
        """End it: a pending job goes back to draft, a running one is stopped; else nothing."""
        status = self.status()
        if status == "queued":
            Task.dequeue(self.task)
        elif status == "in_progress":
            self.task.abort("aborted as a job")

    def status(self, force: bool = False) -> str:
        """How its task is now, as ``Task.get_status`` says it.

        Args:
            force: there is nothing to force: the server is asked each time.
        """
        del force
        return str(self.task.get_status())

    def status_message(self) -> str:
        """Why it ended; empty when there is nothing to say."""
        return self.task.get_status_message()[1]

    def is_pending(self) -> bool:
        """Whether it has not begun: a draft, or in a queue."""
        return self.status() in ("created", "queued")

    def is_running(self) -> bool:
        """Whether it runs now."""
        return self.status() == "in_progress"

    def is_stopped(self, aborted_nonresponsive_as_running: bool = False) -> bool:
        """Whether it has come to an end, whichever.

        Args:
            aborted_nonresponsive_as_running: there is no such end here: a silent worker's task
                is unreachable, and still running, until its worker is known to be dead.
        """
        del aborted_nonresponsive_as_running
        return self.status() in _ENDED

    def is_failed(self) -> bool:
        """Whether it failed."""
        return self.status() == "failed"

    def is_completed(self) -> bool:
        """Whether it did what it was to do."""
        return self.status() in ("completed", "published")

    def is_aborted(self) -> bool:
        """Whether somebody stopped it."""
        return self.status() == "stopped"

    def started(self) -> bool:
        """Whether it has begun, and may have ended."""
        return not self.is_pending()

    def wait(
        self,
        timeout: float | None = None,
        pool_period: float = 30.0,
        aborted_nonresponsive_as_running: bool = False,
    ) -> bool:
        """Wait for its end, whichever; the server tells, nothing polls.

        Args:
            timeout: minutes to wait at most; None for ever.
            pool_period: not needed: it is told at once.
            aborted_nonresponsive_as_running: see :meth:`is_stopped`.

        Returns:
            Whether it has ended.
        """
        del pool_period, aborted_nonresponsive_as_running
        try:
            self.task.wait_for_status(
                status=_ENDED,
                raise_on_status=(),
                timeout=None if timeout is None else timeout * 60.0,
            )
        except TimeoutError:
            return False
        return self.is_stopped()

    def elapsed(self) -> float:
        """Seconds since it began, or that it took; -1 while it is pending."""
        self.task.reload()
        facts = self._facts()
        started, ended = facts.get("started_at"), facts.get("ended_at")
        return -1.0 if started is None else (ended or time.time()) - started

    def iterations(self) -> int:
        """The last iteration it reported; -1 while it is pending."""
        return -1 if self.is_pending() else self.task.get_last_iteration()

    def get_metric(self, title: str, series: str) -> tuple[float, float, float]:
        """Smallest, largest and last value of a scalar.

        Raises:
            InvalidInput: nothing was reported under that title and series.
        """
        found = self.task.get_last_scalar_metrics().get(title, {}).get(series)
        if found is None:
            raise InvalidInput(
                f"job {self.task.id[:8]} has reported no scalar {title!r}/{series!r}",
                field="series",
                value=series,
            )
        return float(found["min"]), float(found["max"]), float(found["last"])

    def get_console_output(self, number_of_reports: int = 1) -> Sequence[str]:
        """The last reports of its console, oldest first."""
        return self.task.get_reported_console_output(number_of_reports)

    def worker(self) -> str | None:
        """Name of the agent that runs it or ran it; None while it is pending."""
        if self.is_pending():
            return None
        attempt: dict[str, Any] = self._facts().get("attempt") or {}
        return str(attempt.get("agent") or "") or None

    def delete(self) -> bool:
        """Delete its task and what it left."""
        return bool(self.task.delete())

    def is_cached_task(self) -> bool:
        """False: a job always runs anew."""
        return False

    def _facts(self) -> dict[str, Any]:
        """JSON of ``models.Task``."""
        return self.task._data  # pyright: ignore[reportPrivateUsage]  (the facade's own room)


class Job(RunningJob):
    """A clone of a task with some things changed.

    Args:
        base_task_id: what to clone.
        parameter_override: hyperparameters by flat name, such as ``Args/lr``.
        task_overrides: members of its code by ClearML's dotted names: ``script.branch``,
            ``script.version_num``, ``script.entry_point``, ``script.working_dir``,
            ``script.diff``, ``script.repository``, ``script.requirements.pip``.
        configuration_overrides: configuration objects by name: text, or a mapping.
        tags: to add to the clone.
        parent: id; the base task unless said.
        disable_clone_task: change and run the base task itself, which must be a draft.
        allow_caching: not there: refused when asked for.
        target_project: where the clone goes; the base task's project unless said.
        output_uri: where its artifacts and models go.
        enable_local_imports: for jobs run in this process's own environment, which these are
            not.

    Raises:
        NotFound: no task has the id.
        InvalidInput: an override that names nothing.
        NotEditable: ``disable_clone_task`` of a task that is no draft.
    """

    def __init__(
        self,
        base_task_id: str,
        parameter_override: Mapping[str, Any] | None = None,
        task_overrides: Mapping[str, Any] | None = None,
        configuration_overrides: Mapping[str, str | Mapping[str, Any]] | None = None,
        tags: Sequence[str] | None = None,
        parent: str | None = None,
        disable_clone_task: bool = False,
        allow_caching: bool = False,
        target_project: str | None = None,
        output_uri: str | bool | None = None,
        enable_local_imports: bool = True,
        **kwargs: Any,
    ) -> None:
        del enable_local_imports
        if allow_caching:
            raise InvalidInput(
                "allow_caching: jobs are not looked up by what they would run yet; leave it out",
                field="allow_caching",
                value=allow_caching,
            )
        base = _task(base_task_id)
        if disable_clone_task:
            super().__init__(base)
        else:
            name = kwargs.pop("name", None)
            clone = Task.clone(
                base,
                name=name,
                comment=kwargs.pop("comment", None),
                parent=parent or base.id,
                project=target_project,
            )
            super().__init__(clone)
        if kwargs:
            raise InvalidInput(
                f"a job takes no {', '.join(map(repr, kwargs))}; there are: name, comment",
                field=next(iter(kwargs)),
            )
        self.task_parameter_override = dict(parameter_override or {})
        self._change(task_overrides or {}, configuration_overrides or {}, tags or ())
        if output_uri is not None:
            self.task.output_uri = output_uri

    def _change(
        self,
        task_overrides: Mapping[str, Any],
        configuration: Mapping[str, str | Mapping[str, Any]],
        tags: Sequence[str],
    ) -> None:
        if self.task_parameter_override:
            self.task.update_parameters(self.task_parameter_override)
        for name, value in configuration.items():
            text = value if isinstance(value, str) else json.dumps(value, indent=2)
            self.task.set_configuration_object(name, config_text=text)
        if tags:
            self.task.add_tags(list(tags))
        script = dict[str, Any]()
        for path, value in task_overrides.items():
            if path == "script.requirements.pip":
                packages: list[str] | str = value or ""
                self.task.set_packages(packages)
                continue
            member = _SCRIPT.get(path)
            if member is None:
                raise InvalidInput(
                    f"task_overrides names {path!r}; there are: "
                    f"{', '.join((*_SCRIPT, 'script.requirements.pip'))}",
                    field="task_overrides",
                    value=path,
                )
            script[member] = value or ""
        if script:
            self.task.set_script(**script)


#: The name users of ClearML know it by.
ClearmlJob = Job

#: Members of a task's code, and the argument of ``Task.set_script`` that sets them.
_SCRIPT = {
    "script.repository": "repository",
    "script.branch": "branch",
    "script.version_num": "commit",
    "script.diff": "diff",
    "script.working_dir": "working_dir",
    "script.entry_point": "entry_point",
}


def _task(task_id: str) -> Task:
    found = Task.get_task(task_id=task_id)
    if found is None:
        raise ServerUnreachable(f"task {task_id} was not given by the server")
    return found
