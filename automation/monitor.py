"""A monitor: looks again and again for tasks that changed, and hands each one to its owner."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NoReturn

from dray.runtime.errors import DrayError
from dray.sdk import session
from dray.sdk.task import Task


class Monitor:
    """Watches tasks for whoever derives from it.

    :meth:`get_query_parameters` says which tasks, :meth:`process_task` what is done with each.
    A task is handed over once for each change of its state. What ``process_task`` raises is
    said, and the others go on.
    """

    def __init__(self) -> None:
        self._looked_at = time.time()
        self._name: str | None = None
        self._projects: list[str] = []
        self._patterns: list[str] = []
        self._project_ids: list[str] = []

    def set_projects(
        self,
        project_names: Sequence[str] | None = None,
        project_names_re: Sequence[str] | None = None,
        project_ids: Sequence[str] | None = None,
    ) -> None:
        """Look at the tasks of these projects only; all of them unless said.

        Args:
            project_names: whole names.
            project_names_re: regular expressions found in the name.
            project_ids: ids.

        Raises:
            re.error: a pattern that is none.
        """
        for pattern in project_names_re or ():
            re.compile(pattern)
        self._projects = list(project_names or ())
        self._patterns = list(project_names_re or ())
        self._project_ids = list(project_ids or ())

    def set_task_name_filter(self, task_name_filter: str | None = None) -> None:
        """Look at tasks whose name this regular expression is found in; None: all."""
        self._name = task_name_filter or None

    def monitor(self, pool_period: float = 15.0) -> NoReturn:
        """Look every ``pool_period`` seconds, for ever."""
        while True:
            try:
                self.monitor_step()
            except DrayError as exc:
                session.say(f"monitor: {exc}")
            time.sleep(pool_period)

    def monitor_step(self) -> None:
        """Look once, at what changed since the last time.

        Raises:
            DrayError: the server could not be asked; the next step looks at the same time span.
        """
        began = time.time()
        since = datetime.fromtimestamp(self._looked_at, timezone.utc)
        found = Task.get_tasks(
            task_name=self._name,
            task_filter={
                "status_changed": [f">{since.isoformat()}"],
                **self._where(),
                **self.get_query_parameters(),
            },
        )
        for task in found:
            try:
                self.process_task(task)
            except Exception as exc:  # the owner's code: the other tasks are still to be seen
                session.say(f"monitor: task {task.id[:8]}: {type(exc).__name__}: {exc}")
        self._looked_at = began

    def get_query_parameters(self) -> dict[str, Any]:
        """Which tasks, as ``task_filter`` of ``Task.get_tasks``; failed ones unless overridden."""
        return {"status": ["failed"], "order_by": ["-last_update"]}

    def process_task(self, task: Task) -> None:
        """Do something with a task that changed; override it."""
        raise NotImplementedError(f"{type(self).__name__} does not say what to do with {task!r}")

    def _where(self) -> dict[str, Any]:
        if not (self._projects or self._patterns or self._project_ids):
            return {}
        ids = list(self._project_ids)
        for project in Task.get_projects():
            is_named = project.name in self._projects
            if is_named or any(re.search(p, project.name) for p in self._patterns):
                ids.append(project.id)
        return {"project": ids or ["no such project"]}
