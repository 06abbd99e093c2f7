"""The shipper: few requests, nothing lost, a stop that is pushed, a lease that is known."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dray.runtime import causes
from dray.runtime.causes import Cause
from dray.runtime.errors import DrayError, Forbidden, ServerUnreachable, StaleEpoch
from dray.runtime.execution import EnvironmentReport
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import RECORDS, STDOUT
from dray.runtime.states import State
from dray.sdk.ship import shipping
from dray.sdk.ship.shipping import Pace, Shipper
from tests.unit.sdk.sink import PATIENCE_S, Sink, append, lost
from tests.unit.sdk.test_parcels import artifact
from tests.waiting import wait_until

DONE = causes.exited(0)
#: A pace at which nothing happens by itself within a test.
QUIET = Pace(tick_s=60.0, renew_after_s=60.0)
#: A pace at which everything happens soon.
BRISK = Pace(gather_s=0.0, begin_gather_s=0.0, tick_s=0.005, renew_after_s=0.0, renew_wait_s=5.0)


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "pause_s", lambda _: 0.001)


@pytest.fixture
def spool(tmp_path: Path) -> SpoolPaths:
    return SpoolPaths(tmp_path)


@pytest.fixture
def sink() -> Sink:
    return Sink()


def shipper(spool: SpoolPaths, sink: Sink, pace: Pace = BRISK, **options: Any) -> Shipper:
    return Shipper(spool, "f" * 32, 1, sink, pace=pace, **options)


async def until(sink: Sink, holds: Callable[[], object]) -> None:
    await asyncio.to_thread(sink.until, holds)


async def test_a_run_that_does_nothing_needs_one_request(spool: SpoolPaths, sink: Sink) -> None:
    async with shipper(spool, sink, Pace()) as ship:
        ship.set_environment(EnvironmentReport("key", True, 0.1))
        ship.mark_executing()
        append(spool.stream(STDOUT), b"hi\n")
        reply = await ship.finish(DONE, PATIENCE_S)
    (frame,) = sink.frames
    assert reply.state is State.COMPLETED
    assert frame.executing
    assert frame.environment is not None
    assert frame.finish is not None
    assert sink.data == {STDOUT: b"hi\n"}
    assert sink.renewals == []


async def test_a_burst_of_lines_is_one_request(spool: SpoolPaths, sink: Sink) -> None:
    async with shipper(spool, sink, Pace(gather_s=0.05, tick_s=60, renew_after_s=60)) as ship:
        for i in range(50):
            append(spool.stream(STDOUT), b"line %d\n" % i)
            ship.notify()
            await asyncio.sleep(0)
        await until(sink, lambda: sink.frames)
        assert sink.data[STDOUT] == spool.stream(STDOUT).read_bytes()
    assert len(sink.frames) == 1


async def test_what_is_written_while_a_request_is_under_way_goes_with_the_next(
    spool: SpoolPaths, sink: Sink
) -> None:
    async with shipper(spool, sink, QUIET) as ship:
        sink.gate.clear()
        append(spool.stream(STDOUT), b"first ")
        ship.notify()
        await asyncio.to_thread(wait_until, _is_calling, timeout_s=PATIENCE_S)
        for word in (b"second ", b"third "):
            append(spool.stream(STDOUT), word)
            ship.notify()
        sink.gate.set()
        await until(sink, lambda: len(sink.data.get(STDOUT, b"")) == 19)
    assert len(sink.frames) <= 2


async def test_bytes_nobody_gave_notice_of_are_found(spool: SpoolPaths, sink: Sink) -> None:
    async with shipper(spool, sink):
        append(spool.stream(RECORDS), b'{"k":"comment"}\n')
        await until(sink, lambda: sink.data.get(RECORDS) == b'{"k":"comment"}\n')


async def test_more_than_a_frame_is_sent_without_waiting(spool: SpoolPaths, sink: Sink) -> None:
    append(spool.stream(STDOUT), b"x" * 100)
    pace = Pace(frame_bytes=10, tick_s=60, renew_after_s=60)
    async with shipper(spool, sink, pace) as ship:
        ship.notify()
        await until(sink, lambda: len(sink.data.get(STDOUT, b"")) == 100)
        await ship.finish(DONE, PATIENCE_S)
    assert max(len(chunk.data) for frame in sink.frames for chunk in frame.chunks) == 10


async def test_a_server_that_is_away_is_tried_again_and_nothing_is_lost(
    spool: SpoolPaths, sink: Sink
) -> None:
    sink.before += [lost(), DrayError("a bug over there"), lost()]
    sink.after += [lost()]
    append(spool.stream(STDOUT), b"bytes")
    async with shipper(spool, sink, QUIET) as ship:
        ship.mark_executing()
        ship.notify()
        await ship.finish(DONE, PATIENCE_S)
    assert sink.data[STDOUT] == b"bytes"
    assert sink.frames[0].executing


async def test_an_end_that_is_not_taken_in_time_is_told_and_may_still_come(
    spool: SpoolPaths, sink: Sink
) -> None:
    sink.gate.clear()
    async with shipper(spool, sink, QUIET) as ship:
        with pytest.raises(ServerUnreachable, match="dray sync"):
            await ship.finish(DONE, 0.01)
        sink.gate.set()
        reply = await ship.finish(DONE, PATIENCE_S)
    assert reply.state is State.COMPLETED


async def test_leaving_never_waits_for_a_silent_server(spool: SpoolPaths, sink: Sink) -> None:
    sink.gate.clear()
    async with shipper(spool, sink, replace(BRISK, renew_after_s=60)) as ship:
        ship.mark_executing()
        await asyncio.to_thread(wait_until, _is_calling, timeout_s=PATIENCE_S)
    assert _is_calling(), "the request is still under way"
    sink.gate.set()


async def test_cancelling_its_owner_ends_it(spool: SpoolPaths, sink: Sink) -> None:
    ship = shipper(spool, sink)
    running = asyncio.create_task(ship.run())
    await until(sink, lambda: sink.renewals)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_another_attempt_ends_it_and_tells_its_owner(spool: SpoolPaths, sink: Sink) -> None:
    sink.epoch = 2
    told: list[DrayError] = []
    async with shipper(spool, sink, QUIET, on_refused=told.append) as ship:
        ship.mark_executing()
        with pytest.raises(StaleEpoch):
            await ship.finish(DONE, PATIENCE_S)
        assert ship.superseded
    assert told == [ship.refused]
    assert sink.frames == []


async def test_a_token_that_is_no_good_ends_it_but_is_no_other_attempt(
    spool: SpoolPaths, sink: Sink
) -> None:
    sink.before.append(Forbidden("not yours"))
    told = asyncio.Event()
    async with shipper(spool, sink, on_refused=lambda _: told.set()) as ship:
        await told.wait()
    assert isinstance(ship.refused, Forbidden)
    assert not ship.superseded


async def test_a_request_to_stop_is_pushed_to_an_idle_attempt_once(
    spool: SpoolPaths, sink: Sink
) -> None:
    causes_heard: list[Cause] = []
    heard = asyncio.Event()

    def on_stop(cause: Cause) -> None:
        causes_heard.append(cause)
        heard.set()

    asked = causes.aborted("user", "wrong data")
    async with shipper(spool, sink, on_stop=on_stop) as ship:
        await until(sink, lambda: sink.renewals)
        sink.ask_to_stop(asked)
        await asyncio.wait_for(heard.wait(), PATIENCE_S)
        ship.notify()
        append(spool.stream(STDOUT), b"bye\n")
        await until(sink, lambda: sink.data.get(STDOUT))
        await ship.finish(asked, PATIENCE_S)
        assert ship.stop_cause == asked
    assert causes_heard == [asked]


async def test_a_lost_renewal_is_made_up_for_at_once(spool: SpoolPaths, sink: Sink) -> None:
    async with shipper(spool, sink, replace(BRISK, renew_wait_s=0.05)) as ship:
        await ship.until_confirmed()
        sink.before.append(lost())
        await until(sink, lambda: sink.renewals.count(0.0) == 2 and sink.renewals[-1] > 0)


async def test_the_first_renewal_is_answered_at_once(spool: SpoolPaths, sink: Sink) -> None:
    async with shipper(spool, sink) as ship:
        await ship.until_confirmed()
        assert ship.last_confirmed is not None
    assert sink.renewals[0] == 0.0


async def test_the_lease_counts_from_when_the_answered_request_was_sent(
    spool: SpoolPaths, sink: Sink
) -> None:
    clock = FakeClock()
    async with shipper(spool, sink, QUIET, clock=clock) as ship:
        assert ship.last_confirmed is None
        clock.time = 1010.0
        sink.gate.clear()
        ship.mark_executing()
        await until(sink, lambda: sink.n_calls)
        clock.time = 1020.0
        answered = asyncio.create_task(ship.until_confirmed())
        await asyncio.sleep(0)
        sink.gate.set()
        await asyncio.wait_for(answered, PATIENCE_S)
        assert ship.last_confirmed == 1010.0
    assert ship.lease_ttl_s == 30.0


async def test_the_lease_counts_from_when_an_answered_renewal_was_sent(
    spool: SpoolPaths, sink: Sink
) -> None:
    clock = FakeClock()
    sink.gate.clear()
    async with shipper(spool, sink, replace(QUIET, renew_after_s=0.0), clock=clock) as ship:
        answered = asyncio.create_task(ship.until_confirmed())
        await until(sink, lambda: sink.n_calls)
        clock.time = 1020.0
        sink.gate.set()
        await asyncio.wait_for(answered, PATIENCE_S)
        assert ship.last_confirmed == 1000.0


async def test_an_answer_that_was_long_on_its_way_sets_nothing_back(
    spool: SpoolPaths, sink: Sink
) -> None:
    clock, heard = FakeClock(), asyncio.Event()
    pace = replace(QUIET, renew_after_s=0.0, renew_wait_s=PATIENCE_S, begin_gather_s=0.0)
    told = {"clock": clock, "on_stop": lambda _: heard.set()}
    async with shipper(spool, sink, pace, **told) as ship:
        await until(sink, lambda: len(sink.renewals) == 2)  # which waits at the server
        clock.time = 1010.0
        ship.mark_executing()
        await asyncio.wait_for(ship.until_confirmed(), PATIENCE_S)
        assert ship.last_confirmed == 1010.0
        sink.ask_to_stop(causes.aborted("user"))
        await asyncio.wait_for(heard.wait(), PATIENCE_S)
        assert ship.last_confirmed == 1010.0


async def test_a_failed_request_confirms_nothing(spool: SpoolPaths, sink: Sink) -> None:
    clock = FakeClock()
    pace = replace(BRISK, renew_wait_s=0.01)
    async with shipper(spool, sink, pace, clock=clock) as ship:
        await until(sink, lambda: sink.renewals)
        clock.time = 1010.0
        sink.gate.clear()
        sink.before += [lost()] * 1000
        sink.gate.set()
        n_renewals = len(sink.renewals)
        await until(sink, lambda: len(sink.renewals) > n_renewals + 2 or not sink.before)
        assert ship.last_confirmed == 1000.0


async def test_a_large_upload_does_not_hold_up_the_console(spool: SpoolPaths, sink: Sink) -> None:
    sink.upload_gate.clear()
    sha256 = artifact(spool, "model", b"weights")
    async with shipper(spool, sink) as ship:
        await until(sink, lambda: "upload begins" in sink.log)
        append(spool.stream(STDOUT), b"epoch 2\n")
        ship.notify()
        await until(sink, lambda: sink.data.get(STDOUT) == b"epoch 2\n")
        assert RECORDS not in sink.data
        sink.upload_gate.set()
        await ship.finish(DONE, PATIENCE_S)
    assert sha256 in sink.blobs
    assert sink.data[RECORDS] == spool.stream(RECORDS).read_bytes()


async def test_an_upload_is_tried_again(spool: SpoolPaths, sink: Sink) -> None:
    artifact(spool, "model", b"weights")
    sink.before += [lost()]
    async with shipper(spool, sink, QUIET) as ship:
        await ship.finish(DONE, PATIENCE_S)
    assert list(sink.blobs.values()) == [b"weights"]


async def test_a_bug_is_raised_and_not_waited_out(
    spool: SpoolPaths, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sink, "_accept", broken)
    async with contextlib.AsyncExitStack() as stack:
        ship = await stack.enter_async_context(shipper(spool, sink, QUIET))
        ship.mark_executing()
        with pytest.raises(ZeroDivisionError):
            await ship.finish(DONE, PATIENCE_S)
        with pytest.raises(ZeroDivisionError):
            await stack.aclose()


def _is_calling() -> bool:
    return any(thread.name == "dray-call" for thread in threading.enumerate())
