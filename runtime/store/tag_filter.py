"""Filters on tags, in the words of ClearML's programs, as a condition of SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dray.runtime.errors import InvalidInput

#: Operator → what joins the tags after it.
_JOINS = {"__$all": " AND ", "__$and": " AND ", "__$any": " OR ", "__$or": " OR "}
_NOT = "__$not"
_NO_OPERATOR = "__$nop"
_HAS = "EXISTS (SELECT 1 FROM {join} AND g.system = {system} AND g.tag = ?)"
_HAS_ANY = "EXISTS (SELECT 1 FROM {join} AND g.system = {system})"
#: Whose tags → where they are.
_TABLES = {
    "tasks": "tags g WHERE g.task_id = t.id",
    "models": "model_tags g WHERE g.model_id = m.id",
}


@dataclass
class _Group:
    """Tags after one operator."""

    join: str
    is_said: bool
    terms: list[str] = field(default_factory=list[str])
    parameters: list[Any] = field(default_factory=list[Any])


def condition(
    name: str, tags: Sequence[Any], *, system: bool, of: str = "tasks"
) -> tuple[str, list[Any]]:
    """What the tags of a task or a model must be like.

    Tags are alternatives unless an operator says otherwise: ``__$all`` (``__$and``) and ``__$any``
    (``__$or``) hold for the tags after them, up to the next one; the groups must all hold.
    ``__$not`` turns the next tag around. A tag to leave out (``-tag``; ``__$not`` before any
    operator) is left out whatever else fits. None stands for having no tags.

    Args:
        name: of the filter, for messages.
        tags: tags and operators.
        system: whether system tags are meant.
        of: ``tasks`` (``t`` in SQL) or ``models`` (``m``).

    Raises:
        InvalidInput: an operator that there is not, or something else than text.
    """
    groups = [_Group(" OR ", is_said=False)]
    excluded = _Group(" AND ", is_said=True)
    join = _TABLES[of]
    has = _HAS.format(join=join, system=int(system))
    is_negated = False
    for tag in tags:
        if tag in _JOINS or tag == _NO_OPERATOR:
            groups.append(_Group(_JOINS.get(tag, " OR "), is_said=tag != _NO_OPERATOR))
            continue
        if tag == _NOT:
            is_negated = True
            continue
        _check(name, tag)
        group = groups[-1]
        is_minus = isinstance(tag, str) and tag.startswith("-")
        if is_minus or (is_negated and not group.is_said):
            group = excluded
        term = has if tag is not None else f"NOT {_HAS_ANY.format(join=join, system=int(system))}"
        group.terms.append(f"NOT {term}" if is_minus or is_negated else term)
        if tag is not None:
            group.parameters.append(tag.removeprefix("-") if is_minus else tag)
        is_negated = False
    kept = [group for group in (*groups, excluded) if group.terms]
    sql = " AND ".join(f"({group.join.join(group.terms)})" for group in kept)
    return sql, [parameter for group in kept for parameter in group.parameters]


def _check(name: str, tag: Any) -> None:
    if tag is not None and not isinstance(tag, str):
        raise InvalidInput(
            f"{name}: {tag!r} is no text; tags are texts", field=f"task_filter.{name}"
        )
    if isinstance(tag, str) and tag.startswith("__$"):
        known = ", ".join([*_JOINS, _NOT])
        raise InvalidInput(
            f"{name}: there is no operator {tag!r}; there are {known}",
            field=f"task_filter.{name}",
            value=tag,
        )
