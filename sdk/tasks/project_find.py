"""Projects of the server, chosen and ordered as ``Task.get_projects`` is asked to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from dray.runtime.errors import InvalidInput
from dray.runtime.models import Project
from dray.sdk.tasks import find as task_find
from dray.sdk.tasks.records import Record

_ORDERS = {"name": "name", "created": "created_at", "last_update": "created_at"}
_IGNORED = frozenset({"search_hidden", "_allow_extra_fields_", "only_fields", "include_stats"})
_TAKEN = ("name", "id", "order_by", "page", "page_size")


def projects(asked: Mapping[str, Any]) -> list[Record]:
    """See ``Task.get_projects``; they know no time of their last change, so it is their making."""
    for name in asked:
        if name not in _TAKEN and name not in _IGNORED:
            raise InvalidInput(
                f"get_projects has no {name!r}; there are: {', '.join(_TAKEN)}", field=name
            )
    found = task_find.client().list_projects()
    if asked.get("name"):
        pattern = _pattern(str(asked["name"]))
        found = [project for project in found if pattern.search(project.name)]
    if asked.get("id"):
        wanted = asked["id"]
        ids = [wanted] if isinstance(wanted, str) else list(wanted)
        found = [project for project in found if project.id in ids]
    found = _ordered(found, asked.get("order_by"))
    if asked.get("page") is not None:
        size = int(asked.get("page_size") or task_find.MANY)
        found = found[int(asked["page"]) * size :][:size]
    return [task_find.project_record(project) for project in found]


def _ordered(found: list[Project], order_by: Any) -> list[Project]:
    names: list[str] = [order_by] if isinstance(order_by, str) else list(order_by or ["name"])
    for name in reversed(names):
        member = _ORDERS.get(name.removeprefix("-"))
        if member is None:
            raise InvalidInput(
                f"order_by {name!r} is none of {', '.join(_ORDERS)}", field="order_by", value=name
            )
        found = sorted(found, key=attrgetter(member), reverse=name.startswith("-"))
    return found


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as exc:
        raise InvalidInput(
            f"name {text!r} is no regular expression: {exc}", field="name", value=text
        ) from exc
