"""The pace of a backlog: a burst at once, then the rate, and less where the server is slow."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.runtime import causes
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import STDOUT
from dray.sdk.ship.shipping import Pace, Shipper
from dray.sdk.ship.throttle import LARGE_BYTES, Throttle
from tests.unit.sdk.sink import Sink, append

DONE = causes.exited(0)


def test_a_burst_goes_at_once_and_what_is_over_it_at_the_rate() -> None:
    throttle = Throttle(bytes_s=100.0, burst_bytes=50.0)
    assert throttle.sent(50, 0.0, 10.0) == 10.0
    assert throttle.sent(20, 0.0, 10.0) == 10.2
    assert throttle.sent(20, 0.0, 10.2) == pytest.approx(10.4)
    assert throttle.sent(50, 0.0, 20.0) == 20.0, "after a rest there is a burst again"


def test_a_slow_server_is_asked_less() -> None:
    throttle = Throttle(bytes_s=1e12, burst_bytes=1e12)
    assert throttle.sent(LARGE_BYTES, 0.5, 10.0) == 11.0
    assert throttle.sent(10, 0.5, 11.0) == 11.0, "a few lines are no backlog"


def test_records_are_paced_by_the_server_alone() -> None:
    throttle = Throttle(bytes_s=100.0, burst_bytes=50.0)
    assert throttle.sent(500, 0.0, 10.0, n_free=450) == 10.0
    assert throttle.sent(500, 0.0, 10.0, n_free=480) == 10.2, "the rate counts the console"
    assert throttle.sent(LARGE_BYTES, 0.5, 20.0, n_free=LARGE_BYTES) == 20.5


@given(frames=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 200)), min_size=1, max_size=50))
def test_no_stretch_of_time_carries_more_than_burst_rate_and_one_frame(
    frames: list[tuple[float, int]],
) -> None:
    throttle = Throttle(bytes_s=100.0, burst_bytes=50.0)
    now, began, sent = 5.0, 5.0, 0
    for rest_s, n_bytes in frames:
        now += rest_s
        assert sent <= 50 + 100 * (now - began) + 200 + 1e-6
        sent += n_bytes
        now = throttle.sent(n_bytes, 0.0, now)


async def test_a_shipper_sends_a_backlog_at_its_pace_and_its_end_waits_for_it(
    tmp_path: Path,
) -> None:
    """The end is awaited as long as the server takes something, however long that lasts."""
    spool, sink = SpoolPaths(tmp_path), Sink()
    append(spool.stream(STDOUT), b"x" * 100)
    pace = Pace(frame_bytes=10, renew_after_s=60, bytes_s=100.0, burst_bytes=30.0)
    loop = asyncio.get_running_loop()
    async with Shipper(spool, "f" * 32, 1, sink, pace=pace) as ship:
        began = loop.time()
        await ship.finish(DONE, 0.5)
        assert loop.time() - began > 0.55, "70 bytes over the burst, the last frame without a wait"
    assert sink.data[STDOUT] == b"x" * 100
