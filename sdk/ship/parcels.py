"""What goes next from a spool to a server, one frame at a time; plain calls, no event loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from dray.runtime.answers import FrameReply
from dray.runtime.causes import Cause
from dray.runtime.codec import to_json
from dray.runtime.errors import OffsetMismatch
from dray.runtime.execution import EnvironmentReport
from dray.runtime.paths import SpoolPaths
from dray.runtime.records import RECORDS, Chunk, Frame
from dray.runtime.spool import SpoolWriter
from dray.runtime.spool_reader import SpoolReader, records_with
from dray.sdk.ship.shipped import load_shipped, save_shipped
from dray.sdk.ship.throttle import Throttle
from dray.sdk.ship.uploads import Blob, BlobSender, Uploads

log = logging.getLogger(__name__)

#: Bytes of one frame: large enough that the request around it costs nothing.
FRAME_BYTES = 1 << 20
#: ``shipped.json`` is a hint, so it need not be written for every frame.
_SAVE_EVERY_S = 1.0
#: Records that name a file of the spool by its sha256.
_WITH_BLOBS = frozenset({"artifact", "media", "model"})
#: A server that moves its offsets on every frame is not one to follow for ever.
_MISMATCH_LIMIT = 5


class FrameSender(BlobSender, Protocol):
    """What shipping needs of a server; :class:`dray.sdk.client.Client` is one."""

    @property
    def url(self) -> str:
        """Names the server."""
        ...

    def send_frame(self, task_id: str, epoch: int, frame: Frame) -> FrameReply:
        """Deliver bytes of an attempt."""
        ...

    def renew(self, task_id: str, epoch: int, *, wait_s: float = 0.0) -> FrameReply:
        """Renew the lease, waiting for a request to stop."""
        ...


@dataclass(frozen=True)
class News:
    """What is to be said beside the bytes.

    Attributes:
        cause: the attempt is over; goes with the last bytes.
    """

    executing: bool = False
    environment: EnvironmentReport | None = None
    cause: Cause | None = None


@dataclass(frozen=True)
class Parcel:
    """A frame, and what is left for the next one.

    Attributes:
        frame: None when there is nothing to say.
        is_rest: everything that was in the spool is in it, or was sent before.
        blobs: to upload before the records that name them can go.
    """

    frame: Frame | None
    is_rest: bool
    blobs: list[Blob] = field(default_factory=list[Blob])

    @property
    def n_bytes(self) -> int:
        """Bytes of streams in the frame."""
        return sum(len(chunk.data) for chunk in self.frame.chunks) if self.frame else 0

    @property
    def n_record_bytes(self) -> int:
        """Of these, bytes of records."""
        chunks = self.frame.chunks if self.frame else []
        return sum(len(chunk.data) for chunk in chunks if chunk.stream == RECORDS)


class ParcelService:
    """Cuts a spool into frames and delivers them in order.

    One thread at a time uses it; ``upload`` alone may run beside the rest.

    Owns: how far the server is. Rebuilt from: ``shipped.json``, or from the server's word.

    Args:
        epoch: of the attempt at that server.
        frame_bytes: size of a frame; a single record may be larger.
    """

    def __init__(
        self,
        spool: SpoolPaths,
        task_id: str,
        epoch: int,
        sender: FrameSender,
        *,
        frame_bytes: int = FRAME_BYTES,
    ) -> None:
        self._spool, self._task_id, self._epoch, self._sender = spool, task_id, epoch, sender
        self._frame_bytes = frame_bytes
        self._reader = SpoolReader(spool)
        known = load_shipped(spool, sender.url)
        if known.epoch != epoch:
            known = replace(known, epoch=epoch, offsets={}, closed=False)
        self._shipped, self._saved_at = known, 0.0
        #: What the closing frame promised; files that grow afterwards are not looked at.
        self._final_totals: dict[str, int] | None = None
        #: Blobs the server has, or that nobody can send.
        self._settled: set[Blob] = set()
        self._uploads = Uploads(spool.blobs, task_id, sender, self._tell)

    @property
    def offsets(self) -> Mapping[str, int]:
        """Bytes of each stream that the server has."""
        return self._shipped.offsets

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed the attempt."""
        return self._shipped.closed

    def has_more(self) -> bool:
        """Whether the spool holds something the server has not been sent."""
        return self._reader.has_more(self.offsets)

    def unsent_bytes(self) -> int:
        """Bytes that are left to send."""
        totals = self._reader.totals()
        return sum(max(0, n - self.offsets.get(name, 0)) for name, n in totals.items())

    def next_parcel(self, news: News) -> Parcel:
        """What to send now."""
        totals = self._final_totals or self._reader.totals()
        chunks = self._reader.chunks(self.offsets, totals, self._frame_bytes)
        blobs: list[Blob] = []
        if chunks and chunks[-1].stream == RECORDS:
            chunks[-1], blobs = self._before_unknown_blobs(chunks[-1])
            chunks = [chunk for chunk in chunks if chunk.data]
        is_rest = not blobs and self._covers(totals, chunks)
        finish: dict[str, Any] | None = None
        if news.cause is not None and is_rest:
            self._final_totals = totals
            finish = {"cause": to_json(news.cause), "receipt": self._reader.receipt(totals)}
        frame = Frame(
            chunks=chunks,
            executing=news.executing,
            environment=None if news.environment is None else to_json(news.environment),
            finish=finish,
        )
        return Parcel(None if frame == Frame() else frame, is_rest, blobs)

    def deliver(self, frame: Frame) -> FrameReply | None:
        """Send a frame; None when the server is somewhere else and the next one starts there.

        Raises:
            DrayError: the server could not be reached, or takes nothing more of this attempt.
        """
        try:
            reply = self._sender.send_frame(self._task_id, self._epoch, frame)
        except OffsetMismatch as exc:
            self._jump(exc)
            return None
        offsets = dict(self.offsets)
        for chunk in frame.chunks:
            offsets[chunk.stream] = chunk.offset + len(chunk.data)
        offsets.update(reply.offsets)
        self._shipped = replace(
            self._shipped, offsets=offsets, closed=self.is_closed or frame.finish is not None
        )
        self._save()
        return reply

    def send_next(self, news: News) -> tuple[FrameReply | None, Parcel]:
        """Cut and deliver, following the server where it expects other bytes."""
        for _ in range(_MISMATCH_LIMIT):
            parcel = self.next_parcel(news)
            if parcel.frame is None:
                return None, parcel
            reply = self.deliver(parcel.frame)
            if reply is not None:
                return reply, parcel
        raise OffsetMismatch(
            f"the server expects other bytes of task {self._task_id[:8]} each time it is asked; "
            "is a second shipper at work with a different spool?",
            task_id=self._task_id,
            epoch=self._epoch,
        )

    def upload(self, blobs: list[Blob], on_progress: Callable[[int], None] | None = None) -> None:
        """Bring blobs from the spool's folder where they belong; see :class:`Uploads`.

        Raises:
            DrayError: the server or a destination does not answer; try again.
        """
        self._uploads.send(blobs, on_progress)
        self._settled.update(blobs)

    def save(self) -> None:
        """Write ``shipped.json`` now."""
        save_shipped(self._spool, self._shipped)
        self._saved_at = time.monotonic()

    def _save(self) -> None:
        if self.is_closed or time.monotonic() - self._saved_at > _SAVE_EVERY_S:
            try:
                self.save()
            except OSError as exc:  # what is shipped is worth more than the hint
                log.warning("%s cannot be written: %s", self._spool.shipped, exc)

    def _covers(self, totals: Mapping[str, int], chunks: list[Chunk]) -> bool:
        reached = {**self.offsets, **{c.stream: c.offset + len(c.data) for c in chunks}}
        return all(reached.get(name, 0) >= n_bytes for name, n_bytes in totals.items())

    def _tell(self, message: str) -> None:
        """A line for the run's console: a record that the next frames take along."""
        try:
            with SpoolWriter(self._spool.stream(RECORDS)) as writer:
                writer.append("text", level="warning", message=message)
        except OSError as exc:
            log.warning("%s (not told: %s)", message, exc)

    def _before_unknown_blobs(self, chunk: Chunk) -> tuple[Chunk, list[Blob]]:
        """The records before the first that names an unsettled blob, and all such blobs."""
        if b'"sha256"' not in chunk.data:
            return chunk, []
        wanted: list[Blob] = []
        position, cut = 0, None
        for line in chunk.data.splitlines(keepends=True):
            for record in records_with([line], b'"sha256"'):
                blob = Blob(str(record.get("sha256") or ""), str(record.get("uri") or ""))
                if record.get("k") in _WITH_BLOBS and blob.sha256 and blob not in self._settled:
                    wanted.append(blob)
                    cut = position if cut is None else cut
            position += len(line)
        return replace(chunk, data=chunk.data[:cut]), list(dict.fromkeys(wanted))

    def _jump(self, exc: OffsetMismatch) -> None:
        expected = exc.details.get("expected")
        stream = exc.details.get("stream")
        if isinstance(expected, dict):
            moved = {str(k): int(v) for k, v in cast("dict[Any, Any]", expected).items()}
        elif isinstance(expected, int) and isinstance(stream, str):
            moved = {stream: expected}
        else:
            raise exc
        self._shipped = replace(self._shipped, offsets={**self.offsets, **moved})


def send_all(parcels: ParcelService, news: News) -> FrameReply | None:
    """Send at a shipper's pace until nothing is left; blocks.

    Returns:
        The last reply; None when nothing had to be sent.

    Raises:
        DrayError: the server could not be reached, or takes nothing more of this attempt.
    """
    last: FrameReply | None = None
    throttle = Throttle()
    while not parcels.is_closed:
        began = time.monotonic()
        reply, parcel = parcels.send_next(news)
        now = time.monotonic()
        last = reply or last
        if parcel.blobs:
            parcels.upload(parcel.blobs)
        elif parcel.is_rest:
            break
        elif reply is not None:
            free, took_s = parcel.n_record_bytes, now - began
            time.sleep(max(0.0, throttle.sent(parcel.n_bytes, took_s, now, n_free=free) - now))
    return last
