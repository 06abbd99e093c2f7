"""The shipper: follows a growing spool and sends it, for agents and for runs started by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dray.runtime import errors
from dray.runtime.answers import FrameReply
from dray.runtime.causes import Cause
from dray.runtime.clock import Clock, SystemClock
from dray.runtime.errors import DrayError, ServerUnreachable, StaleEpoch
from dray.runtime.execution import EnvironmentReport
from dray.runtime.lease import RENEWALS_PER_LEASE
from dray.runtime.paths import SpoolPaths
from dray.sdk.http.transport import pause_s
from dray.sdk.runs.threads import in_thread
from dray.sdk.ship.parcels import FRAME_BYTES, FrameSender, News, ParcelService
from dray.sdk.ship.throttle import BURST_BYTES, BYTES_S, Throttle
from dray.sdk.ship.uploads import Blob

#: Answers after which nothing of this attempt will ever be taken; all others are tried again.
_FINAL_ANSWERS = (
    errors.StaleEpoch,
    errors.NotFound,
    errors.Unauthorized,
    errors.Forbidden,
    errors.InvalidInput,
    errors.IllegalTransition,
    errors.OffsetMismatch,
    errors.TooLarge,
)


@dataclass(frozen=True)
class Pace:
    """When a shipper sends.

    Attributes:
        frame_bytes: size of a frame; a single record may be larger.
        gather_s: from the first notice to the frame, so that a burst of lines is one request.
        begin_gather_s: the same when all there is to say is that the process has started; a run
            that is over by then needs one request in all.
        tick_s: how often files are looked at that nobody gives notice of (a child's records).
        renew_after_s: before the first renewal; the lease is fresh when an attempt begins.
        renew_wait_s: longest a renewal waits at the server for a request to stop.
        lease_ttl_s: length of the lease until the server has said another.
        bytes_s: how fast a backlog is sent, so that a flood leaves the server to others.
        burst_bytes: sent at once before that counts.
    """

    frame_bytes: int = FRAME_BYTES
    gather_s: float = 0.015
    begin_gather_s: float = 0.1
    tick_s: float = 0.2
    renew_after_s: float = 0.5
    renew_wait_s: float = 8.0
    lease_ttl_s: float = 30.0
    bytes_s: float = BYTES_S
    burst_bytes: float = BURST_BYTES


class Shipper:
    """Sends the spool of one attempt while it grows, renews its lease, hears of a stop.

    ``async with Shipper(…) as shipper:`` runs it; or its owner awaits ``run()``. Server calls
    block, so each runs in a thread of its own, and leaving or cancelling never waits for one.
    All methods belong to the event loop's thread.

    Args:
        on_stop: called once, when somebody has asked for the attempt to end.
        on_refused: called once, when the server will take nothing more of this attempt: another
            one is current (``StaleEpoch``), the task was deleted, the token is not good.
        confirmed_at: monotonic time at which the server is known to have given the lease.

    Attributes:
        last_confirmed: monotonic time at which the last request was *sent* that the server
            answered; the fence counts from there. None before the first.
        lease_ttl_s: length of the lease, as last said by the server.
        refused: the error that ended shipping, if one did.
    """

    def __init__(
        self,
        spool: SpoolPaths,
        task_id: str,
        epoch: int,
        sender: FrameSender,
        *,
        pace: Pace | None = None,
        clock: Clock | None = None,
        on_stop: Callable[[Cause], None] | None = None,
        on_refused: Callable[[DrayError], None] | None = None,
        confirmed_at: float | None = None,
    ) -> None:
        self._task_id, self._epoch, self._sender = task_id, epoch, sender
        self._pace, self._clock = pace or Pace(), clock or SystemClock()
        self._on_stop, self._on_refused = on_stop, on_refused
        self._parcels = ParcelService(
            spool, task_id, epoch, sender, frame_bytes=self._pace.frame_bytes
        )
        self.last_confirmed = confirmed_at
        #: Set once by each answer, for whoever waits for the next one.
        self._confirmed = asyncio.Event()
        self.lease_ttl_s = self._pace.lease_ttl_s
        self.refused: DrayError | None = None
        self._news = News()
        self._stop: Cause | None = None
        self._last_reply: FrameReply | None = None
        #: Loop time at which the next frame goes; None: when there is something to send.
        self._due: float | None = None
        self._throttle = Throttle(self._pace.bytes_s, self._pace.burst_bytes)
        #: Loop time before which no frame goes, whatever is due.
        self._not_before = 0.0
        #: Loop time at which the server last took a frame.
        self._taken_at = 0.0
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self._crash: Exception | None = None
        self._upload: asyncio.Task[None] | None = None
        self._runner: asyncio.Task[None] | None = None

    @property
    def superseded(self) -> bool:
        """Whether another attempt of the task is the current one, or it has been closed."""
        return isinstance(self.refused, StaleEpoch)

    @property
    def stop_cause(self) -> Cause | None:
        """Why the attempt shall end, once somebody asked for it."""
        return self._stop

    def notify(self, *, can_wait: bool = False) -> None:
        """Bytes were appended to a stream; those that can wait go with the start of the process."""
        self._send_within(self._pace.begin_gather_s if can_wait else self._pace.gather_s)

    def mark_executing(self) -> None:
        """The attempt's process has started."""
        self._tell(executing=True)
        self._send_within(self._pace.begin_gather_s)

    def set_environment(self, report: EnvironmentReport) -> None:
        """What was prepared for the attempt."""
        self._tell(environment=report)
        self._send_within(self._pace.begin_gather_s)

    async def until_confirmed(self) -> None:
        """Return once the server has answered again; never when it refuses the attempt."""
        await self._confirmed.wait()

    async def finish(self, cause: Cause, timeout_s: float) -> FrameReply:
        """Send the rest and the end of the attempt; safe to cancel and to call again.

        Args:
            cause: of the end.
            timeout_s: how long to wait while the server takes nothing.

        Raises:
            StaleEpoch: another attempt is the current one.
            ServerUnreachable: not done in time. Shipping goes on until the owner leaves; what
                is left stays in the spool.
        """
        if self._news.cause is None:
            self._tell(cause=cause)
        self._send_within(0.0)
        await self._until_over(timeout_s)
        failure = self.refused or self._crash
        if failure is not None:
            raise failure
        if not self._parcels.is_closed or self._last_reply is None:
            raise ServerUnreachable(
                f"the end of task {self._task_id[:8]} was not taken within {timeout_s:g} s; "
                "its spool keeps it: run `dray sync` when the server is back",
                task_id=self._task_id,
                epoch=self._epoch,
            )
        return self._last_reply

    async def _until_over(self, timeout_s: float) -> None:
        """Wait for the end to be taken, or for the server to take nothing for so long."""
        # Not `wait_for`: up to Python 3.11 it may swallow a cancellation (CPython issue 86296).
        over, loop = asyncio.create_task(self._over.wait()), asyncio.get_running_loop()
        began = loop.time()
        try:
            while (left := max(began, self._taken_at) + timeout_s - loop.time()) > 0:
                done, _ = await asyncio.wait({over}, timeout=left)
                if done:
                    return
        finally:
            over.cancel()

    async def run(self) -> None:
        """Ship until the attempt is closed or refused. Cancel it to stop earlier."""
        tasks = [
            asyncio.create_task(self._renew_for_ever(), name="renew"),
            asyncio.create_task(self._ship_until_over(), name="ship"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except Exception as exc:
            self._crash = exc
            raise
        finally:
            self._over.set()
            await _end(*tasks, self._upload)

    async def __aenter__(self) -> Shipper:
        self._runner = asyncio.create_task(self.run(), name=f"shipper {self._task_id[:8]}")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await _end(self._runner)
        if self._crash is not None and kind is None:
            raise self._crash

    # Sending.

    async def _ship_until_over(self) -> None:
        n_failures = 0
        while not self._over.is_set():
            await self._until_due()
            if self._over.is_set():
                return
            self._due = None
            try:
                await self._send_one(self._news)
                n_failures = 0
            except _FINAL_ANSWERS as exc:
                self._refuse(exc)
            except DrayError:
                await asyncio.sleep(pause_s(n_failures))
                n_failures += 1
                self._due = 0.0

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._over.is_set():
            left = self._pace.tick_s
            if self._due is not None:
                left = max(self._due, self._not_before) - loop.time()
            if left <= 0:
                return
            self._changed.clear()
            alarm = loop.call_later(left, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                alarm.cancel()
            if self._due is None and self._parcels.has_more():
                self._due = loop.time()

    async def _send_one(self, news: News) -> None:
        sent_at, loop = self._clock.monotonic(), asyncio.get_running_loop()
        began = loop.time()
        reply, parcel = await in_thread(lambda: self._parcels.send_next(news))
        if reply is not None:
            self._taken_at = loop.time()
            took_s = self._taken_at - began
            self._not_before = self._throttle.sent(
                parcel.n_bytes, took_s, self._taken_at, n_free=parcel.n_record_bytes
            )
            self._forget(news)
            self._confirm(reply, sent_at)
        if self._parcels.is_closed:
            self._over.set()
        elif parcel.blobs:
            self._begin_upload(parcel.blobs)
        elif not parcel.is_rest or self._news.cause is not None:
            self._due = 0.0

    def _begin_upload(self, blobs: list[Blob]) -> None:
        if self._upload is None or self._upload.done():
            self._upload = asyncio.create_task(self._upload_all(blobs), name="upload")

    async def _upload_all(self, blobs: list[Blob]) -> None:
        """Upload beside the frames, so that a large model does not hold up the console."""
        loop = asyncio.get_running_loop()

        def progress(_: int) -> None:
            self._taken_at = loop.time()  # the end of the run waits while bytes move

        for n_failures in range(1 << 30):
            try:
                await in_thread(lambda: self._parcels.upload(blobs, progress))
            except _FINAL_ANSWERS as exc:
                self._refuse(exc)
                return
            except DrayError:
                await asyncio.sleep(pause_s(n_failures))
            else:
                self._send_within(0.0)
                return

    def _send_within(self, seconds: float) -> None:
        due = asyncio.get_running_loop().time() + seconds
        if self._due is None or due < self._due:
            self._due = due
            self._changed.set()

    def _tell(self, **news: Any) -> None:
        self._news = News(**{**vars(self._news), **news})

    def _forget(self, told: News) -> None:
        """Keep what was added to the news while ``told`` was on its way; the end is kept."""
        now = self._news
        self._news = News(
            executing=now.executing and not told.executing,
            environment=now.environment if now.environment is not told.environment else None,
            cause=now.cause,
        )

    # The lease.

    async def _renew_for_ever(self) -> None:
        await asyncio.sleep(self._pace.renew_after_s)
        n_failures = 0
        while not self._over.is_set():
            # The first answer is waited for, and after a failure the fence may be near.
            longest = self.lease_ttl_s / RENEWALS_PER_LEASE
            is_hurried = n_failures or self.last_confirmed is None
            wait_s = 0.0 if is_hurried else min(self._pace.renew_wait_s, longest)
            if self._stop is not None and not n_failures:
                await asyncio.sleep(wait_s)  # it would be answered at once from now on
                wait_s = 0.0
            sent_at = self._clock.monotonic()
            try:
                reply = await in_thread(lambda: self._renew(wait_s))  # noqa: B023  (awaited here)
                self._confirm(reply, sent_at)
                n_failures = 0
            except _FINAL_ANSWERS as exc:
                if self._news.cause is not None:
                    # Perhaps our own end was faster; what its frame is answered decides.
                    await self._over.wait()
                    return
                self._refuse(exc)
            except DrayError:
                await asyncio.sleep(pause_s(n_failures))
                n_failures += 1

    def _renew(self, wait_s: float) -> FrameReply:
        return self._sender.renew(self._task_id, self._epoch, wait_s=wait_s)

    def _confirm(self, reply: FrameReply, sent_at: float) -> None:
        self._last_reply = reply
        self.last_confirmed = max(self.last_confirmed or sent_at, sent_at)
        self._confirmed.set()
        self._confirmed = asyncio.Event()
        self.lease_ttl_s = reply.lease_ttl_s
        if reply.stop is not None and self._stop is None:
            self._stop = reply.stop
            if self._on_stop is not None:
                self._on_stop(reply.stop)

    def _refuse(self, exc: DrayError) -> None:
        if self._over.is_set():
            return  # a renewal that was under way when the attempt was closed
        self.refused = exc
        self._over.set()
        self._changed.set()
        if self._on_refused is not None:
            self._on_refused(exc)


async def _end(*tasks: asyncio.Task[None] | None) -> None:
    there = [task for task in tasks if task is not None]
    for task in there:
        task.cancel()
    await asyncio.gather(*there, return_exceptions=True)
