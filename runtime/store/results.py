"""High-rate results: scalars, single values, plots, texts, media, and how far streams have come."""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
from dataclasses import dataclass, field
from functools import partial

from dray.runtime.models import Metric
from dray.runtime.store import database, media
from dray.runtime.store.contract import Media, Plot, ScalarSeries, TextLine
from dray.runtime.store.database import Database
from dray.runtime.store.series import Points, page_of, read_chunks, thinned, write_points
from dray.runtime.store.session import Session

#: Points in one answer at most, whatever the number of series and the history.
ANSWER_POINTS = 200_000
#: Bytes of plots in one answer, unless the first alone has more.
ANSWER_BYTES = 16 << 20

#: No number of SQLite is higher.
_HIGHEST = (1 << 63) - 1

_OFFSETS = "SELECT stream, n_bytes FROM offsets WHERE task_id = ? AND epoch = ?"
_SERIES = """
SELECT * FROM series WHERE task_id = :task AND (:title IS NULL OR title = :title)
    AND (:name IS NULL OR name = :name) ORDER BY title, name
"""
_CHUNKS_AFTER = """
SELECT c.id, c.n_points FROM chunks c JOIN series s ON s.id = c.series_id
WHERE s.task_id = ? AND s.title = ? AND s.name = ? AND c.id >= ? ORDER BY c.id LIMIT ?
"""
_CHUNK = "SELECT id, n_points, iterations, vals, times FROM chunks WHERE id = ?"
# The machine is sampled by the clock: its charts say nothing of how far the script came.
_LAST_ITERATION = """
SELECT MAX((SELECT MAX(c.last_iteration) FROM chunks c WHERE c.series_id = s.id)) AS iteration
FROM series s WHERE s.task_id = ? AND s.title NOT LIKE ':monitor:%'
"""
_SINGLES = "SELECT name, value FROM singles WHERE task_id = ? ORDER BY name"
# Which plots, without their data: of each series the last iterations, newest first.
_PLOTS = """
SELECT rowid, size FROM (
    SELECT rowid, iteration, LENGTH(CAST(data AS BLOB)) AS size,
        ROW_NUMBER() OVER (PARTITION BY title, series ORDER BY iteration DESC) AS nth
    FROM plots WHERE task_id = :task AND (:title IS NULL OR title = :title)
        AND (:name IS NULL OR series = :name)
) WHERE nth <= :n_last AND (iteration, rowid) < (:iteration, :rowid)
ORDER BY iteration DESC, rowid DESC LIMIT :limit
"""
_PLOT = "SELECT rowid, * FROM plots WHERE rowid = ?"
_TEXTS = "SELECT * FROM texts WHERE task_id = ? AND seq > ? ORDER BY seq LIMIT ?"

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


@dataclass
class Batch:
    """Results out of the records of one frame.

    Attributes:
        points: (title, series) → points.
        singles: name → (value, time); the last one stays.
        plots: (title, series, iteration, type, JSON, time).
        texts: (position, time, level, message).
        media: debug samples in order of arrival.
    """

    points: dict[tuple[str, str], Points] = field(default_factory=dict[tuple[str, str], Points])
    singles: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    plots: list[tuple[str, str, int, str, str, float]] = field(
        default_factory=list[tuple[str, str, int, str, str, float]]
    )
    texts: list[tuple[int, float, str, str]] = field(
        default_factory=list[tuple[int, float, str, str]]
    )
    media: list[media.Sample] = field(default_factory=list[media.Sample])


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
                    first=row["first"],
                    mean=_mean(row["total"], row["n_finite"]),
                    min_iteration=row["min_iteration"],
                    max_iteration=row["max_iteration"],
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
            chunks = await self._results.read(partial(read_chunks, series_id=row["id"]))
            # A long history is thinned off the loop, which has others to serve.
            few = await asyncio.to_thread(thinned, chunks, limit)
            answer.setdefault(row["title"], {})[row["name"]] = few
        return answer

    async def points(
        self, task_id: str, title: str, series: str, after: tuple[int, int] | None, limit: int
    ) -> tuple[ScalarSeries, tuple[int, int] | None]:
        """Every point of a series in order of arrival, some at a time.

        Args:
            task_id: whole id.
            title: of the chart.
            series: of the chart.
            after: where the page before ended; None for the first.
            limit: points at most.

        Returns:
            Points, and where the next page goes on; None at the end.
        """
        chunk, n_taken = after or (0, 0)

        async def unit(session: Session) -> list[sqlite3.Row]:
            # A chunk has a point at least.
            wanted = (task_id, title, series, chunk, limit + 2)
            chunks, n_points = list[sqlite3.Row](), -n_taken
            for one in await database.rows(session, _CHUNKS_AFTER, wanted):
                if n_points > limit:
                    break
                n_points += one["n_points"]
                chunks += await database.rows(session, _CHUNK, (one["id"],))
            return chunks

        chunks = await self._results.read(unit)
        return await asyncio.to_thread(page_of, chunks, (chunk, n_taken), limit)

    async def plots(self, task_id: str, title: str | None = None, limit: int = 200) -> list[Plot]:
        """The plots of the latest iterations; see :meth:`plots_page`."""
        return (await self.plots_page(task_id, title, limit=limit))[0]

    async def plots_page(
        self,
        task_id: str,
        title: str | None = None,
        series: str | None = None,
        *,
        n_last: int | None = None,
        after: tuple[int, int] | None = None,
        limit: int = 200,
    ) -> tuple[list[Plot], tuple[int, int] | None]:
        """Plots by iteration, the newest first; per title, series and iteration the last one.

        Args:
            task_id: whole id.
            title: of one chart only.
            series: of one series only.
            n_last: so many iterations of each series; None: all.
            after: where the page before ended; None for the first.
            limit: plots at most; fewer when they are large.

        Returns:
            Plots, and where the next page goes on; None at the end.
        """
        iteration, rowid = after or (_HIGHEST, _HIGHEST)
        wanted = {
            "task": task_id,
            "title": title,
            "name": series,
            "n_last": _HIGHEST if n_last is None else n_last,
            "iteration": iteration,
            "rowid": rowid,
            "limit": limit + 1,
        }

        async def unit(session: Session) -> tuple[list[sqlite3.Row], bool]:
            found = await database.rows(session, _PLOTS, wanted)
            kept, n_bytes = list[sqlite3.Row](), 0
            for one in found[:limit]:
                n_bytes += one["size"]
                if kept and n_bytes > ANSWER_BYTES:
                    break
                kept += await database.rows(session, _PLOT, (one["rowid"],))
            return kept, len(kept) < len(found)

        rows, has_more = await self._results.read(unit)
        plots = await asyncio.to_thread(lambda: [_plot_of(row) for row in rows])
        return plots, (rows[-1]["iteration"], rows[-1]["rowid"]) if has_more else None

    async def media(
        self,
        task_id: str,
        title: str | None = None,
        series: str | None = None,
        *,
        n_last: int | None = None,
        after: tuple[int, int] | None = None,
        limit: int = 200,
    ) -> list[Media]:
        """Debug samples by iteration, the newest first (see ``store.media``)."""
        return await media.read(
            self._results, task_id, title, series, n_last=n_last, after=after, limit=limit
        )

    async def sample(self, task_id: str, seq: int) -> Media | None:
        """One debug sample; None when it is not there, or not any more."""
        return await media.read_one(self._results, task_id, seq)

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


def _plot_of(row: sqlite3.Row) -> Plot:
    return Plot(
        title=row["title"],
        series=row["series"],
        iteration=row["iteration"],
        type=row["type"],
        data=json.loads(row["data"], parse_constant=str),
        at=row["at"],
    )


async def write_batch(connection: Session, task_id: str, epoch: int, batch: Batch) -> None:
    """Write the results of one frame in the transaction that moves its offsets."""
    for name, points in batch.points.items():
        await write_points(connection, task_id, epoch, name, points)
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
    await media.write(connection, task_id, epoch, batch.media)


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _mean(total: float, n_finite: int) -> float | None:
    return total / n_finite if n_finite and math.isfinite(total) else None
