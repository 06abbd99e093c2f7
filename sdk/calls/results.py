"""Calls for what a task has left behind: console, scalars, plots, media, artifacts."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dray.runtime.answers import ConsolePage, Media, Plot, Series
from dray.runtime.models import Artifact
from dray.sdk.http.call import (
    Call,
    Conversation,
    as_,
    as_items,
    as_nothing,
    as_page,
    ask,
    at,
    every_item,
)


def console(
    task_id: str,
    *,
    after: int | None = None,
    tail_bytes: int | None = None,
    stream: str = "",
    limit_bytes: int | None = None,
) -> Call[ConsolePage]:
    """Console pieces after a place, or the last ``tail_bytes`` of all.

    ``after`` is ``next`` of an earlier page; ``stream`` is ``stdout``, ``stderr`` or
    ``prepare``, and all of them unless said.
    """
    query = {
        "after": after,
        "tail_bytes": tail_bytes,
        "stream": stream,
        "limit_bytes": limit_bytes,
    }
    return Call("GET", at("tasks", task_id, "console"), as_(ConsolePage), query=query)


def raw_range(
    task_id: str, stream: str, epoch: int | None, start: int | None, end: int | None
) -> tuple[str, dict[str, Any], dict[str, str] | None]:
    """Path, query and headers that ask for bytes ``start`` up to ``end`` of one stream."""
    headers = None
    if start is not None or end is not None:
        last = "" if end is None else str(end - 1)
        headers = {"Range": f"bytes={start or 0}-{last}"}
    return at("tasks", task_id, "console", "raw"), {"epoch": epoch, "stream": stream}, headers


def scalars(
    task_id: str, *, title: str = "", series: str = "", max_points: int = 1000
) -> Call[dict[str, dict[str, Series]]]:
    """Points by title and series, each thinned to at most ``max_points``."""
    query = {"title": title, "series": series, "max_points": max_points}
    return Call("GET", at("tasks", task_id, "scalars"), _all_series, query=query)


def points(task_id: str, title: str, series: str) -> Conversation[Series]:
    """Every point of one series, by iteration; of one iteration as they arrived."""
    query = {"title": title, "series": series}
    call = Call("GET", at("tasks", task_id, "points"), _points_page, query=query)
    found: list[tuple[int, float, float]] = []
    while True:
        page, cursor = yield from ask(call)
        found += zip(page.iterations, page.values, page.times, strict=True)
        if cursor is None:
            break
        call = replace(call, query={**query, "cursor": cursor})
    found.sort(key=operator.itemgetter(0))
    return Series([p[0] for p in found], [p[1] for p in found], [p[2] for p in found])


def plots(
    task_id: str,
    *,
    title: str = "",
    series: str = "",
    max_iterations: int | None = None,
) -> Conversation[list[Plot]]:
    """Reported tables, matrices and figures, the latest iterations first.

    Args:
        task_id: whole id.
        title: of one chart only.
        series: of one series only.
        max_iterations: so many of the latest iterations of each series; None: all.
    """
    query = {"title": title, "series": series, "max_iterations": max_iterations}
    return every_item(Call("GET", at("tasks", task_id, "plots"), as_page(Plot), query=query))


def media(
    task_id: str,
    *,
    title: str = "",
    series: str = "",
    max_iterations: int | None = None,
) -> Conversation[list[Media]]:
    """Debug samples, the latest iterations first; see ``plots`` for the arguments."""
    query = {"title": title, "series": series, "max_iterations": max_iterations, "limit": 500}
    return every_item(Call("GET", at("tasks", task_id, "media"), as_page(Media), query=query))


def artifacts(task_id: str) -> Call[list[Artifact]]:
    """The task's named outputs."""
    return Call("GET", at("tasks", task_id, "artifacts"), as_items(Artifact))


def artifact(task_id: str, name: str) -> Call[Artifact]:
    """One named output."""
    return Call("GET", at("tasks", task_id, "artifacts", name), as_(Artifact))


def put_artifact(task_id: str, members: Mapping[str, Any]) -> Call[None]:
    """Add an artifact to a task from outside its run, its bytes being uploaded already.

    ``members`` are those of ``models.Artifact``.

    Raises:
        NotEditable: the task is published.
    """
    body = {key: value for key, value in members.items() if key != "name"}
    path = at("tasks", task_id, "artifacts", str(members["name"]))
    return Call("PUT", path, as_nothing, body=body)


def delete_artifact(task_id: str, name: str) -> Call[Artifact]:
    """Forget an artifact; what it was.

    Raises:
        NotFound: there is none of that name.
        NotEditable: the task is published.
    """
    return Call("DELETE", at("tasks", task_id, "artifacts", name), as_(Artifact))


def _all_series(answer: Any) -> dict[str, dict[str, Series]]:
    return {
        title: {name: _series(points) for name, points in by_name.items()}
        for title, by_name in answer.items()
    }


def _points_page(answer: Any) -> tuple[Series, str | None]:
    return _series(answer), answer["next_cursor"]


def _series(points: dict[str, Any]) -> Series:
    # JSON has no NaN: the server sends it as null, or as the word.
    values = [float("nan") if v is None else float(v) for v in points["values"]]
    return Series(
        iterations=[int(i) for i in points["iterations"]],
        values=values,
        times=[float(t) for t in points.get("times", ())],
    )
