"""``from dray.task import Task``: the name scripts know it by."""

from __future__ import annotations

from dray.sdk.task import Task, TaskTypes

#: The name under which scripts annotate what ``Task.init`` gives.
TaskInstance = Task

__all__ = ["Task", "TaskInstance", "TaskTypes"]
