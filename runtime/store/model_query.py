"""Lists of models: filters, order and keyset paging as one SQL statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dray.runtime.errors import InvalidInput
from dray.runtime.registry import ARCHIVED
from dray.runtime.store import cursors, tag_filter
from dray.runtime.store.projects import clean_name, subtree

LIMIT = 500
_ORDERS = ("created_at", "updated_at", "name")
_IN_PROJECT = "m.project_id IN (SELECT id FROM projects WHERE name = ? OR (name >= ? AND name < ?))"
_OF_PROJECT = "m.project_id IN (SELECT id FROM projects WHERE name = ?)"
_OF_TASK = (
    "(m.task_id = ? AND m.task_id <> '' "
    "OR m.id IN (SELECT model_id FROM task_models WHERE task_id = ?))"
)
_NOT_TAGGED = (
    "NOT EXISTS (SELECT 1 FROM model_tags g WHERE g.model_id = m.id AND g.tag = ? AND g.system)"
)
_HAS_FACT = (
    "EXISTS (SELECT 1 FROM json_each(m.metadata) j "
    "WHERE j.key = ? AND json_extract(j.value, '$.value') = ?)"
)
#: LIKE's own characters in what a user typed.
_ESCAPES = str.maketrans({"%": r"\%", "_": r"\_", "\\": r"\\"})


@dataclass(frozen=True)
class ModelQuery:
    """Which models, in which order.

    Attributes:
        project: full name; its sub-projects are included unless ``project_only``.
        name: part of the name, any case.
        tags: any of them, or what their operators say (see ``store.tag_filter``).
        system_tags: as ``tags``.
        metadata: key → value; all of them.
        task: whole id of a task that made it or uses it.
        order: ``created_at``, ``updated_at`` or ``name``; ``-`` in front: descending.
    """

    project: str | None = None
    project_only: bool = False
    name: str | None = None
    name_exact: str | None = None
    tags: list[str] = field(default_factory=list[str])
    system_tags: list[str] = field(default_factory=list[str])
    only_published: bool = False
    include_archived: bool = False
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    task: str | None = None
    uri: str | None = None
    order: str = "-created_at"
    limit: int = 50
    cursor: str | None = None


def build(query: ModelQuery) -> tuple[str, list[Any]]:
    """SQL and parameters for one page of ``query``; rows are (id, key), one more than asked.

    Raises:
        InvalidInput: an order, a cursor or tags that cannot be used.
    """
    column = query.order.removeprefix("-")
    if column not in _ORDERS:
        raise InvalidInput(
            f"order {query.order!r} is none of {', '.join(_ORDERS)} (with - in front: descending)",
            field="order",
            value=query.order,
        )
    conditions, parameters = _filter(query)
    descending = query.order.startswith("-")
    if query.cursor is not None:
        key, model_id = cursors.decode(query.order, query.cursor)
        conditions.append(f"(m.{column}, m.id) {'<' if descending else '>'} (?, ?)")
        parameters += [key, model_id]
    direction = "DESC" if descending else "ASC"
    sql = (
        f"SELECT m.id, m.{column} AS key FROM models m "  # noqa: S608  (no user text)
        f"WHERE {' AND '.join(conditions) or '1'} "
        f"ORDER BY m.{column} {direction}, m.id {direction} LIMIT ?"
    )
    return sql, [*parameters, limit_of(query) + 1]


def limit_of(query: ModelQuery) -> int:
    """Models in one page: at least 1, at most ``LIMIT``."""
    return max(1, min(query.limit, LIMIT))


def _filter(query: ModelQuery) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []

    def add(condition: str, *values: Any) -> None:
        conditions.append(condition)
        parameters.extend(values)

    if query.project is not None and query.project_only:
        add(_OF_PROJECT, clean_name(query.project))
    elif query.project is not None:
        add(_IN_PROJECT, *subtree(clean_name(query.project)))
    if query.name is not None:
        add(r"m.name LIKE ? ESCAPE '\'", f"%{query.name.translate(_ESCAPES)}%")
    if query.name_exact is not None:
        add("m.name = ?", query.name_exact)
    if query.only_published:
        add("m.published")
    if not query.include_archived:
        add(_NOT_TAGGED, ARCHIVED)
    for key, value in query.metadata.items():
        add(_HAS_FACT, key, value)
    if query.task is not None:
        add(_OF_TASK, query.task, query.task)
    if query.uri is not None:
        add("m.uri = ? AND m.uri <> ''", query.uri)
    for name, tags in (("tag", query.tags), ("system_tag", query.system_tags)):
        if tags:
            sql, values = tag_filter.condition(name, tags, system=name == "system_tag", of="models")
            add(f"({sql or '1'})", *values)
    return conditions, parameters
