"""Points lie in packed chunks: what an older store has is packed, and chunks are filled up."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dray.runtime import causes
from dray.runtime.machine import Reset
from dray.runtime.records import Chunk, encode_record
from dray.runtime.store import series
from dray.runtime.store.integrity import check_store
from dray.runtime.store.migrate import migrate, migrations
from dray.runtime.store.series import thinned
from tests.contract.conftest import BY, World, finish_of

OLD = [
    # series, iteration, epoch, position, value, at
    (1, 3, 1, 300, 0.25, 13.0),
    (1, 1, 1, 100, 0.5, 11.0),
    (1, 2, 1, 200, None, 12.0),
    (1, 2, 2, 0, -4.0, 21.0),
    (1, 9, 2, 50, 9e999, 22.0),
    (2, -(1 << 63), 1, 400, 1e308, 14.0),
]


def old_store(path: Path) -> None:
    migrate(path, migrations("results")[:2], path.parent / "snapshots")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO series VALUES (1, 't1', 'loss', 'a', -4.0, 2, -4.0, 0.5, 5), "
            "(2, 't1', 'loss', 'b', 1e308, -9223372036854775808, 1e308, 1e308, 1)"
        )
        connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?, ?)", OLD)


def test_points_of_an_older_store_are_packed_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    old_store(path)
    migrate(path, migrations("results"), tmp_path / "snapshots")
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT * FROM chunks ORDER BY id").fetchall()
        summaries = connection.execute("SELECT * FROM series ORDER BY id").fetchall()
    of_first = [row for row in rows if row["series_id"] == 1]
    assert [(row["epoch"], row["n_points"], row["last_iteration"]) for row in of_first] == [
        (1, 3, 3),
        (2, 2, 9),
    ]
    seen = thinned(of_first, 100)
    assert (seen.iterations, seen.times) == ([1, 2, 2, 3, 9], [11.0, 12.0, 21.0, 13.0, 22.0])
    assert seen.values == [0.5, None, -4.0, 0.25, None]
    assert series.unpacked(of_first)[1][-1] == math.inf
    (other,) = (row for row in rows if row["series_id"] == 2)
    assert series.unpacked([other])[0].tolist() == [-(1 << 63)]
    first = summaries[0]
    assert (first["first"], first["total"], first["n_finite"]) == (0.5, -3.25, 3)
    assert (first["min_iteration"], first["max_iteration"]) == (2, 1)


def test_a_long_history_of_an_older_store_is_packed_whole(tmp_path: Path) -> None:
    path, n_points = tmp_path / "results.db", 20_000
    migrate(path, migrations("results")[:2], tmp_path / "snapshots")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO series VALUES (1, 't', 'a', 'b', 1, 1, 1, 1, 20000)")
        rows = ((1, i, 1, i * 80, i / 7, float(i)) for i in range(n_points))
        connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?, ?)", rows)
    migrate(path, migrations("results"), tmp_path / "snapshots")
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        chunks = connection.execute("SELECT * FROM chunks ORDER BY id").fetchall()
    iterations, values, times = series.unpacked(chunks)
    assert iterations.tolist() == list(range(n_points))
    assert values.tolist() == [i / 7 for i in range(n_points)]
    assert times.tolist() == [float(i) for i in range(n_points)]


def lines(numbers: range, *, name: str = "a") -> bytes:
    return b"".join(
        encode_record("scalar", float(i), title="t", series=name, i=i, v=float(i)) for i in numbers
    )


async def chunk_sizes(world: World) -> list[int]:
    with closing(sqlite3.connect(world.home.results_db)) as connection:
        return [n for (n,) in connection.execute("SELECT n_points FROM chunks ORDER BY id")]


async def test_points_that_trickle_in_fill_the_last_chunk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "TAIL_POINTS", 4)
    task_id, epoch = await world.running()
    for i in range(10):
        await world.record(task_id, epoch, "scalar", title="t", series="a", i=i, v=float(i))
    assert await chunk_sizes(world) == [4, 4, 2]
    points = (await world.store.results.scalars(task_id))["t"]["a"]
    assert (points.iterations, points.values) == (list(range(10)), [float(i) for i in range(10)])
    assert await world.store.results.next_iteration(task_id) == 10


async def test_a_page_of_points_goes_on_where_the_last_one_ended(world: World) -> None:
    task_id, epoch = await world.running()
    data = lines(range(300))
    await world.ship(task_id, epoch, Chunk("records", 0, data))
    seen, after = list[int](), None
    for _ in range(20):
        page, after = await world.store.results.points(task_id, "t", "a", after, 70)
        assert len(page.iterations) <= 70
        seen += page.iterations
        if after is None:
            break
    assert seen == list(range(300))
    nothing, after = await world.store.results.points(task_id, "t", "none", None, 70)
    assert (nothing.iterations, after) == ([], None)


async def test_a_page_goes_on_in_a_chunk_that_has_grown(world: World) -> None:
    task_id, epoch = await world.running()
    first, second = lines(range(5)), lines(range(5, 8))
    await world.ship(task_id, epoch, Chunk("records", 0, first))
    page, after = await world.store.results.points(task_id, "t", "a", None, 5)
    await world.ship(task_id, epoch, Chunk("records", len(first), second))
    assert after is not None
    more, _ = await world.store.results.points(task_id, "t", "a", after, 5)
    assert page.iterations + more.iterations == list(range(8))


async def test_the_summary_says_what_clearml_shows(world: World) -> None:
    task_id, epoch = await world.running()
    for i, v in enumerate([2.0, -1.0, math.nan, 5.0, 0.0]):
        await world.record(task_id, epoch, "scalar", title="t", series="s", i=i, v=v)
    metric = (await world.store.tasks.get(task_id)).metrics["t"]["s"]
    assert (metric.first, metric.last, metric.mean, metric.n_points) == (2.0, 0.0, 1.5, 5)
    assert (metric.min, metric.min_iteration) == (-1.0, 1)
    assert (metric.max, metric.max_iteration) == (5.0, 3)


@pytest.mark.parametrize("values", [[1.7e308, 1.7e308, -1.7e308, -1.7e308], [math.inf, -math.inf]])
async def test_numbers_at_the_edge_leave_the_store_working(
    world: World, values: list[float]
) -> None:
    task_id, epoch = await world.running()
    for i, v in enumerate(values):
        await world.record(task_id, epoch, "scalar", title="t", series="s", i=i, v=v)
    points = (await world.store.results.scalars(task_id))["t"]["s"]
    assert points.values == [v if math.isfinite(v) else None for v in values]


async def test_a_reset_takes_the_points_of_attempts_that_were_given_up(world: World) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("records", 0, lines(range(50))))
    await world.ship(task_id, epoch, finish=finish_of(causes.exited(1)))
    async with world.store.backup():  # it holds deletions up
        await world.store.tasks.apply(task_id, Reset(), BY)
        await world.store.attempts.start_local(task_id, "local:x", "n", "c2", 30.0, BY)
        second = (await world.head(task_id)).epoch
        assert second == epoch + 1
        await world.ship(task_id, second, Chunk("records", 0, lines(range(100, 103))))
    points = (await world.store.results.scalars(task_id))["t"]["a"]
    assert points.iterations == [100, 101, 102]
    metric = (await world.store.tasks.get(task_id)).metrics["t"]["a"]
    assert (metric.n_points, metric.min, metric.first, metric.mean) == (3, 100.0, 100.0, 101.0)


LINES: list[tuple[dict[str, Any], bool]] = [
    ({"k": "scalar", "title": "t", "series": "s", "i": 1, "v": 1, "t": 2}, True),
    ({"k": "scalar", "title": "t", "series": "s", "i": 1.0, "v": "2.5", "t": 2}, True),
    ({"k": "scalar", "title": "t", "series": "s", "v": 2.5, "t": 2}, True),
    ({"t": 2, "v": math.nan, "k": "scalar", "title": "t", "series": "s", "extra": []}, True),
    ({"k": "scalar", "title": "t", "series": "\ud800", "i": 1, "v": 1, "t": 2}, True),
    ({"k": "scalar", "title": "t", "series": "s", "i": 1 << 63, "v": 1, "t": 2}, False),
    ({"k": "scalar", "title": "t", "series": "s", "i": 1, "v": [1], "t": 2}, False),
    ({"k": "scalar", "title": 3, "series": "s", "i": 1, "v": 1, "t": 2}, False),
    ({"k": "scalar", "title": "t", "series": "s", "i": 1, "v": 1, "t": math.nan}, False),
    ({"k": "scalar", "title": "t", "i": 1, "v": 1, "t": 2}, False),
]


@pytest.mark.parametrize(("record", "is_taken"), LINES)
def test_the_fast_way_and_the_slow_way_take_the_same_lines(
    record: dict[str, Any], is_taken: bool
) -> None:
    from dray.runtime.store.record_lines import parse

    usual = encode_record("scalar", 1.0, title="t", series="other", i=1, v=1.0)
    parsed = parse(usual + json.dumps(record).encode() + b"\n" + usual, 0)
    assert parsed.n_malformed == (0 if is_taken else 1)
    assert parsed.batch.points["t", "other"].iterations == [1, 1]
    assert (len(parsed.batch.points) == 2) is is_taken


async def test_a_packed_store_breaks_no_promise(world: World) -> None:
    task_id, epoch = await world.running()
    await world.ship(task_id, epoch, Chunk("records", 0, lines(range(1000))))
    report = check_store(world.home)
    assert [check for check in report.checks if not check.ok] == []
