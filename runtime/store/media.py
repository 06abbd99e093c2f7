"""Debug samples: files beside iterations of a series, of which a series keeps the last ones."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from dray.runtime.store.contract import Media
from dray.runtime.store.database import Database
from dray.runtime.store.session import Session

#: Samples a series keeps unless its record says otherwise.
HISTORY = 100
#: No number of SQLite is higher.
_HIGHEST = (1 << 63) - 1

_PUT = """
INSERT INTO media (task_id, title, series, iteration, epoch, filename, content_type, sha256,
    n_bytes, uri, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task_id, title, series, iteration) DO UPDATE
SET epoch = excluded.epoch, filename = excluded.filename, content_type = excluded.content_type,
    sha256 = excluded.sha256, n_bytes = excluded.n_bytes, uri = excluded.uri, at = excluded.at
"""
_FORGET = """
DELETE FROM media WHERE seq IN (
    SELECT seq FROM media WHERE task_id = ? AND title = ? AND series = ?
    ORDER BY iteration DESC LIMIT -1 OFFSET ?
)
"""
_PAGE = """
SELECT * FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY title, series ORDER BY iteration DESC) AS nth
    FROM media WHERE task_id = :task AND (:title IS NULL OR title = :title)
        AND (:name IS NULL OR series = :name)
) WHERE nth <= :n_last AND (iteration, seq) < (:iteration, :seq)
ORDER BY iteration DESC, seq DESC LIMIT :limit
"""
_ONE = "SELECT * FROM media WHERE task_id = ? AND seq = ?"


@dataclass(frozen=True)
class Sample:
    """One debug sample as it is reported.

    Attributes:
        sha256: of its bytes.
        uri: where its bytes lie; empty: they are a blob of the store.
        history: so many samples of its series stay, those of the highest iterations; None: all.
    """

    title: str
    series: str
    iteration: int
    filename: str
    content_type: str
    sha256: str
    n_bytes: int
    uri: str
    at: float
    history: int | None = HISTORY


async def write(session: Session, task_id: str, epoch: int, samples: list[Sample]) -> None:
    """Keep samples; one that is reported again for its iteration replaces the first."""
    limits: dict[tuple[str, str], int | None] = {}
    for one in samples:
        where = (task_id, one.title, one.series, one.iteration, epoch)
        what = (one.filename, one.content_type, one.sha256, one.n_bytes, one.uri, one.at)
        await session.execute(_PUT, (*where, *what))
        limits[one.title, one.series] = one.history
    for series, history in limits.items():
        if history is not None:
            await session.execute(_FORGET, (task_id, *series, history))


async def read(
    results: Database,
    task_id: str,
    title: str | None = None,
    series: str | None = None,
    *,
    n_last: int | None = None,
    after: tuple[int, int] | None = None,
    limit: int = 200,
) -> list[Media]:
    """Samples by iteration, the newest first.

    Args:
        results: the database.
        task_id: whole id.
        title: of one chart only.
        series: of one series only.
        n_last: so many iterations of each series; None: all that are kept.
        after: iteration and seq of the last one of the page before; None for the first.
        limit: samples at most.
    """
    iteration, seq = after or (_HIGHEST, _HIGHEST)
    wanted = {
        "task": task_id,
        "title": title,
        "name": series,
        "n_last": _HIGHEST if n_last is None else n_last,
        "iteration": iteration,
        "seq": seq,
        "limit": limit,
    }

    return [_media_of(row) for row in await results.rows(_PAGE, wanted)]


async def read_one(results: Database, task_id: str, seq: int) -> Media | None:
    """The sample of a task by its number."""
    row = await results.row(_ONE, (task_id, seq))
    return None if row is None else _media_of(row)


def _media_of(row: sqlite3.Row) -> Media:
    return Media(
        seq=row["seq"],
        title=row["title"],
        series=row["series"],
        iteration=row["iteration"],
        filename=row["filename"],
        content_type=row["content_type"],
        sha256=row["sha256"],
        n_bytes=row["n_bytes"],
        uri=row["uri"],
        at=row["at"],
    )
