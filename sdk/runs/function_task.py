"""``Task.create_function_task``: a copy of the task that runs up to a call, then one function."""

from __future__ import annotations

from collections.abc import Callable

from dray.runtime.errors import InvalidInput
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.parameters import values as parameters
from dray.sdk.tasks import start as task_start

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.tasks.base import TaskBase

SECTION = "Function"
#: Names the function in the section, as ClearML has it.
MARKER = "__func_readonly__"
#: System tag of such tasks.
TAG = "func"


#: (task, name) of the calls that were seen.
_seen: set[tuple[str, str]] = set()


def create(
    task: TaskBase,
    func: Callable[..., Any],
    func_name: str | None,
    task_name: str | None,
    kwargs: dict[str, Any],
) -> str | None:
    """The id of the draft; None in the run of another function. Does not return in its own.

    Raises:
        InvalidInput: no callable, a name used before, or the task does not run here.
    """
    attempt = task.attempt_here
    if attempt is None:
        raise InvalidInput(
            "create_function_task belongs to the task of this process, the one of Task.init",
            field="task",
        )
    if not callable(func):
        raise InvalidInput(f"func {func!r} is not callable", field="func", value=repr(func))
    name = str(func_name or getattr(func, "__name__", "") or type(func).__name__).strip()
    if (attempt.task_id, name) in _seen:
        raise InvalidInput(
            f"this task has a function {name!r} already: give another func_name",
            field="func_name",
            value=name,
        )
    _seen.add((attempt.task_id, name))
    asked = attempt.parameters(SECTION).get(MARKER, {}).get("value", "")
    if attempt.is_remote and asked:
        if asked == name:
            _run(task, func, kwargs)
        return None
    return _draft(task, name, task_name or f"{task.name} <{name}>", kwargs)


def _run(task: TaskBase, func: Callable[..., Any], kwargs: dict[str, Any]) -> None:
    connected = {k: v for k, v in kwargs.items() if parameters.is_storable(v)}
    connect: Any = getattr(task, "connect")  # noqa: B009  (of the part that comes with parameters)
    stored = connect(dict(connected), name=SECTION)
    given = {**kwargs, **{k: stored[k] for k in connected}}
    func(**given)
    raise SystemExit(0)


def _draft(task: TaskBase, name: str, task_name: str, kwargs: dict[str, Any]) -> str:
    values = {k: v for k, v in kwargs.items() if parameters.is_storable(v)}
    values[MARKER] = name
    members = {f"{SECTION}/{key}": parameters.as_record(value) for key, value in values.items()}
    run = task_start.current_run()
    attempt = task.attempt_here
    if run is not None and attempt is not None and not attempt.is_remote:
        from dray.sdk.runs import hand_over

        return hand_over.clone(
            run, task_name, parameters=members, parent_id=task.id, system_tags=[TAG]
        )
    client = task.server()
    clone = client.clone_task(task.id, name=task_name, parent_id=task.id)
    client.edit_task(clone.id, parameters=members, system_tags=[*clone.system_tags, TAG])
    return clone.id
