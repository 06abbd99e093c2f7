"""Dray hauls experiments from a laptop onto a Ray cluster.

``import dray`` loads nothing else; each name below is imported when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for true; importing `typing` is dear in a child

if TYPE_CHECKING:
    from typing import Any

    from dray.runtime.errors import DrayError, UsageError
    from dray.runtime.models import TaskType
    from dray.sdk.async_client import AsyncClient
    from dray.sdk.client import Client
    from dray.sdk.logger import Logger
    from dray.sdk.models.names import InputModel, Model, OutputModel
    from dray.sdk.parameters.parameter_class import TaskParameters
    from dray.sdk.storage.manager import StorageManager
    from dray.sdk.task import Task, TaskTypes

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "DrayError",
    "InputModel",
    "Logger",
    "Model",
    "OutputModel",
    "StorageManager",
    "Task",
    "TaskParameters",
    "TaskType",
    "TaskTypes",
    "UsageError",
    "__version__",
]

_HOMES = {
    "AsyncClient": "dray.sdk.async_client",
    "Client": "dray.sdk.client",
    "DrayError": "dray.runtime.errors",
    "InputModel": "dray.sdk.models.names",
    "Logger": "dray.sdk.logger",
    "Model": "dray.sdk.models.names",
    "OutputModel": "dray.sdk.models.names",
    "StorageManager": "dray.sdk.storage.manager",
    "Task": "dray.sdk.task",
    "TaskParameters": "dray.sdk.parameters.parameter_class",
    "TaskType": "dray.runtime.models",
    "TaskTypes": "dray.sdk.task",
    "UsageError": "dray.runtime.errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dray' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
