"""High-rate results: scalars, single values, plots and texts, and how far streams have come."""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dray.runtime.downsample import min_max
from dray.runtime.models import Metric
from dray.runtime.store import database
from dray.runtime.store.contract import Plot, ScalarSeries, TextLine
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session

#: Points in one answer at most, whatever the number of series and the history.
ANSWER_POINTS = 200_000

_OFFSETS = "SELECT stream, n_bytes FROM offsets WHERE task_id = ? AND epoch = ?"
_SERIES = """
SELECT * FROM series WHERE task_id = :task AND (:title IS NULL OR title = :title)
    AND (:name IS NULL OR name = :name) ORDER BY title, name
"""
_POINTS = """
SELECT iteration, value, at FROM points WHERE series_id = ? ORDER BY iteration, epoch, position
"""
# The machine is sampled by the clock: its charts say nothing of how far the script came.
_LAST_ITERATION = """
SELECT MAX((SELECT MAX(p.iteration) FROM points p WHERE p.series_id = s.id)) AS iteration
FROM series s WHERE s.task_id = ? AND s.title NOT LIKE ':monitor:%'
"""
_SINGLES = "SELECT name, value FROM singles WHERE task_id = ? ORDER BY name"
_PLOTS = """
SELECT * FROM plots WHERE task_id = :task AND (:title IS NULL OR title = :title)
ORDER BY at DESC, title, series LIMIT :limit
"""
_TEXTS = "SELECT * FROM texts WHERE task_id = ? AND seq > ? ORDER BY seq LIMIT ?"

_MAKE_SERIES = "INSERT OR IGNORE INTO series (task_id, title, name) VALUES (?, ?, ?)"
_FIND_SERIES = "SELECT * FROM series WHERE task_id = ? AND title = ? AND name = ?"
_UPDATE_SERIES = """
UPDATE series SET last = ?, last_iteration = ?, min = ?, max = ?, n_points = ? WHERE id = ?
"""
_ADD_POINT = """
INSERT OR IGNORE INTO points (series_id, iteration, epoch, position, value, at)
VALUES (?, ?, ?, ?, ?, ?)
"""
_PUT_SINGLE = """
INSERT INTO singles (task_id, name, epoch, value, at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (task_id, name) DO UPDATE
SET epoch = excluded.epoch, value = excluded.value, at = excluded.at
"""
_PUT_PLOT = """
INSERT INTO plots (task_id, title, series, iteration, epoch, type, data, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task_id, title, series, iteration) DO UPDATE
SET epoch = excluded.epoch, type = excluded.type, data = excluded.data, at = excluded.at
"""
_ADD_TEXT = """
INSERT OR IGNORE INTO texts (task_id, epoch, position, at, level, message)
VALUES (?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True)
class Point:
    """One scalar; ``position`` is the byte at which its record begins in the stream."""

    iteration: int
    position: int
    value: float
    at: float


@dataclass
class Batch:
    """Results out of the records of one frame.

    Attributes:
        points: (title, series) → points in order of arrival.
        singles: name → (value, time); the last one stays.
        plots: (title, series, iteration, type, JSON, time).
        texts: (position, time, level, message).
    """

    points: dict[tuple[str, str], list[Point]] = field(
        default_factory=dict[tuple[str, str], list[Point]]
    )
    singles: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    plots: list[tuple[str, str, int, str, str, float]] = field(
        default_factory=list[tuple[str, str, int, str, str, float]]
    )
    texts: list[tuple[int, float, str, str]] = field(
        default_factory=list[tuple[int, float, str, str]]
    )


class Results:
    """What tasks report while they run."""

    def __init__(self, results: Database) -> None:
        self._results = results

    async def offsets(self, task_id: str, epoch: int) -> dict[str, int]:
        """Bytes of each stream that were accepted; streams without any are left out."""
        found = await self._results.rows(_OFFSETS, (task_id, epoch))
        return {row["stream"]: row["n_bytes"] for row in found}

    async def metrics(self, task_id: str) -> dict[str, dict[str, Metric]]:
        """Title → series → summary, of the series that have a finite value."""
        metrics: dict[str, dict[str, Metric]] = {}
        for row in await self._find_series(task_id, None, None):
            if row["last"] is not None:
                metrics.setdefault(row["title"], {})[row["name"]] = Metric(
                    last=row["last"],
                    last_iteration=row["last_iteration"],
                    min=row["min"],
                    max=row["max"],
                    n_points=row["n_points"],
                )
        return metrics

    async def next_iteration(self, task_id: str) -> int:
        """One more than the highest iteration of any scalar the script reported; 0 without one."""
        row = await self._results.row(_LAST_ITERATION, (task_id,))
        return 0 if row is None or row["iteration"] is None else max(0, row["iteration"] + 1)

    async def single_values(self, task_id: str) -> dict[str, float]:
        """Name → the value last reported, of those that are finite."""
        found = await self._results.rows(_SINGLES, (task_id,))
        return {row["name"]: row["value"] for row in found if _is_finite(row["value"])}

    async def scalars(
        self,
        task_id: str,
        title: str | None = None,
        series: str | None = None,
        max_points: int = 1000,
    ) -> dict[str, dict[str, ScalarSeries]]:
        """Title → series → points by iteration, downsampled so that extremes stay.

        Args:
            task_id: whole id.
            title: of one chart only.
            series: of one series only.
            max_points: per series; fewer when there are very many series.
        """
        found = await self._find_series(task_id, title, series)
        limit = max(2, min(max_points, ANSWER_POINTS // max(1, len(found))))
        answer: dict[str, dict[str, ScalarSeries]] = {}
        for row in found:
            points = await self._results.rows(_POINTS, (row["id"],))
            # A long history is thinned off the loop, which has others to serve.
            thinned = await asyncio.to_thread(_thin, points, limit)
            answer.setdefault(row["title"], {})[row["name"]] = thinned
        return answer

    async def plots(self, task_id: str, title: str | None = None, limit: int = 200) -> list[Plot]:
        """The plots reported last, newest first; per title, series and iteration the last one."""
        wanted = {"task": task_id, "title": title, "limit": limit}
        found = await self._results.rows(_PLOTS, wanted)
        return [
            Plot(
                title=row["title"],
                series=row["series"],
                iteration=row["iteration"],
                type=row["type"],
                data=json.loads(row["data"], parse_constant=str),
                at=row["at"],
            )
            for row in found
        ]

    async def texts(self, task_id: str, after: int = 0, limit: int = 1000) -> list[TextLine]:
        """Lines of ``report_text`` in order of arrival, after a ``seq``."""
        found = await self._results.rows(_TEXTS, (task_id, after, limit))
        return [
            TextLine(row["seq"], row["epoch"], row["at"], row["level"], row["message"])
            for row in found
        ]

    async def _find_series(
        self, task_id: str, title: str | None, name: str | None
    ) -> list[sqlite3.Row]:
        wanted = {"task": task_id, "title": title, "name": name}
        return await self._results.rows(_SERIES, wanted)


async def write_batch(connection: Session, task_id: str, epoch: int, batch: Batch) -> None:
    """Write the results of one frame in the transaction that moves its offsets."""
    for (title, name), points in batch.points.items():
        await _write_points(connection, task_id, epoch, (title, name), points)
    await connection.executemany(
        _PUT_SINGLE,
        [(task_id, name, epoch, value, at) for name, (value, at) in batch.singles.items()],
    )
    await connection.executemany(
        _PUT_PLOT,
        [
            (task_id, title, series, iteration, epoch, kind, data, at)
            for title, series, iteration, kind, data, at in batch.plots
        ],
    )
    await connection.executemany(_ADD_TEXT, [(task_id, epoch, *line) for line in batch.texts])


async def _write_points(
    connection: Session,
    task_id: str,
    epoch: int,
    series: tuple[str, str],
    points: list[Point],
) -> None:
    row = await database.row(connection, _FIND_SERIES, (task_id, *series))
    if row is None:
        await connection.execute(_MAKE_SERIES, (task_id, *series))
        row = await database.row(connection, _FIND_SERIES, (task_id, *series))
    if row is None:
        raise LookupError(f"series {series} of task {task_id} was not made")
    await connection.executemany(
        _ADD_POINT,
        # SQLite keeps NaN as NULL, which reads back as "not finite".
        [(row["id"], p.iteration, epoch, p.position, p.value, p.at) for p in points],
    )
    await connection.execute(_UPDATE_SERIES, (*_summary(row, points), row["id"]))


def _summary(row: sqlite3.Row, points: list[Point]) -> tuple[Any, ...]:
    """The series' summary after ``points``, which arrived in this order."""
    finite = [p for p in points if math.isfinite(p.value)]
    n_points = row["n_points"] + len(points)
    if not finite:
        return row["last"], row["last_iteration"], row["min"], row["max"], n_points
    values = [p.value for p in finite]
    if row["last"] is not None:
        values += [row["min"], row["max"]]
    return finite[-1].value, finite[-1].iteration, min(values), max(values), n_points


def _thin(points: Iterable[sqlite3.Row], limit: int) -> ScalarSeries:
    rows = list(points)
    values = [row["value"] if _is_finite(row["value"]) else None for row in rows]
    kept = min_max(values, limit)
    return ScalarSeries(
        iterations=[rows[i]["iteration"] for i in kept],
        values=[values[i] for i in kept],
        times=[rows[i]["at"] for i in kept],
    )


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
