"""Searches for tasks as ClearML's programs write them (``task_filter``), as SQL."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, cast

from dray.runtime import patterns
from dray.runtime.errors import InvalidInput
from dray.runtime.models import TaskType
from dray.runtime.patterns import Pattern
from dray.runtime.state_words import state_of
from dray.runtime.store import tag_filter, task_fields
from dray.runtime.store.projects import clean_name, subtree
from dray.runtime.store.task_fields import NUMBER_FUNCTION, Expression

#: Called in SQL with the number of a pattern and a text.
FOUND_FUNCTION = "dray_found"
#: Patterns in one filter at most.
_PATTERN_LIMIT = 20
_DEFAULT_ORDER = ("-last_update",)
_OPERATORS = (">=", "<=", "==", ">", "<")
_ESCAPES = str.maketrans({"%": r"\%", "_": r"\_", "\\": r"\\"})


@dataclass
class Search:
    """A filter taken apart.

    Attributes:
        conditions: of SQL, over ``t`` (tasks), ``d`` (documents) and ``p`` (projects).
        parameters: of the conditions, in order.
        patterns: those that ``FOUND_FUNCTION`` is called with the numbers of.
        metrics: paths of series whose summaries ``METRIC_FUNCTION`` is asked for.
        order: what to sort by, and whether the last comes first.
    """

    conditions: list[str] = field(default_factory=list[str])
    parameters: list[Any] = field(default_factory=list[Any])
    patterns: list[Pattern] = field(default_factory=list[Pattern])
    metrics: list[str] = field(default_factory=list[str])
    order: list[tuple[Expression, bool]] = field(default_factory=list[tuple[Expression, bool]])
    order_names: list[str] = field(default_factory=list[str])
    page: int | None = None
    page_size: int = 500

    def add(self, condition: str, *parameters: Any) -> None:
        """Require one thing more."""
        self.conditions.append(condition)
        self.parameters.extend(parameters)

    def add_any(self, terms: list[tuple[str, list[Any]]], join: str = " OR ") -> None:
        """Require any of some things."""
        sql = join.join(f"({term})" for term, _ in terms)
        self.add(f"({sql or '0'})", *(p for _, parameters in terms for p in parameters))

    def metric(self, expression: Expression) -> Expression:
        """The expression with the numbers that its metric has in this search."""
        if not expression.metric:
            return expression
        if expression.metric not in self.metrics:
            self.metrics.append(expression.metric)
        return Expression(
            expression.sql, [self.metrics.index(expression.metric)], expression.metric
        )

    def pattern(self, text: str, *, ignore_case: bool = False) -> int:
        """The number of a new pattern."""
        if len(self.patterns) >= _PATTERN_LIMIT:
            raise InvalidInput(
                f"a filter takes at most {_PATTERN_LIMIT} patterns", field="task_filter"
            )
        self.patterns.append(patterns.compiled(text, ignore_case=ignore_case))
        return len(self.patterns) - 1

    def statement(self, limit: int, cursor: str | None) -> tuple[str, list[Any]]:
        """SQL of one page; rows are (id, k0, k1 …), one row more than ``limit``.

        Raises:
            InvalidInput: a cursor that another search gave.
        """
        keys: list[str] = []
        parameters: list[Any] = []
        for i, (key, descending) in enumerate(self.order):
            last = "-9e999" if descending else "9e999"  # what a task lacks comes last
            # An index is of use for a column as it is.
            found = (
                key.sql if key.sql in task_fields.NEVER_MISSING else f"COALESCE({key.sql}, {last})"
            )
            keys.append(f"{found} AS k{i}")
            parameters += key.parameters
        where = " AND ".join(self.conditions) or "1"
        joins = ""
        if any("d." in sql for sql in (*keys, where)):
            joins += " JOIN documents d ON d.task_id = t.id"
        if any("p.name" in sql for sql in (*keys, where)):
            joins += " JOIN projects p ON p.id = t.project_id"
        after, place = self._after(cursor)
        directions = [f"k{i} {'DESC' if d else 'ASC'}" for i, (_, d) in enumerate(self.order)]
        sql = (
            f"SELECT * FROM (SELECT t.id AS id, {', '.join(keys)} FROM tasks t{joins} "  # noqa: S608
            f"WHERE {where}) WHERE {after} ORDER BY {', '.join(directions)}, "
            f"id {'DESC' if self.order[-1][1] else 'ASC'} LIMIT ? OFFSET ?"
        )
        offset = 0 if self.page is None else self.page * self.page_size
        return sql, [*parameters, *self.parameters, *place, limit + 1, offset]

    def cursor(self, row: Any) -> str:
        """Where the page after ``row`` begins."""
        keys = [row[f"k{i}"] for i in range(len(self.order))]
        text = json.dumps([self.order_names, keys, row["id"]], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _after(self, cursor: str | None) -> tuple[str, list[Any]]:
        """Rows behind the cursor: equal in the first keys, and further in the next one."""
        if cursor is None:
            return "1", []
        keys, task_id = self._place(cursor)
        names = [*(f"k{i}" for i in range(len(keys))), "id"]
        values = [*keys, task_id]
        signs = ["<" if descending else ">" for _, descending in self.order]
        signs.append(signs[-1])
        terms: list[str] = []
        parameters: list[Any] = [keys[0]]
        for i, sign in enumerate(signs):
            equal = [f"{name} = ?" for name in names[:i]]
            terms.append(" AND ".join([*equal, f"{names[i]} {sign} ?"]))
            parameters += values[: i + 1]
        return f"k0 {signs[0]}= ? AND ({' OR '.join(terms)})", parameters

    def _place(self, cursor: str) -> tuple[list[Any], str]:
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            names, keys, task_id = json.loads(base64.urlsafe_b64decode(padded))
            if names != self.order_names or len(keys) != len(self.order):
                raise ValueError("it belongs to another order")
        except (ValueError, TypeError) as exc:
            raise InvalidInput(
                f"cursor {cursor!r} is not one this search gave; begin without a cursor",
                field="cursor",
                value=cursor,
            ) from exc
        return cast("list[Any]", keys), str(task_id)


def parse(task_filter: dict[str, Any]) -> Search:
    """A filter, checked.

    Raises:
        InvalidInput: a member that there is not, or a value that cannot be used.
    """
    search = Search()
    for name, value in task_filter.items():
        if name == "order_by" or value is None:
            continue
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(search, name, value)
        elif name in task_fields.TIMES:
            _times(search, name, value)
        elif name.startswith(task_fields.METRICS):
            _metric_range(search, name, value)
        elif name.startswith(("hyperparams.", "runtime.")):
            _texts(search, name, value)
        else:
            known = ", ".join(
                [*_HANDLERS, "order_by", *task_fields.TIMES, "hyperparams.…", "last_metrics.…"]
            )
            raise InvalidInput(
                f"task_filter has no {name!r}; there are: {known}", field=f"task_filter.{name}"
            )
    _order(search, task_filter.get("order_by"))
    return search


def _order(search: Search, given: Any) -> None:
    names = _list("order_by", given) or list(_DEFAULT_ORDER)
    search.order_names = [_text("order_by", name) for name in names]
    for name in search.order_names:
        plain = name.removeprefix("-").removeprefix("+")
        key = search.metric(task_fields.expression(plain, "order_by"))
        if plain.startswith(("hyperparams.", "runtime.")):
            key = Expression(f"{NUMBER_FUNCTION}({key.sql})", key.parameters)
        search.order.append((key, name.startswith("-")))


def _ids(search: Search, name: str, value: Any) -> None:
    ids = [_text(name, one) for one in _list(name, value)]
    search.add_any([("t.id = ?", [one]) for one in ids])


def _name(search: Search, name: str, value: Any) -> None:
    _match(search, "t.name", _text(name, value))


def _match(search: Search, sql: str, text: str, *, ignore_case: bool = False) -> None:
    """Require that a column fits a pattern; one that is a plain text needs no pattern."""
    plain = patterns.literal(text)
    if plain is None or ignore_case:
        search.add(f"{FOUND_FUNCTION}(?, {sql})", search.pattern(text, ignore_case=ignore_case))
    elif plain.is_whole:
        search.add(f"{sql} = ?", plain.text)
    elif plain.is_prefix and plain.text:
        search.add(f"{sql} >= ? AND {sql} < ?", plain.text, plain.text + "\U0010ffff")
    else:
        search.add(f"instr({sql}, ?) > 0", plain.text)


def _projects(search: Search, name: str, value: Any) -> None:
    given = [_text(name, one) for one in _list(name, value)]
    holes = ",".join("?" * len(given))
    names = [clean_name(one) for one in given]
    search.add(
        f"t.project_id IN (SELECT id FROM projects WHERE id IN ({holes}) OR name IN ({holes}))",  # noqa: S608
        *given,
        *names,
    )


def _project_trees(search: Search, name: str, value: Any) -> None:
    trees = [subtree(clean_name(_text(name, one))) for one in _list(name, value)]
    in_tree = "t.project_id IN (SELECT id FROM projects WHERE name = ? OR (name >= ? AND name < ?))"
    search.add_any([(in_tree, list(tree)) for tree in trees])


def _column(column: str) -> Callable[[Search, str, Any], None]:
    def handler(search: Search, name: str, value: Any) -> None:
        words = [_text(name, one) for one in _list(name, value)]
        # As the partial indexes have it, for a column that may be empty.
        partial = f" AND {column} <> ''" if words and all(words) else ""
        search.add(f"{column} IN ({','.join('?' * len(words))}){partial}", *words)

    return handler


def _states(search: Search, name: str, value: Any) -> None:
    states = [str(state_of(_text(name, one), name)) for one in _list(name, value)]
    search.add(f"t.state IN ({','.join('?' * len(states))})", *states)


def _types(search: Search, name: str, value: Any) -> None:
    words = [_text(name, one) for one in _list(name, value)]
    known = [kind.value for kind in TaskType]
    for word in words:
        if word not in known:
            raise InvalidInput(
                f"{name} {word!r} is none of {', '.join(known)}",
                field=f"task_filter.{name}",
                value=word,
            )
    search.add(f"t.type IN ({','.join('?' * len(words))})", *words)


def _tags(search: Search, name: str, value: Any) -> None:
    given = cast("list[Any]", value) if isinstance(value, list) else [value]
    sql, parameters = tag_filter.condition(name, given, system=name == "system_tags")
    if sql:
        search.add(sql, *parameters)


def _search_text(search: Search, name: str, value: Any) -> None:
    text = _text(name, value)
    columns = ("t.name", "t.comment", "t.id")
    like = _like(text)
    if like:
        search.add_any([(rf"{column} LIKE ? ESCAPE '\'", [like]) for column in columns])
        return
    number = search.pattern(text, ignore_case=True)
    search.add_any([(f"{FOUND_FUNCTION}(?, {column})", [number]) for column in columns])


def _like(text: str) -> str:
    """A plain text as ``LIKE`` has it, which is quicker; empty for a real pattern."""
    plain = patterns.literal(text)
    if plain is None or plain.is_prefix or plain.is_whole:
        return ""
    return f"%{plain.text.translate(_ESCAPES)}%"


def _fields(search: Search, name: str, value: Any) -> None:
    members = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if set(members) != {"fields", "pattern"}:
        raise InvalidInput(
            f"{name} is {value!r}: give a dict of 'fields' (names) and 'pattern' (a text)",
            field=f"task_filter.{name}",
        )
    text = _text(f"{name}.pattern", members["pattern"])
    number = search.pattern(text, ignore_case=True)
    like = _like(text)
    terms: list[tuple[str, list[Any]]] = []
    for one in _list(f"{name}.fields", members["fields"]):
        dotted = _text(f"{name}.fields", one)
        if dotted in ("tags", "system_tags"):
            terms.append(
                (
                    "EXISTS (SELECT 1 FROM tags g WHERE g.task_id = t.id AND "  # noqa: S608
                    f"g.system = {int(dotted != 'tags')} AND {FOUND_FUNCTION}(?, g.tag))",
                    [number],
                )
            )
            continue
        found = search.metric(task_fields.expression(dotted, name))
        if like:
            terms.append((rf"{found.sql} LIKE ? ESCAPE '\'", [*found.parameters, like]))
            continue
        terms.append((f"{FOUND_FUNCTION}(?, {found.sql})", [number, *found.parameters]))
    search.add_any(terms, " AND " if name.startswith("_all_") else " OR ")


def _times(search: Search, name: str, value: Any) -> None:
    column = task_fields.TIMES[name]
    given = _list(name, value)
    bounds = [one for one in given if one not in ("__$and", "__$all")]
    plain = [one for one in bounds if not str(one).startswith(_OPERATORS)]
    if plain and len(bounds) != 2:
        raise InvalidInput(
            f"{name} {value!r}: give times with an operator, as ['>=2024-01-01', '<2024-02-01'], "
            "or two times: from, to (None where it is open)",
            field=f"task_filter.{name}",
        )
    for sign, one in zip((">=", "<="), bounds, strict=False):
        if one is not None and one in plain:
            search.add(f"{column} {sign} ?", _time(name, one))
    for one in bounds:
        if one is not None and one not in plain:
            sign = next(s for s in _OPERATORS if one.startswith(s))
            search.add(f"{column} {sign} ?", _time(name, one[len(sign) :]))


def _time(name: str, value: Any) -> float:
    """Seconds since the epoch; a time without a zone is UTC."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    try:
        found = datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError as exc:
        raise InvalidInput(
            f"{name}: {text!r} is no time; write it as 2024-01-31 or 2024-01-31T12:00:00",
            field=f"task_filter.{name}",
            value=text,
        ) from exc
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def _metric_range(search: Search, name: str, value: Any) -> None:
    found = search.metric(task_fields.expression(name, name))
    bounds = _list(name, value)
    if len(bounds) != 2 or any(isinstance(one, str) for one in bounds):
        raise InvalidInput(
            f"{name} {value!r}: give two numbers, from and to (None where it is open)",
            field=f"task_filter.{name}",
        )
    for sign, bound in zip((">=", "<="), bounds, strict=True):
        if bound is not None:
            search.add(f"{found.sql} {sign} ?", *found.parameters, bound)


def _texts(search: Search, name: str, value: Any) -> None:
    found = task_fields.expression(name, name)
    words = [str(one) for one in _list(name, value)]
    search.add(f"{found.sql} IN ({','.join('?' * len(words))})", *found.parameters, *words)


def _page(search: Search, name: str, value: Any) -> None:
    limits = {"page": (0, 1_000_000), "page_size": (1, 500)}
    least, most = limits[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidInput(
            f"{name} {value!r} is no number from {least} to {most}",
            field=f"task_filter.{name}",
            value=str(value),
        )
    setattr(search, name, value)


def _nothing_hidden(search: Search, name: str, value: Any) -> None:
    """Accepted: nothing here is hidden, and unknown members are always refused."""
    _ = search, name, value


def _list(name: str, value: Any) -> list[Any]:
    if isinstance(value, list):
        return cast("list[Any]", value)
    if isinstance(value, dict):
        raise InvalidInput(
            f"{name} {value!r} is a dict; give a value or a list", field=f"task_filter.{name}"
        )
    return [] if value is None else [value]


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidInput(
            f"{name}: {value!r} is no text", field=f"task_filter.{name}", value=str(value)
        )
    return value


_HANDLERS: dict[str, Callable[[Search, str, Any], None]] = {
    "id": _ids,
    "name": _name,
    "comment": lambda search, name, value: _match(search, "t.comment", _text(name, value)),
    "project": _projects,
    "project_tree": _project_trees,
    "parent": _column("t.parent_id"),
    "queue": _column("t.queue"),
    "execution.queue": _column("t.queue"),
    "user": _column("t.owner"),
    "owner": _column("t.owner"),
    "status": _states,
    "state": _states,
    "type": _types,
    "tags": _tags,
    "system_tags": _tags,
    "search_text": _search_text,
    "_all_": _fields,
    "_any_": _fields,
    "page": _page,
    "page_size": _page,
    "search_hidden": _nothing_hidden,
    "_allow_extra_fields_": _nothing_hidden,
}
