"""Lists of tasks: filters, order and keyset paging as one SQL statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dray.runtime.errors import InvalidInput
from dray.runtime.store import cursors
from dray.runtime.store.contract import TaskQuery
from dray.runtime.store.projects import clean_name, subtree

LIMIT = 1000
_ORDERS = ("created_at", "updated_at", "name")
_IN_PROJECT = "t.project_id IN (SELECT id FROM projects WHERE name = ? OR (name >= ? AND name < ?))"
#: LIKE's own characters in what a user typed.
_ESCAPES = str.maketrans({"%": r"\%", "_": r"\_", "\\": r"\\"})


@dataclass
class Statement:
    """A statement that yields the ids and sort keys of one page, one row more than asked."""

    conditions: list[str] = field(default_factory=list[str])
    parameters: list[Any] = field(default_factory=list[Any])

    def add(self, condition: str, *parameters: Any) -> None:
        """Require one thing more."""
        self.conditions.append(condition)
        self.parameters.extend(parameters)


def build(query: TaskQuery) -> tuple[str, list[Any]]:
    """SQL and parameters for one page of ``query``; rows are (id, key).

    Raises:
        InvalidInput: an order or a cursor that cannot be used.
    """
    column, descending = _order(query)
    statement = Statement()
    _filter(statement, query)
    if query.cursor is not None:
        key, task_id = cursors.decode(query.order, query.cursor)
        sign = "<" if descending else ">"
        statement.add(f"(t.{column}, t.id) {sign} (?, ?)", key, task_id)
    where = " AND ".join(statement.conditions) or "1"
    direction = "DESC" if descending else "ASC"
    sql = (
        f"SELECT t.id, t.{column} AS key FROM tasks t WHERE {where} "  # noqa: S608  (no user text)
        f"ORDER BY t.{column} {direction}, t.id {direction} LIMIT ?"
    )
    return sql, [*statement.parameters, limit_of(query) + 1]


def limit_of(query: TaskQuery) -> int:
    """Tasks in one page: at least 1, at most ``LIMIT``."""
    return max(1, min(query.limit, LIMIT))


def _order(query: TaskQuery) -> tuple[str, bool]:
    column = query.order.removeprefix("-")
    if column not in _ORDERS:
        raise InvalidInput(
            f"order {query.order!r} is none of {', '.join(_ORDERS)} (with - in front: descending)",
            field="order",
            value=query.order,
        )
    return column, query.order.startswith("-")


def _filter(statement: Statement, query: TaskQuery) -> None:
    if query.project is not None:
        # Its index is in order of creation; in another order, going through that order's index
        # and leaving out other projects is cheaper than sorting a whole project (+ says so).
        hint = "" if query.order.endswith("created_at") else "+"
        statement.add(hint + _IN_PROJECT, *subtree(clean_name(query.project)))
    if query.name is not None:
        statement.add(r"t.name LIKE ? ESCAPE '\'", _containing(query.name))
    if query.search is not None:
        pattern = _containing(query.search)
        statement.add(
            r"(t.name LIKE ? ESCAPE '\' OR t.comment LIKE ? ESCAPE '\' OR t.id LIKE ? ESCAPE '\')",
            *[pattern] * 3,
        )
    for tag in query.tags:
        # Asked of each task in order: a common tag fills a page soon, and is not gathered whole.
        statement.add("EXISTS (SELECT 1 FROM tags g WHERE g.task_id = t.id AND g.tag = ?)", tag)
    _any_of(statement, "state", [str(state) for state in query.states])
    _any_of(statement, "type", [str(kind) for kind in query.types])
    for column, value in (("name", query.name_exact), ("owner", query.owner)):
        if value is not None:
            statement.add(f"t.{column} = ?", value)
    for column, value in (("queue", query.queue), ("parent_id", query.parent_id)):
        if value is not None:
            partial = f" AND t.{column} <> ''" if value else ""  # as the index has it
            statement.add(f"t.{column} = ?{partial}", value)


def _any_of(statement: Statement, column: str, values: list[str]) -> None:
    if values:
        holes = ",".join("?" * len(values))
        statement.add(f"t.{column} IN ({holes})", *values)


def _containing(text: str) -> str:
    return f"%{text.translate(_ESCAPES)}%"
