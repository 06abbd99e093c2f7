"""Scalar series in the store: points in packed chunks, and the summary that is kept beside them.

A chunk is what one frame brought for a series. Where frames bring little, points join the last
chunk until it is full, so that a history is read in few rows however slowly it came.
"""

from __future__ import annotations

import math
import operator
import sqlite3
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from dray.runtime.downsample import min_max
from dray.runtime.store import database
from dray.runtime.store.contract import ScalarSeries
from dray.runtime.store.packing import FLOATS, INTEGERS, pack, unpack
from dray.runtime.store.session import Session

#: Points a chunk is filled up to: rewriting so many costs no more than a row of its own.
TAIL_POINTS = 128

_MAKE = "INSERT OR IGNORE INTO series (task_id, title, name) VALUES (?, ?, ?)"
_FIND = "SELECT * FROM series WHERE task_id = ? AND title = ? AND name = ?"
_SUMMARISE = """
UPDATE series SET last = ?, last_iteration = ?, first = ?, min = ?, min_iteration = ?, max = ?,
    max_iteration = ?, total = ?, n_finite = ?, n_points = ? WHERE id = ?
"""
_TAIL = """
SELECT id, epoch, n_points, last_iteration, iterations, vals, times FROM chunks
WHERE id = (SELECT MAX(id) FROM chunks WHERE series_id = ?) AND epoch = ? AND n_points <= ?
"""
_ADD = """
INSERT INTO chunks (series_id, epoch, n_points, last_iteration, iterations, vals, times)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_EXTEND = """
UPDATE chunks SET n_points = ?, last_iteration = ?, iterations = ?, vals = ?, times = ?
WHERE id = ?
"""
_CHUNKS = "SELECT iterations, vals, times FROM chunks WHERE series_id = ? ORDER BY id"
_OF_TASK = "SELECT * FROM series WHERE task_id = ?"
_DROP_CHUNKS = """
DELETE FROM chunks WHERE epoch <= ? AND series_id IN (SELECT id FROM series WHERE task_id = ?)
"""
_DROP_EMPTY = """
DELETE FROM series WHERE task_id = ?
AND NOT EXISTS (SELECT 1 FROM chunks WHERE series_id = series.id)
"""


@dataclass
class Points:
    """Points of one series in order of arrival; values need not be finite."""

    iterations: list[int] = field(default_factory=list[int])
    values: list[float] = field(default_factory=list[float])
    times: list[float] = field(default_factory=list[float])

    def add(self, iteration: int, value: float, at: float) -> None:
        """One more."""
        self.iterations.append(iteration)
        self.values.append(value)
        self.times.append(at)


@dataclass(frozen=True)
class _Summary:
    """Of a series' finite values; the first seven are None while there is none."""

    last: float | None = None
    last_iteration: int | None = None
    first: float | None = None
    min: float | None = None
    min_iteration: int | None = None
    max: float | None = None
    max_iteration: int | None = None
    total: float = 0.0
    n_finite: int = 0
    n_points: int = 0


async def write_points(
    session: Session, task_id: str, epoch: int, name: tuple[str, str], points: Points
) -> None:
    """Add points to a series, which is made when it is new.

    Args:
        name: title and series.
    """
    row = await database.row(session, _FIND, (task_id, *name))
    if row is None:
        await session.execute(_MAKE, (task_id, *name))
        row = await database.row(session, _FIND, (task_id, *name))
    if row is None:
        raise LookupError(f"series {name} of task {task_id} was not made")
    await _add_chunk(session, row["id"], epoch, points)
    before = _Summary(**{member: row[member] for member in _Summary.__dataclass_fields__})
    await _write_summary(session, row["id"], _with(before, points.iterations, points.values))


async def drop_points(session: Session, task_id: str, up_to_epoch: int) -> None:
    """Forget what attempts up to an epoch reported; later ones keep theirs."""
    await session.execute(_DROP_CHUNKS, (up_to_epoch, task_id))
    await session.execute(_DROP_EMPTY, (task_id,))
    for row in await database.rows(session, _OF_TASK, (task_id,)):
        iterations, values, _ = unpacked(await database.rows(session, _CHUNKS, (row["id"],)))
        await _write_summary(session, row["id"], _with(_Summary(), iterations, values))


async def read_chunks(session: Session, series_id: int) -> list[sqlite3.Row]:
    """The chunks of a series in order of arrival."""
    return await database.rows(session, _CHUNKS, (series_id,))


def thinned(chunks: list[sqlite3.Row], limit: int) -> ScalarSeries:
    """At most ``limit`` points by iteration, with their extremes; of one iteration as they came."""
    iterations, values, times = unpacked(chunks)
    if not all(map(operator.le, iterations, iterations[1:])):
        order = sorted(range(len(iterations)), key=iterations.__getitem__)
        iterations = array(INTEGERS, map(iterations.__getitem__, order))
        values = array(FLOATS, map(values.__getitem__, order))
        times = array(FLOATS, map(times.__getitem__, order))
    kept = min_max(values, limit)
    return ScalarSeries(
        iterations=[iterations[i] for i in kept],
        values=[values[i] if math.isfinite(values[i]) else None for i in kept],
        times=[times[i] for i in kept],
    )


def page_of(
    chunks: list[sqlite3.Row], after: tuple[int, int], limit: int
) -> tuple[ScalarSeries, tuple[int, int] | None]:
    """Points in order of arrival, and where the next page goes on; None at the end.

    Args:
        chunks: from the one in which the page before ended.
        after: that chunk, and how many of its points were taken: it may have grown since.
        limit: points at most.
    """
    page = ScalarSeries([], [], [])
    for row in chunks:
        start = after[1] if row["id"] == after[0] else 0
        end = min(row["n_points"], start + limit - len(page.iterations))
        iterations, values, times = unpacked([row])
        page.iterations.extend(iterations[start:end])
        page.values.extend(v if math.isfinite(v) else None for v in values[start:end])
        page.times.extend(times[start:end])
        if len(page.iterations) == limit:
            return page, (row["id"], end)
    return page, None


def unpacked(rows: list[sqlite3.Row]) -> tuple[array[int], array[float], array[float]]:
    """Iterations, values and times of chunks, one after the other."""
    return (
        unpack(INTEGERS, b"".join(row["iterations"] for row in rows)),
        unpack(FLOATS, b"".join(row["vals"] for row in rows)),
        unpack(FLOATS, b"".join(row["times"] for row in rows)),
    )


async def _add_chunk(session: Session, series_id: int, epoch: int, points: Points) -> None:
    columns = (
        pack(INTEGERS, points.iterations),
        pack(FLOATS, points.values),
        pack(FLOATS, points.times),
    )
    n_points, last = len(points.iterations), max(points.iterations)
    room = TAIL_POINTS - n_points
    tail = await database.row(session, _TAIL, (series_id, epoch, room)) if room > 0 else None
    if tail is None:
        await session.execute(_ADD, (series_id, epoch, n_points, last, *columns))
        return
    n_points, last = n_points + tail["n_points"], max(last, tail["last_iteration"])
    before = (tail["iterations"], tail["vals"], tail["times"])
    grown = [old + new for old, new in zip(before, columns, strict=True)]
    await session.execute(_EXTEND, (n_points, last, *grown, tail["id"]))


def _with(before: _Summary, iterations: Iterable[int], values: Iterable[float]) -> _Summary:
    """The summary after more points, which arrived in this order."""
    steps, numbers = list(iterations), list(values)
    n_points = before.n_points + len(numbers)
    if not math.isfinite(sum(numbers)):  # some are not, or they are huge
        finite = [(i, v) for i, v in zip(steps, numbers, strict=True) if math.isfinite(v)]
        steps, numbers = [i for i, _ in finite], [v for _, v in finite]
    if not numbers:
        return _Summary(**{**vars(before), "n_points": n_points})
    low, high = min(numbers), max(numbers)
    is_lowest = before.min is None or low < before.min
    is_highest = before.max is None or high > before.max
    return _Summary(
        last=numbers[-1],
        last_iteration=steps[-1],
        first=numbers[0] if before.n_finite == 0 else before.first,
        min=low if is_lowest else before.min,
        min_iteration=steps[numbers.index(low)] if is_lowest else before.min_iteration,
        max=high if is_highest else before.max,
        max_iteration=steps[numbers.index(high)] if is_highest else before.max_iteration,
        total=_number(before.total + sum(numbers)),
        n_finite=before.n_finite + len(numbers),
        n_points=n_points,
    )


async def _write_summary(session: Session, series_id: int, s: _Summary) -> None:
    extremes = (s.min, s.min_iteration, s.max, s.max_iteration)
    counts = (s.total, s.n_finite, s.n_points)
    shown = (s.last, s.last_iteration, s.first, *extremes, *counts)
    await session.execute(_SUMMARISE, (*shown, series_id))


def _number(total: float) -> float:
    """``total``, or infinity where it overflowed both ways: SQLite has no NaN."""
    return math.inf if math.isnan(total) else total
