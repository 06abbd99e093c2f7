"""What an edit or a clone makes of a task: pure merging and the rule of what may be edited."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from dray.runtime import codec
from dray.runtime.errors import InvalidInput, NotEditable
from dray.runtime.execution import Container, Execution
from dray.runtime.ids import is_id
from dray.runtime.models import Parameter, Policy, Task
from dray.runtime.registry import INPUT
from dray.runtime.repositories import check_repository
from dray.runtime.resources import Resources, check
from dray.runtime.states import State, is_terminal
from dray.runtime.store.contract import CloneRequest, TaskEdit

T = TypeVar("T")

#: What may be edited in every state; the rest only while the task is a draft.
ALWAYS_EDITABLE = frozenset({"name", "project", "comment", "tags", "system_tags", "properties"})
#: What says nothing of how it runs may also be edited until it has ended.
UNTIL_ITS_END = frozenset({"type", "parent_id", "labels", "publish_on_completion"})
#: Members of an edit that take the place of the task's.
_REPLACED = (
    "name",
    "project",
    "comment",
    "tags",
    "system_tags",
    "type",
    "priority",
    "parent_id",
    "labels",
    "publish_on_completion",
)
#: System tags that a clone does not have: where its source was made, and put away.
_OWN_SYSTEM_TAGS = frozenset({"archived", "development"})
#: Members of Execution that say which code; a snapshot of other code is dropped.
_CODE = frozenset({"repository", "commit", "branch", "diff"})
PRIORITY_LIMIT = 1_000_000
#: Seconds (over 30 years) or repetitions; what is meant to be more has no limit at all.
POLICY_LIMIT = 1_000_000_000


def edited(task: Task, edit: TaskEdit) -> Task:
    """``task`` after ``edit``.

    Raises:
        NotEditable: a member that only a draft lets change.
        InvalidInput: a value that cannot be used.
    """
    _check_editable(task, edit)
    changes: dict[str, Any] = {
        name: value for name in _REPLACED if (value := getattr(edit, name)) is not None
    }
    if edit.properties is not None:
        changes["properties"] = _merged(task.properties, edit.properties)
    if edit.parameters is not None or edit.replace_parameters:
        base = {} if edit.replace_parameters else task.parameters
        changes["parameters"] = _merged(base, edit.parameters or {})
    if edit.configuration is not None:
        changes["configuration"] = _merged(task.configuration, edit.configuration)
    if edit.policy is not None:
        changes["policy"] = merged_policy(task.policy, edit.policy)
    execution = _as_listed(edit.execution or {})
    if edit.output_uri is not None:
        execution["output_uri"] = edit.output_uri
    if execution:
        changes["execution"] = merged_execution(task.execution, execution)
    changed = checked(replace(task, **changes))
    if changed.parent_id != task.parent_id:
        check_parent(changed)
    return changed


def _as_listed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """``changes`` of an execution; whoever lists packages wants these and no lock of the code.

    A run that records what it found says ``packages_from`` itself.
    """
    is_listed = changes.get("packages") is not None and "packages_from" not in changes
    return {**changes, "packages_from": "task"} if is_listed else dict(changes)


def merged_execution(execution: Execution, changes: Mapping[str, Any]) -> Execution:
    """``execution`` with some members changed, ``resources`` merged member by member.

    Raises:
        InvalidInput: a member that does not exist, or a value of another type.
    """
    given = dict(codec.to_json(changes))
    _refuse_unknown(given, Execution, "execution")
    current = codec.to_json(execution)
    if isinstance(given.get("resources"), dict):
        _refuse_unknown(given["resources"], Resources, "execution.resources")
        given["resources"] = {**current["resources"], **given["resources"]}
    if isinstance(given.get("container"), dict):
        _refuse_unknown(given["container"], Container, "execution.container")
    if "snapshot" not in given and any(
        name in given and given[name] != current[name] for name in _CODE
    ):
        given["snapshot"] = ""
    try:
        return codec.from_json(Execution, {**current, **given})
    except ValueError as exc:
        raise InvalidInput(f"execution cannot be changed: {exc}", field="execution") from exc


def merged_policy(policy: Policy, changes: Mapping[str, Any]) -> Policy:
    """``policy`` with some members changed.

    Raises:
        InvalidInput: a member that does not exist, or a value of another type.
    """
    given = dict(codec.to_json(changes))
    _refuse_unknown(given, Policy, "policy")
    try:
        return codec.from_json(Policy, {**codec.to_json(policy), **given})
    except ValueError as exc:
        raise InvalidInput(f"policy cannot be changed: {exc}", field="policy") from exc


def handed_over(
    task: Task, execution: Mapping[str, Any], parameters: Mapping[str, Parameter]
) -> Task:
    """``task`` with what its run captured before it moved itself to a queue.

    Raises:
        InvalidInput: a member that does not exist, or a value that cannot be used.
    """
    return checked(
        replace(
            task,
            execution=merged_execution(task.execution, execution),
            parameters={**task.parameters, **parameters},
        )
    )


def cloned(source: Task, request: CloneRequest, new_id: str, owner: str) -> Task:
    """A draft like ``source``: its inputs, not its outputs."""

    def given(value: T | None, otherwise: T) -> T:
        return otherwise if value is None else value

    own_id = request.id or new_id
    # The id that a caller chose may be that of a parent which was deleted.
    origins = (one for one in (source.parent_id, source.id) if one not in ("", own_id))
    return Task(
        id=own_id,
        name=given(request.name, f"Clone of {source.name}"),
        project=given(request.project, source.project),
        type=source.type,
        tags=given(request.tags, source.tags),
        system_tags=[tag for tag in source.system_tags if tag not in _OWN_SYSTEM_TAGS],
        labels=source.labels,
        comment=given(request.comment, source.comment),
        parent_id=given(request.parent_id, next(origins, "")),
        owner=owner,
        priority=source.priority,
        policy=source.policy,
        execution=source.execution,
        parameters=source.parameters,
        configuration=source.configuration,
        models={INPUT: source.models.get(INPUT, [])},
    )


def checked(task: Task) -> Task:
    """``task`` itself when it may be stored.

    Raises:
        InvalidInput: no name, an impossible priority or amount of resources, a secret in sight.
    """
    if not task.name.strip():
        raise InvalidInput("a task needs a name", field="name")
    check_priority(task.priority)
    if any(not tag.strip() for tag in (*task.tags, *task.system_tags)):
        raise InvalidInput("a tag is empty", field="tags")
    check(task.execution.resources)
    check_repository(task.execution.repository)
    check_policy(task.policy)
    return task


def check_parent(task: Task) -> None:
    """Refuse a parent that cannot be one; it may have been deleted, or not be made yet.

    Raises:
        InvalidInput: no task's id, or the task's own.
    """
    if not task.parent_id or (is_id(task.parent_id) and task.parent_id != task.id):
        return
    problem = "the task itself" if task.parent_id == task.id else "not 32 hexadecimal digits"
    raise InvalidInput(
        f"parent_id {task.parent_id!r} is {problem}; give the whole id of another task",
        field="parent_id",
        value=task.parent_id,
    )


def check_policy(policy: Policy) -> None:
    """Refuse a policy with a number that means nothing.

    Raises:
        InvalidInput: a budget, delay or limit that is negative, without end, or no number.
    """
    for field in fields(policy):
        value = getattr(policy, field.name)
        is_limit = field.name == "max_run_time_s"
        if not isinstance(value, (int, float)):
            continue
        if not 0 <= value <= POLICY_LIMIT or (is_limit and value == 0):
            raise InvalidInput(
                f"policy.{field.name} is {value:g}: it must be "
                f"{'above' if is_limit else 'at least'} 0 and at most {POLICY_LIMIT}",
                field=f"policy.{field.name}",
                value=value if math.isfinite(value) else str(value),
            )


def check_priority(priority: int) -> None:
    """Refuse a priority that is out of bounds."""
    if abs(priority) > PRIORITY_LIMIT:
        raise InvalidInput(
            f"priority {priority} is outside -{PRIORITY_LIMIT} to {PRIORITY_LIMIT}",
            field="priority",
            value=priority,
        )


def _check_editable(task: Task, edit: TaskEdit) -> None:
    if task.state is State.DRAFT:
        return
    for field in fields(edit):
        value = getattr(edit, field.name)
        if field.name in UNTIL_ITS_END and not is_terminal(task.state):
            continue
        if field.name not in ALWAYS_EDITABLE and value is not None and value is not False:
            raise NotEditable(
                f"task {task.id[:8]} is {task.state}: {field.name} can be edited in a draft only; "
                "clone it and edit the clone",
                task_id=task.id,
                field=field.name,
                state=str(task.state),
            )


def _merged(base: Mapping[str, T], changes: Mapping[str, T | None]) -> dict[str, T]:
    left = {name: value for name, value in base.items() if name not in changes}
    return {**left, **{name: value for name, value in changes.items() if value is not None}}


def _refuse_unknown(given: Mapping[str, Any], kind: Any, where: str) -> None:
    known = {field.name for field in fields(kind)}
    for name in given:
        if name not in known:
            raise InvalidInput(f"{where} has no member {name!r}", field=f"{where}.{name}")
