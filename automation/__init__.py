"""What scripts build of tasks: jobs, which are clones with changes, and monitors of many tasks."""

from dray.automation.job import ClearmlJob, Job, RunningJob
from dray.automation.monitor import Monitor

__all__ = ["ClearmlJob", "Job", "Monitor", "RunningJob"]

#: Names that scripts written for ClearML may import from here, and that Dray does not have yet.
_ABSENT = {
    "DiscreteParameterRange": "hyperparameter optimization",
    "GridSearch": "hyperparameter optimization",
    "HyperParameterOptimizer": "hyperparameter optimization",
    "LogUniformParameterRange": "hyperparameter optimization",
    "Objective": "hyperparameter optimization",
    "ParameterSet": "hyperparameter optimization",
    "PipelineController": "pipelines",
    "PipelineDecorator": "pipelines",
    "RandomSearch": "hyperparameter optimization",
    "TaskScheduler": "schedules",
    "TriggerScheduler": "triggers",
    "UniformIntegerParameterRange": "hyperparameter optimization",
    "UniformParameterRange": "hyperparameter optimization",
}


def __getattr__(name: str) -> object:
    """Say which names are known and not there yet."""
    if name in _ABSENT:
        raise ImportError(
            f"dray.automation has no {name} yet: {_ABSENT[name]} are not part of this version; "
            "clone and enqueue tasks with dray.automation.Job, or with Task.clone and Task.enqueue"
        )
    raise AttributeError(f"module 'dray.automation' has no attribute {name!r}")
