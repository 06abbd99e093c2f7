"""What plots are put together from: titles, labels, columns of points, members of the user's."""

from __future__ import annotations

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.plots.plain import plain, rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def merged(base: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the members of ``more``; dicts on both sides become one."""
    made = dict(base)
    for key, value in more.items():
        old = made.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            made[key] = merged(cast("dict[str, Any]", old), cast("dict[str, Any]", value))
        elif isinstance(old, dict) and key == "title" and isinstance(value, str):
            made[key] = {**cast("dict[str, Any]", old), "text": value}
        else:
            made[key] = value
    return made


def columns_of(name: str, value: Any, n_columns: int) -> list[list[Any]]:
    """Points as one list for each coordinate."""
    points = rows(name, value)
    if points and len(points[0]) != n_columns:
        kind = "pairs (x, y)" if n_columns == 2 else "triples (x, y, z)"
        raise InvalidInput(
            f"{name} must be {kind}; got rows of {len(points[0])} values", field=name
        )
    return [[point[at] for point in points] for at in range(n_columns)]


def names_of(name: str, labels: Any) -> list[str]:
    """Labels as text; none of None."""
    if labels is None:
        return []
    listed = plain(labels)
    if isinstance(listed, str) or not isinstance(listed, list):
        raise WrongType(f"{name} must be a list of names, got {labels!r}", field=name)
    return [str(label) for label in cast("list[Any]", listed)]


def demand_one_each(
    name: str, names: list[str], n: int, what: str, may_be_empty: bool = True
) -> None:
    """Raise unless there is a name for each of ``n`` things."""
    if len(names) != n and not (may_be_empty and not names):
        raise InvalidInput(f"{name} are {len(names)}, but there are {n} {what}", field=name)


def mode_of(mode: str) -> str:
    """``mode`` of a line, which plotly knows."""
    parts = {part.strip() for part in str(mode).split("+")}
    if not parts <= {"lines", "markers", "text", "none"}:
        raise InvalidInput(
            f"mode must be lines, markers or lines+markers, got {mode!r}", field="mode"
        )
    return str(mode)


def plane(title: str, comment: str | None, xaxis: str | None, yaxis: str | None) -> dict[str, Any]:
    """The layout of a plot with two axes."""
    return {
        "title": title_of(title, comment),
        "xaxis": {"title": {"text": xaxis or ""}},
        "yaxis": {"title": {"text": yaxis or ""}},
    }


def title_of(title: str, comment: str | None) -> dict[str, str]:
    """The title, with a comment below it."""
    return {"text": f"{title}<br><sup>{comment}</sup>" if comment else title}


def members_of(name: str, members: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a user adds to a plot, made plain."""
    if members is None:
        return {}
    made = plain(members)
    if not isinstance(made, dict):
        raise WrongType(f"{name} must be a dict, got {type(members).__name__}", field=name)
    return cast("dict[str, Any]", made)
