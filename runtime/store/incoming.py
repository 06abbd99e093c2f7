"""A frame as it is being accepted: which bytes are new, and what they and its header say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from dray.runtime import codec
from dray.runtime.causes import Cause
from dray.runtime.errors import InvalidInput, OffsetMismatch
from dray.runtime.models import EnvironmentReport, StreamReceipt
from dray.runtime.records import CONSOLE_STREAMS, RECORDS, STREAMS, Chunk
from dray.runtime.store.contract import By
from dray.runtime.store.record_lines import Parsed, parse

#: A line that is longer and still has no end is given up.
LINE_LIMIT_BYTES = 32 << 20
#: More than this is parsed off the loop.
_SMALL_BYTES = 1 << 16


@dataclass(frozen=True)
class Accepted:
    """How far one stream has come."""

    n_bytes: int = 0
    tail: bytes = b""
    n_malformed: int = 0


@dataclass(frozen=True)
class End:
    """What a frame's ``finish`` says."""

    cause: Cause
    receipt: dict[str, StreamReceipt]


@dataclass
class Incoming:
    """A frame as it is being accepted."""

    task_id: str
    epoch: int
    by: By
    accepted: dict[str, Accepted]
    fresh: dict[str, bytes]
    parsed: Parsed = field(default_factory=Parsed)
    tail: bytes = b""

    def moved(self) -> dict[str, Accepted]:
        """How far each stream has come with this frame."""
        after = dict(self.accepted)
        for stream, data in self.fresh.items():
            old = after.get(stream, Accepted())
            is_records = stream == RECORDS
            after[stream] = Accepted(
                n_bytes=old.n_bytes + len(data),
                tail=self.tail if is_records else b"",
                n_malformed=old.n_malformed + (self.parsed.n_malformed if is_records else 0),
            )
        return after

    def n_console_bytes(self) -> int:
        """Console bytes that are new."""
        return sum(len(self.fresh.get(stream, b"")) for stream in CONSOLE_STREAMS)


def fresh_bytes(chunks: list[Chunk], accepted: dict[str, Accepted]) -> dict[str, bytes]:
    """The bytes of each stream that were not accepted before.

    Raises:
        OffsetMismatch: bytes are missing before a chunk.
    """
    fresh: dict[str, bytearray] = {}
    for chunk in chunks:
        expected = accepted.get(chunk.stream, Accepted()).n_bytes
        expected += len(fresh.get(chunk.stream, b""))
        if chunk.offset > expected:
            raise OffsetMismatch(
                f"{chunk.stream} goes on at byte {expected}, the frame at {chunk.offset}",
                stream=chunk.stream,
                offset=chunk.offset,
                expected=offsets(accepted),
            )
        new = chunk.data[expected - chunk.offset :]
        if new:
            fresh.setdefault(chunk.stream, bytearray()).extend(new)
    return {stream: bytes(data) for stream, data in fresh.items()}


async def read_records(incoming: Incoming) -> None:
    """Parse the whole lines; the beginning of the next one is kept as the tail."""
    data = incoming.fresh.get(RECORDS)
    if data is None:
        return
    old = incoming.accepted.get(RECORDS, Accepted())
    text = old.tail + data
    end = text.rfind(b"\n") + 1
    lines, incoming.tail = text[:end], text[end:]
    position = old.n_bytes - len(old.tail)
    if len(lines) > _SMALL_BYTES:
        incoming.parsed = await asyncio.to_thread(parse, lines, position)
    else:
        incoming.parsed = parse(lines, position)
    if len(incoming.tail) > LINE_LIMIT_BYTES:
        # What is left of the line when its end comes will not be JSON, and count again.
        incoming.parsed.n_malformed += 1
        incoming.parsed.sample = f"a line of over {LINE_LIMIT_BYTES} bytes"
        incoming.tail = b""


def read_end(finish: dict[str, Any] | None) -> End | None:
    """What a frame's ``finish`` says.

    Raises:
        InvalidInput: it cannot be read.
    """
    if finish is None:
        return None
    try:
        claimed = cast("dict[str, dict[str, Any]]", finish.get("receipt") or {})
        receipt = {
            stream: StreamReceipt(int(value["n_bytes"]), str(value["sha256"]))
            for stream, value in claimed.items()
            if stream in STREAMS
        }
        return End(codec.from_json(Cause, finish["cause"]), receipt)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise InvalidInput(f"finish cannot be read: {exc}", field="finish") from exc


def read_environment(environment: dict[str, Any] | None) -> EnvironmentReport | None:
    """What a frame says was prepared.

    Raises:
        InvalidInput: it cannot be read.
    """
    if environment is None:
        return None
    try:
        return codec.from_json(EnvironmentReport, environment)
    except ValueError as exc:
        raise InvalidInput(f"environment cannot be read: {exc}", field="environment") from exc


def offsets(accepted: dict[str, Accepted]) -> dict[str, int]:
    """Bytes the server has of each stream there is."""
    return {stream: accepted.get(stream, Accepted()).n_bytes for stream in STREAMS}


def end_details(receipt: dict[str, StreamReceipt], moved: dict[str, Accepted]) -> dict[str, Any]:
    """What the audit says about an end that is not whole; empty for one that is."""
    details: dict[str, Any] = {}
    inexact = {stream: codec.to_json(one) for stream, one in receipt.items() if not one.exact}
    if inexact:
        details["inexact"] = inexact
    last = moved.get(RECORDS, Accepted())
    if last.tail:
        details["record_cut_off_bytes"] = len(last.tail)
    if last.n_malformed:
        details["n_malformed_records"] = last.n_malformed
    return details
