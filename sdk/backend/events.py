"""``client.events``: what runs have reported."""

from __future__ import annotations

from typing import Any

from dray.sdk.backend.entity import Struct
from dray.sdk.backend.service import Service, unknown
from dray.sdk.task import Task


class Events(Service):
    """Scalars, plots and console of tasks, in the shapes of ClearML's events."""

    name, entity = "events", "task"

    def scalar_metrics_iter_histogram(
        self, task: str, key: str = "iter", samples: int = 2000, **others: Any
    ) -> Struct:
        """Scalars as ``{title: {series: {"name", "x", "y"}}}``, thinned to ``samples`` points."""
        unknown("events.scalar_metrics_iter_histogram", others)
        scalars = _task(task).get_reported_scalars(max_samples=samples, x_axis=key)
        return Struct(scalars)

    def get_task_latest_scalar_values(self, task: str, **others: Any) -> Struct:
        """The last value of each scalar."""
        unknown("events.get_task_latest_scalar_values", others)
        metrics = _task(task).get_last_scalar_metrics()
        listed = [
            {
                "name": title,
                "variants": [{"name": name, "last_value": m["last"]} for name, m in series.items()],
            }
            for title, series in metrics.items()
        ]
        return Struct({"metrics": listed})

    def get_task_single_value_metrics(self, tasks: list[str], **others: Any) -> Struct:
        """Numbers of the summary of each task."""
        unknown("events.get_task_single_value_metrics", others)
        found = [
            {
                "task": each,
                "values": [
                    {"metric": "Summary", "variant": name, "value": value}
                    for name, value in _task(each).get_reported_single_values().items()
                ],
            }
            for each in tasks
        ]
        return Struct({"tasks": found})

    def get_task_plots(self, task: str, iters: int | None = None, **others: Any) -> Struct:
        """Every plot of the last ``iters`` iterations of each."""
        unknown("events.get_task_plots", others)
        plots = _task(task).get_reported_plots(max_iterations=iters)
        return Struct({"plots": plots, "returned": len(plots), "total": len(plots)})

    def get_task_log(self, task: str, batch_size: int = 100, **others: Any) -> Struct:
        """The last ``batch_size`` reports of the console, oldest first."""
        del others  # how to page; the last reports are what scripts ask for
        reports = _task(task).get_reported_console_output(number_of_reports=batch_size)
        events = [{"type": "log", "task": task, "msg": text} for text in reports]
        return Struct({"events": events, "returned": len(events), "total": len(events)})


def _task(task_id: str) -> Task:
    found = Task.get_task(task_id=task_id)
    assert found is not None, "an id is found or raises"  # noqa: S101
    return found
