"""A server in memory for shippers: checks offsets as the real one does, fails on request."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dray.runtime.answers import FrameReply
from dray.runtime.causes import Cause
from dray.runtime.errors import DrayError, OffsetMismatch, ServerUnreachable, StaleEpoch
from dray.runtime.records import STREAMS, Frame, decode_frame, encode_frame
from dray.runtime.states import State

#: How long a test waits for something that must happen.
PATIENCE_S = 10.0


def lost() -> ServerUnreachable:
    return ServerUnreachable("the cable is out")


@dataclass
class Sink:
    """Implements ``FrameSender``. Calls come from many threads; ``changed`` guards all.

    Attributes:
        n_calls: frames and renewals that came as far as the gate.
        before: raised by the next requests, first first, before they do anything.
        after: raised by the next frames once they were accepted: a lost reply.
        gate: requests wait here; set means open. ``upload_gate`` is that of blobs.
    """

    url: str = "http://sink"
    epoch: int = 1
    data: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    renewals: list[float] = field(default_factory=list)
    n_calls: int = 0
    finish: dict[str, Any] | None = None
    stop: Cause | None = None
    before: list[DrayError] = field(default_factory=list)
    after: list[DrayError] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    gate: threading.Event = field(default_factory=threading.Event)
    upload_gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()
        self.upload_gate.set()

    def send_frame(self, _task_id: str, epoch: int, frame: Frame) -> FrameReply:
        self._pass_the_gate()
        frame = decode_frame(encode_frame(frame))
        with self.changed:
            try:
                self._check(epoch, frame)
                self._accept(frame)
                if self.after:
                    raise self.after.pop(0)
                return self._reply()
            finally:
                self.changed.notify_all()

    def renew(self, _task_id: str, epoch: int, *, wait_s: float = 0.0) -> FrameReply:
        self._pass_the_gate()
        with self.changed:
            self.renewals.append(wait_s)
            self.changed.notify_all()
            self._check(epoch, None)
            self.changed.wait_for(lambda: self.stop or self.finish, wait_s)
            return self._reply()

    def missing_blobs(self, sha256: list[str]) -> list[str]:
        with self.changed:
            if self.before:
                raise self.before.pop(0)
            return [one for one in sha256 if one not in self.blobs]

    def put_blob(
        self,
        source: Path | bytes,
        *,
        sha256: str = "",
        on_progress: Callable[[int], None] | None = None,
    ) -> str:
        _ = on_progress
        data = source if isinstance(source, bytes) else source.read_bytes()
        assert hashlib.sha256(data).hexdigest() == sha256
        with self.changed:
            self.log.append("upload begins")
            self.changed.notify_all()
        assert self.upload_gate.wait(PATIENCE_S)
        with self.changed:
            self.blobs[sha256] = data
            self.log.append("blob")
            self.changed.notify_all()
        return sha256

    def ask_to_stop(self, cause: Cause) -> None:
        with self.changed:
            self.stop = cause
            self.changed.notify_all()

    def until(self, holds: Callable[[], object]) -> None:
        """Wait in a thread until ``holds``; ``asyncio.to_thread`` it from a coroutine."""
        with self.changed:
            assert self.changed.wait_for(holds, PATIENCE_S), (self.data, self.log, self.renewals)

    def _pass_the_gate(self) -> None:
        with self.changed:
            self.n_calls += 1
            self.changed.notify_all()
        assert self.gate.wait(PATIENCE_S)

    def _check(self, epoch: int, frame: Frame | None) -> None:
        if self.before:
            raise self.before.pop(0)
        again = frame is not None and frame.finish is not None and frame.finish == self.finish
        if epoch != self.epoch or (self.finish and not again):
            raise StaleEpoch("over", current_epoch=self.epoch)

    def _accept(self, frame: Frame) -> None:
        for chunk in frame.chunks:
            held = self.data.get(chunk.stream, b"")
            if chunk.offset > len(held):
                raise OffsetMismatch("gap", stream=chunk.stream, expected=self._offsets())
            self.data[chunk.stream] = held + chunk.data[len(held) - chunk.offset :]
            self.log.append(chunk.stream)
        self.frames.append(frame)
        self.finish = frame.finish or self.finish

    def _offsets(self) -> dict[str, int]:
        return {stream: len(self.data.get(stream, b"")) for stream in STREAMS}

    def _reply(self) -> FrameReply:
        state = State.COMPLETED if self.finish else State.RUNNING
        return FrameReply(self._offsets(), stop=self.stop, state=state)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
