"""What ``Task`` is made of: one class per subject, imported when one of its names is asked for.

A script that trains uses a few of them; importing all would cost it more than Python's own start.
"""

from __future__ import annotations

from _thread import RLock

from dray.sdk.light import TYPE_CHECKING
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    from typing import Any

#: Module of this folder → its class, in the order in which ``Task`` derives from them.
PARTS = {
    "parameters": "TaskHyperparameters",
    "facts": "TaskFacts",
    "models": "TaskModels",
    "configuration": "TaskConfiguration",
    "properties": "TaskProperties",
    "requirements": "TaskRequirements",
    "surroundings": "TaskSurroundings",
    "labels": "TaskLabels",
    "code": "TaskCode",
    "found": "TaskFound",
    "moves": "TaskMoves",
    "outputs": "TaskOutputs",
    "iterations": "TaskIterations",
    "policy": "TaskPolicy",
    "life": "TaskLife",
    "abort": "TaskAbort",
    "run": "TaskRun",
    "before": "TaskBefore",
}
#: Where names are that a run asks for. Any other is looked for in all parts, so that a name that
#: is missing here costs time and nothing else.
_HOMES = {
    "parameters": "connect get_parameters get_parameters_as_dict set_parameter "
    "set_parameters update_parameters get_parameter",
    "models": "models update_output_model set_input_model connect_label_enumeration",
    "configuration": "connect_configuration get_configuration_object",
    "properties": "set_user_properties get_user_properties",
    "requirements": "get_requirements set_packages set_resources",
    "surroundings": "set_environment set_python_path set_setup_script set_system_packages "
    "set_variables",
    "code": "set_base_docker set_repo set_script",
    "found": "get_by_name get_task get_tasks query_tasks",
    "moves": "clone create dequeue enqueue",
    "labels": "add_tags comment get_tags set_comment set_name set_progress set_tags",
    "outputs": "artifacts get_logger get_output_log_web_page logger output_uri "
    "register_artifact upload_artifact flush",
    "iterations": "get_initial_iteration get_last_iteration set_initial_iteration",
    "policy": "get_policy set_policy",
    "life": "get_status mark_completed mark_failed mark_stopped status",
    "abort": "register_abort_callback",
    "run": "close create_function_task execute_remotely launch_multi_node",
    "before": "add_requirements force_requirements_env_freeze running_locally "
    "running_remotely set_offline set_random_seed",
}
_HOME_OF = {name: part for part, names in _HOMES.items() for name in names.split()}


class Parts(type):
    """The type of ``Task``: it grows bases as they are needed."""

    def __getattr__(cls, name: str) -> Any:
        _grow(cls, name)
        return type.__getattribute__(cls, name)

    def __dir__(cls) -> list[str]:
        _add(cls, list(PARTS))
        return sorted({name for base in cls.__mro__ for name in vars(base)})


class PartsBase(TaskBase):
    """Looks a missing name of an instance up in the parts that are not there yet."""

    def __getattr__(self, name: str) -> Any:
        _grow(type(self), name)
        return object.__getattribute__(self, name)  # or raises what a property raised

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            _grow(type(self), name)  # it may be a property
        object.__setattr__(self, name, value)


#: Parts that are there.
_grown: dict[str, type] = {}
_lock = RLock()


def _grow(cls: type, name: str) -> None:
    """Import the part that ``name`` is in, or all."""
    if not name.startswith("__"):
        home = _HOME_OF.get(name)
        _add(cls, [home] if home is not None else list(PARTS))


def _add(cls: type, modules: list[str]) -> None:
    from importlib import import_module

    with _lock:  # who comes second finds the bases complete
        missing = [module for module in modules if module not in _grown]
        for module in missing:
            _grown[module] = getattr(import_module(f"dray.sdk.tasks.{module}"), PARTS[module])
        if not missing:
            return
        task = next(kind for kind in cls.__mro__ if PartsBase in kind.__bases__)
        parts = [_grown[module] for module in PARTS if module in _grown]
        # A base that another one derives from comes with that one.
        bases = [b for b in parts if not any(b in o.__mro__ for o in parts if o is not b)]
        task.__bases__ = (*bases, PartsBase)
