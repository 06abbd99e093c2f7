"""Searches for tasks, run beside everything else: bounded in time, a few at a time."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dray.runtime.codec import from_json
from dray.runtime.errors import DrayError, InvalidInput
from dray.runtime.models import Task
from dray.runtime.patterns import OutOfTime
from dray.runtime.store import database, rows, task_filter
from dray.runtime.store.contract import Include, Page, TaskSearch
from dray.runtime.store.database import Database
from dray.runtime.store.results import Results
from dray.runtime.store.session import Session
from dray.runtime.store.task_fields import (
    METRIC_FUNCTION,
    METRIC_VALUES,
    METRICS,
    NUMBER_FUNCTION,
    number_of,
)
from dray.runtime.store.task_filter import FOUND_FUNCTION, Search

#: Seconds one search may take before it is given up.
TIME_LIMIT_S = 5.0
#: Tasks in one page; with everything in them, fewer.
_LIMITS = {Include.IDS: 1000, Include.TASKS: 500, Include.WHOLE: 100}
#: At a time: one reader is always left for everybody else.
_N_AT_A_TIME = 2
_SERIES_NAMES = "SELECT DISTINCT title, name FROM series"
_SERIES = "SELECT task_id, {column} AS value FROM series WHERE title = ? AND name = ?"


class TaskSearches:
    """Finds tasks by what programs ask for.

    Args:
        state: the tasks.
        results: their metrics.
        series: where the summaries of those are kept.
    """

    def __init__(self, state: Database, results: Results, series: Database) -> None:
        self._state = state
        self._results = results
        self._series = series
        self._turns = asyncio.Semaphore(_N_AT_A_TIME)

    async def run(self, asked: TaskSearch) -> Page[Task]:
        """One page of the tasks that a filter finds; with ``Include.IDS`` only ids are filled in.

        Raises:
            InvalidInput: a filter, order or cursor that cannot be used, or that takes too long.
        """
        parsed = task_filter.parse(dict(asked.filter))
        limit = max(1, min(asked.limit, _LIMITS[asked.include]))
        if parsed.page is not None:
            limit = min(parsed.page_size, _LIMITS[asked.include])
        metrics = [await self._metric(path) for path in parsed.metrics]
        async with self._turns:
            found, keys = await self._state.read(
                lambda session: _look(session, parsed, metrics, limit, asked)
            )
        cursor = parsed.cursor(keys[limit - 1]) if len(keys) > limit else None
        if parsed.page is not None:
            cursor = None  # one page was asked for
        if asked.include is Include.WHOLE:
            found = [
                replace(
                    task,
                    metrics=await self._results.metrics(task.id),
                    single_values=await self._results.single_values(task.id),
                )
                for task in found
            ]
        return Page(found, cursor)

    async def _metric(self, path: str) -> dict[str, float]:
        """Task → value of a series, named by title and series, or by the MD5 of both."""
        names, _, kind = path.removeprefix(METRICS).rpartition(".")
        parts = names.split(".")
        splits = [(".".join(parts[:i]), ".".join(parts[i:])) for i in range(1, len(parts))]
        if len(splits) == 1 and all(_is_md5(part) for part in parts):
            known = await self._series.rows(_SERIES_NAMES)
            splits = [
                (row["title"], row["name"])
                for row in known
                if [_md5(row["title"]), _md5(row["name"])] == parts
            ]
        sql = _SERIES.format(column=METRIC_VALUES[kind])
        values: dict[str, float] = {}
        for split in splits:
            for row in await self._series.rows(sql, split):
                if row["value"] is not None:
                    values[row["task_id"]] = row["value"]
        return values


async def _look(
    session: Session,
    parsed: Search,
    metrics: list[dict[str, float]],
    limit: int,
    asked: TaskSearch,
) -> tuple[list[Task], list[sqlite3.Row]]:
    sql, parameters = parsed.statement(limit, asked.cursor)
    deadline = time.monotonic() + TIME_LIMIT_S
    failures: list[Exception] = []

    def found(number: int, text: Any) -> int:
        pattern = parsed.patterns[number]
        return int(text is not None and pattern.found_in(str(text), deadline))

    def metric(number: int, task_id: str) -> float | None:
        return metrics[number].get(task_id)

    functions = {
        FOUND_FUNCTION: _kept(failures, found),
        METRIC_FUNCTION: _kept(failures, metric),
        NUMBER_FUNCTION: _kept(failures, number_of),
    }
    try:
        with session.searching(functions, lambda: time.monotonic() > deadline):
            keys = await database.rows(session, sql, parameters)
    except sqlite3.OperationalError as exc:
        refusals = [failure for failure in failures if isinstance(failure, DrayError)]
        if refusals:
            raise refusals[0] from exc
        if failures and not isinstance(failures[0], OutOfTime):
            raise failures[0] from exc
        if failures or "interrupted" in str(exc):
            raise InvalidInput(
                f"the search was given up after {TIME_LIMIT_S:g} s; narrow it by project, status, "
                "tags or time, or write a simpler pattern",
                field="task_filter",
            ) from exc
        raise
    ids = [row["id"] for row in keys[:limit]]
    if asked.include is Include.IDS:
        return [from_json(Task, {"id": i, "name": "", "project": ""}) for i in ids], keys
    loaded = await rows.load_tasks(session, ids, with_diff=asked.include is Include.WHOLE)
    return [loaded[task_id] for task_id in ids if task_id in loaded], keys


def _kept(failures: list[Exception], function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` for SQL, which says only that something failed: what it was is kept."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as exc:
            failures.append(exc)
            raise

    return call


def _is_md5(text: str) -> bool:
    return len(text) == 32 and all(character in "0123456789abcdef" for character in text)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
