"""What is read back: series, plots and consoles, bounded whatever the history."""

from __future__ import annotations

from typing import Any

import pytest

from dray.runtime import causes
from dray.runtime.errors import NotFound
from dray.runtime.machine import Reset
from dray.runtime.records import Chunk, encode_record
from dray.runtime.store import results as results_module
from dray.runtime.store.console import PIECE_BYTES
from tests.contract.conftest import BY, World, finish_of


async def ship_series(world: World, n_points: int, title: str = "loss", name: str = "a") -> str:
    task_id, epoch = await world.running()
    data = b"".join(
        encode_record("scalar", float(i), title=title, series=name, i=i, v=float(i % 7))
        for i in range(n_points)
    )
    await world.ship(task_id, epoch, Chunk("records", 0, data))
    return task_id


async def test_points_come_back_by_iteration_whatever_the_order_of_arrival(world: World) -> None:
    task_id, epoch = await world.running()
    for i in (3, 1, 2, 1):
        await world.record(task_id, epoch, "scalar", title="t", series="s", i=i, v=i / 2)
    points = (await world.store.results.scalars(task_id))["t"]["s"]
    assert points.iterations == [1, 1, 2, 3]
    assert points.values == [0.5, 0.5, 1.0, 1.5]


async def test_a_long_series_is_thinned_and_keeps_its_ends_and_extremes(world: World) -> None:
    task_id = await ship_series(world, 3000)
    points = (await world.store.results.scalars(task_id, max_points=100))["loss"]["a"]
    assert len(points.iterations) <= 100
    assert (points.iterations[0], points.iterations[-1]) == (0, 2999)
    values = [v for v in points.values if v is not None]
    assert (min(values), max(values)) == (0, 6)


async def test_an_answer_is_bounded_however_many_series_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "ANSWER_POINTS", 40)
    task_id, epoch = await world.running()
    for name in "abcd":
        for i in range(30):
            await world.record(task_id, epoch, "scalar", title="t", series=name, i=i, v=1.0)
    answer = await world.store.results.scalars(task_id)
    assert sum(len(s.values) for s in answer["t"].values()) <= 40


async def test_one_series_can_be_asked_for(world: World) -> None:
    task_id, epoch = await world.running()
    for title in ("loss", "accuracy"):
        for name in ("train", "test"):
            await world.record(task_id, epoch, "scalar", title=title, series=name, i=1, v=1.0)
    answer = await world.store.results.scalars(task_id, title="loss", series="test")
    assert {title: list(series) for title, series in answer.items()} == {"loss": ["test"]}


async def test_the_summary_of_a_series_is_kept_as_points_arrive(world: World) -> None:
    task_id, epoch = await world.running()
    for i, v in enumerate([0.5, -1.0, 2.0, 0.25]):
        await world.record(task_id, epoch, "scalar", title="t", series="s", i=i, v=v)
    metric = (await world.store.tasks.get(task_id)).metrics["t"]["s"]
    assert (metric.last, metric.last_iteration) == (0.25, 3)
    assert (metric.min, metric.max, metric.n_points) == (-1.0, 2.0, 4)


async def test_a_plot_reported_again_for_its_iteration_replaces_the_first(world: World) -> None:
    task_id, epoch = await world.running()
    for i, data in ((0, [1]), (0, [2]), (1, [3])):
        world.clock.pass_s(1)
        await world.record(
            task_id, epoch, "plot", title="t", series="s", i=i, type="table", data=data
        )
    plots = await world.store.results.plots(task_id)
    assert [(p.iteration, p.data) for p in plots] == [(1, [3]), (0, [2])]
    assert await world.store.results.plots(task_id, title="other") == []
    assert len(await world.store.results.plots(task_id, limit=1)) == 1


async def printed(world: World, *texts: bytes, stream: str = "stdout") -> tuple[str, int]:
    task_id, epoch = await world.running()
    at = 0
    for text in texts:
        await world.ship(task_id, epoch, Chunk(stream, at, text))
        at += len(text)
    return task_id, epoch


async def test_a_console_is_followed_by_the_last_seq(world: World) -> None:
    task_id, epoch = await printed(world, b"one\n", b"two\n")
    page = await world.store.console.pieces(task_id)
    assert [p.text for p in page.pieces] == ["one\n", "two\n"]
    assert (await world.store.console.pieces(task_id, page.next)).pieces == []
    await world.ship(task_id, epoch, Chunk("stdout", 8, b"three\n"))
    more = await world.store.console.pieces(task_id, page.next)
    assert [p.text for p in more.pieces] == ["three\n"]


async def test_following_in_small_pages_gives_the_whole(world: World) -> None:
    data = bytes(range(97, 123)) * 10_000
    task_id, _ = await printed(world, data)
    text, after = "", 0
    while (page := await world.store.console.pieces(task_id, after, limit_bytes=1)).pieces:
        (piece,) = page.pieces
        assert len(piece.text) <= PIECE_BYTES
        text, after = text + piece.text, page.next
    assert text.encode() == data


async def test_a_character_cut_between_frames_is_shown_once_and_whole(world: World) -> None:
    data = "añ€𝄞z".encode()
    task_id, _ = await printed(world, *(data[i : i + 1] for i in range(len(data))))
    pieces = (await world.store.console.pieces(task_id)).pieces
    assert "".join(p.text for p in pieces) == "añ€𝄞z"


async def test_bytes_that_are_no_text_are_replaced_in_pieces_and_kept_raw(world: World) -> None:
    task_id, epoch = await printed(world, b"ok \xff\xfe end")
    (piece,) = (await world.store.console.pieces(task_id)).pieces
    assert piece.text == "ok \ufffd\ufffd end"
    raw = await world.store.console.raw(task_id, epoch, "stdout")
    assert raw.n_bytes == 9


async def test_the_tail_is_the_end_in_order(world: World) -> None:
    task_id, _ = await printed(world, *(f"line {i}\n".encode() for i in range(20)))
    page = await world.store.console.pieces(task_id, tail_bytes=20)
    assert [p.text for p in page.pieces] == ["line 17\n", "line 18\n", "line 19\n"]
    assert (await world.store.console.pieces(task_id, page.next)).pieces == []
    assert (await world.store.console.pieces(task_id, tail_bytes=0)).pieces == []


async def test_one_stream_can_be_asked_for(world: World) -> None:
    task_id, epoch = await printed(world, b"out\n")
    await world.ship(task_id, epoch, Chunk("stderr", 0, b"err\n"))
    page = await world.store.console.pieces(task_id, stream="stderr")
    assert [(p.stream, p.text) for p in page.pieces] == [("stderr", "err\n")]


async def test_a_stream_nobody_wrote_is_not_found(world: World) -> None:
    task_id, epoch = await printed(world, b"out\n")
    with pytest.raises(NotFound, match="stderr"):
        await world.store.console.raw(task_id, epoch, "stderr")


async def test_texts_are_read_in_order_after_a_seq(world: World) -> None:
    task_id, epoch = await world.running()
    for message in ("a", "b", "c"):
        await world.record(task_id, epoch, "text", level="info", message=message)
    lines = await world.store.results.texts(task_id)
    assert [line.message for line in lines] == ["a", "b", "c"]
    assert await world.store.results.texts(task_id, after=lines[1].seq) == lines[2:]


async def show(world: World, task_id: str, epoch: int, i: int, series: str = "s", **m: Any) -> None:
    members = {"filename": f"{i}.png", "content_type": "image/png", "sha256": "", "n_bytes": 1}
    uri = f"s3://bucket/{i}.png"
    record = {"title": "seen", "series": series, "i": i, "uri": uri, **members, **m}
    await world.record(task_id, epoch, "media", **record)


async def test_a_series_keeps_the_last_of_its_debug_samples(world: World) -> None:
    task_id, epoch = await world.running()
    for i in range(6):
        await show(world, task_id, epoch, i, history=3)
        await show(world, task_id, epoch, i, series="other", history=-1)
    samples = await world.store.results.media(task_id, series="s")
    assert [s.iteration for s in samples] == [5, 4, 3]
    assert samples[0].uri == "s3://bucket/5.png"
    assert len(await world.store.results.media(task_id, series="other")) == 6


async def test_a_hundred_debug_samples_of_a_series_stay_unless_it_says_otherwise(
    world: World,
) -> None:
    task_id, epoch = await world.running()
    data = b"".join(
        encode_record("media", 1.0, title="t", series="s", i=i, uri="s3://b/x") for i in range(103)
    )
    await world.ship(task_id, epoch, Chunk("records", 0, data))
    samples = await world.store.results.media(task_id, limit=500)
    assert [s.iteration for s in samples] == list(range(102, 2, -1))


async def test_a_sample_reported_again_for_its_iteration_replaces_the_first(world: World) -> None:
    task_id, epoch = await world.running()
    for name in ("first.png", "second.png"):
        await show(world, task_id, epoch, 1, filename=name)
    (sample,) = await world.store.results.media(task_id)
    assert sample.filename == "second.png"
    assert await world.store.results.sample(task_id, sample.seq) == sample


async def test_a_sample_without_bytes_or_address_is_no_sample(world: World) -> None:
    task_id, epoch = await world.running()
    await show(world, task_id, epoch, 1, uri="")
    assert await world.store.results.media(task_id) == []
    assert "records_malformed" in await world.events(task_id)


async def test_a_reset_takes_debug_samples_along(world: World) -> None:
    task_id, epoch = await world.running()
    await show(world, task_id, epoch, 1)
    await world.ship(task_id, epoch, finish=finish_of(causes.exited(1)))
    await world.store.tasks.apply(task_id, Reset(), BY)
    assert await world.store.results.media(task_id) == []
