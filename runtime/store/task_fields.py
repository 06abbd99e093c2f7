"""The members of a task that filters and orders may name, by ClearML's dotted names, in SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dray.runtime.errors import InvalidInput

# ``d`` is the row of ``documents``, ``p`` of ``projects``.
_PLAIN = {
    "id": "t.id",
    "name": "t.name",
    "comment": "t.comment",
    "type": "t.type",
    "status": "t.state",
    "state": "t.state",
    "status_message": "json_extract(t.cause, '$.message')",
    "parent": "t.parent_id",
    "user": "t.owner",
    "owner": "t.owner",
    "project": "p.name",
    "project.name": "p.name",
    "execution.queue": "t.queue",
    "queue": "t.queue",
    "priority": "t.priority",
    "progress": "t.progress",
    "last_worker": "(SELECT a.agent FROM attempts a WHERE a.task_id = t.id ORDER BY epoch DESC)",
    "script.repository": "json_extract(d.execution, '$.repository')",
    "script.branch": "json_extract(d.execution, '$.branch')",
    "script.version_num": "json_extract(d.execution, '$.commit')",
    "script.diff": "json_extract(d.execution, '$.diff')",
    "script.entry_point": "json_extract(d.execution, '$.entry_point')",
    "script.working_dir": "json_extract(d.execution, '$.working_dir')",
    "script.binary": "json_extract(d.execution, '$.python_version')",
    "script.requirements": "json_extract(d.execution, '$.packages')",
    "script.requirements.pip": "json_extract(d.execution, '$.packages')",
    "container.image": "json_extract(d.execution, '$.container.image')",
    "container.arguments": "json_extract(d.execution, '$.container.arguments')",
    "output.destination": "json_extract(d.execution, '$.output_uri')",
}
#: Times, by name.
TIMES = {
    "created": "t.created_at",
    "started": "t.started_at",
    "completed": "t.ended_at",
    "last_update": "t.updated_at",
    "last_change": "t.updated_at",
    "status_changed": "CASE t.state WHEN 'draft' THEN t.created_at WHEN 'pending' "
    "THEN t.enqueued_at WHEN 'running' THEN t.started_at ELSE t.ended_at END",
}
#: Those that every task has.
NEVER_MISSING = frozenset(
    f"t.{column}"
    for column in (
        "id",
        "name",
        "comment",
        "type",
        "state",
        "parent_id",
        "owner",
        "queue",
        "priority",
        "created_at",
        "updated_at",
    )
)
#: Column of a summary of a series, by the name that programs give it.
METRIC_VALUES = {
    "value": "last",
    "last": "last",
    "min_value": "min",
    "min": "min",
    "max_value": "max",
    "max": "max",
}
METRICS = "last_metrics."
#: Called in SQL with the number of a metric and a task's id.
METRIC_FUNCTION = "dray_metric"
#: Called in SQL: text that is a number as that number, so that 10 comes after 9.
NUMBER_FUNCTION = "dray_number"


@dataclass(frozen=True)
class Expression:
    """Something to compare or to sort by.

    Attributes:
        metric: path of the series, where it is one; its number is the only parameter.
    """

    sql: str
    parameters: list[Any] = field(default_factory=list[Any])
    metric: str = ""

    @property
    def has_documents(self) -> bool:
        """Whether it reads the long texts of a task."""
        return "d." in self.sql


def expression(name: str, where: str) -> Expression:
    """What ``name`` stands for.

    Args:
        name: such as ``script.branch`` or ``hyperparams.Args.lr``.
        where: the member of the filter, for messages.

    Raises:
        InvalidInput: there is no such member of a task.
    """
    if name in _PLAIN:
        return Expression(_PLAIN[name])
    if name in TIMES:
        return Expression(TIMES[name])
    if name.startswith(METRICS):
        if name.rpartition(".")[2] not in METRIC_VALUES or name.count(".") < 3:
            raise InvalidInput(
                f"{where}: {name!r} is not last_metrics.TITLE.SERIES.VALUE, with "
                f"{', '.join(METRIC_VALUES)} as VALUE",
                field=f"task_filter.{where}",
                value=name,
            )
        return Expression(f"{METRIC_FUNCTION}(?, t.id)", [name], metric=name)
    kind, _, rest = name.partition(".")
    if kind not in _PATHS or not rest or '"' in rest:
        known = ", ".join([*_PLAIN, *TIMES, "tags", *(f"{p}.NAME" for p in _PATHS), f"{METRICS}…"])
        raise InvalidInput(
            f"{where}: a task has no member {name!r} to search; there are {known}",
            field=f"task_filter.{where}",
            value=name,
        )
    column, path = _PATHS[kind](rest)
    return Expression(f"json_extract({column}, ?)", [path])


def _member(text: str) -> str:
    return text.removesuffix(".value")


def _parameter_path(text: str) -> tuple[str, str]:
    section, _, name = _member(text).partition(".")
    if section == "properties":
        return "d.properties", f'$."{name}"'
    return "d.parameters", f'$."{section}/{name}".value' if name else f'$."{section}".value'


def _configuration_path(text: str) -> tuple[str, str]:
    return "d.configuration", f'$."{_member(text)}".text'


def _runtime_path(text: str) -> tuple[str, str]:
    return "d.runtime", f'$."{text}"'


_PATHS = {
    "hyperparams": _parameter_path,
    "configuration": _configuration_path,
    "runtime": _runtime_path,
}


def number_of(text: Any) -> Any:
    """Text that is a number as that number; anything else as it is."""
    if not isinstance(text, str):
        return text
    try:
        return float(text)
    except ValueError:
        return text
