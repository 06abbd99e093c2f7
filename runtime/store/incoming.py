"""A frame as it is being accepted: which bytes are new, and what they and its header say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from dray.runtime import codec
from dray.runtime.causes import Cause
from dray.runtime.errors import InvalidInput, OffsetMismatch
from dray.runtime.execution import EnvironmentReport
from dray.runtime.models import StreamReceipt
from dray.runtime.records import CONSOLE_STREAMS, RECORDS, STREAMS, Chunk
from dray.runtime.store.console import Run
from dray.runtime.store.contract import By
from dray.runtime.store.record_lines import Parsed, parse

#: A line that is longer and still has no end is given up.
LINE_LIMIT_BYTES = 32 << 20
#: More than this is parsed off the loop.
_SMALL_BYTES = 1 << 16


@dataclass(frozen=True)
class Accepted:
    """How far one stream has come.

    Attributes:
        n_missing: of the ``n_bytes``, how many are not stored.
    """

    n_bytes: int = 0
    tail: bytes = b""
    n_malformed: int = 0
    n_missing: int = 0


@dataclass(frozen=True)
class Claimed:
    """What a shipper says of a stream at its end.

    Attributes:
        sha256: of all ``n_bytes`` that were written.
        kept_sha256: of those that are not missing.
    """

    n_bytes: int
    sha256: str
    missing_bytes: int
    kept_sha256: str


@dataclass(frozen=True)
class End:
    """What a frame's ``finish`` says."""

    cause: Cause
    receipt: dict[str, Claimed]


@dataclass
class Incoming:
    """A frame as it is being accepted.

    Attributes:
        records: bytes of records that are new.
        runs: console bytes that are new, and what is missing before them.
    """

    task_id: str
    epoch: int
    by: By
    accepted: dict[str, Accepted]
    records: bytes = b""
    runs: list[Run] = field(default_factory=list[Run])
    parsed: Parsed = field(default_factory=Parsed)
    tail: bytes = b""

    def moved(self) -> dict[str, Accepted]:
        """How far each stream has come with this frame."""
        after = dict(self.accepted)
        if self.records:
            old = after.get(RECORDS, Accepted())
            n_malformed = old.n_malformed + self.parsed.n_malformed
            after[RECORDS] = Accepted(old.n_bytes + len(self.records), self.tail, n_malformed)
        for run in self.runs:
            old = after.get(run.stream, Accepted())
            after[run.stream] = Accepted(
                run.offset + len(run.data), n_missing=old.n_missing + run.missing
            )
        return after

    def placed(self) -> list[tuple[Run, int]]:
        """Each run with the position of its bytes in the stream's file, which has no holes."""
        ends = {name: old.n_bytes - old.n_missing for name, old in self.accepted.items()}
        placed: list[tuple[Run, int]] = []
        for run in self.runs:
            position = ends.get(run.stream, 0)
            placed.append((run, position))
            ends[run.stream] = position + len(run.data)
        return placed

    def is_new(self) -> bool:
        """Whether it says anything that was not accepted before."""
        return bool(self.records or self.runs)

    def n_console_bytes(self) -> int:
        """How far the console has moved on."""
        return sum(len(run.data) + run.missing for run in self.runs)


def incoming_of(
    task_id: str, epoch: int, by: By, accepted: dict[str, Accepted], chunks: list[Chunk]
) -> Incoming:
    """What in ``chunks`` was not accepted before.

    Raises:
        OffsetMismatch: bytes are missing before a chunk.
    """
    reached = {stream: accepted.get(stream, Accepted()).n_bytes for stream in STREAMS}
    fresh: dict[str, list[tuple[int, int, bytearray]]] = {stream: [] for stream in STREAMS}
    for chunk in chunks:
        expected = reached[chunk.stream]
        if chunk.begin > expected:
            raise OffsetMismatch(
                f"{chunk.stream} goes on at byte {expected}, the frame at {chunk.begin}",
                stream=chunk.stream,
                offset=chunk.begin,
                expected=offsets(accepted),
            )
        if chunk.end <= expected:
            continue
        missing, runs = max(0, chunk.offset - expected), fresh[chunk.stream]
        if missing or not runs:
            runs.append((expected + missing, missing, bytearray()))
        runs[-1][2].extend(chunk.data[max(0, expected - chunk.offset) :])
        reached[chunk.stream] = chunk.end
    return Incoming(
        task_id,
        epoch,
        by,
        accepted,
        b"".join(bytes(data) for _, _, data in fresh[RECORDS]),
        [
            Run(stream, offset, bytes(data), missing)
            for stream in CONSOLE_STREAMS
            for offset, missing, data in fresh[stream]
        ],
    )


async def read_records(incoming: Incoming) -> None:
    """Parse the whole lines; the beginning of the next one is kept as the tail."""
    data = incoming.records
    if not data:
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
            stream: Claimed(
                int(value["n_bytes"]),
                str(value["sha256"]),
                int(value.get("missing_bytes", 0)),
                str(value.get("kept_sha256", value["sha256"])),
            )
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
