r"""Records of an attempt: the kinds a spool line may have, and the frame they travel in.

A record is one JSON object on one line of ``records.jsonl``, appended with one ``write``. Its
member ``k`` is the kind and ``t`` the time (seconds since the epoch). The other members:

    scalar      title, series, i (iteration), v (value)
    single      name, v
    text        level, message
    plot        title, series, i, type (plotly, table, confusion_matrix), data (JSON of that type)
    media       title, series, i, filename, content_type, sha256, n_bytes, uri, history (samples of
                the series that stay; below 0: all); without uri its bytes lie in ``blobs/SHA256``
    artifact    the members of ``models.Artifact``; its bytes lie in the spool's ``blobs/SHA256``
    model       id, members of ``registry.Model`` that change, and what else is so: ``new`` (made
                where it is not there), ``own`` (this task makes it), ``may_be_known`` (another
                one with the same uri stands for it), ``published``, ``replace_metadata``; ``as``
                (input, output) and ``called``: the task has it by that name; ``unlink`` (input,
                output): it has it no more. Its bytes lie in the spool's ``blobs/SHA256``
    of_model    id, report: a scalar, single or plot that is the model's
    labels      values: name of a class -> number, all of them
    parameters  values: flat name -> {value, type, description}; null takes one away
    configuration  values: name -> {text, type, description}; null takes one away
    properties  values: name -> text; null takes one away
    runtime     values: name -> text (facts about host and process)
    execution   values: members of ``runtime.execution.Execution`` captured after the start
    tags        add: [..], remove: [..]
    comment     text
    progress    v (0 to 100)
    final       exit_code | signal | marked (event), reason, exception

Spools travel as *frames*: one JSON header line, then the raw bytes of its chunks in order.

    {"chunks": [{"stream": "stdout", "offset": 0, "n_bytes": 5}], "executing": true}\n
    hello

A console stream may have *gaps*: bytes that were written and not kept, because they came as a
flood. Offsets count them. The chunk after a gap says how many bytes before its own are missing:

    {"chunks": [{"stream": "stdout", "offset": 900, "n_bytes": 5, "skipped": 895}]}\n
    after

JSON has no word for a float that is not finite. Records are written and read by Python alone, so
they use its own: ``NaN``, ``Infinity`` and ``-Infinity``, bare, which ``json.loads`` reads back.

The gateway accepts each byte of a stream once: an overlap is skipped, bytes that are missing
without a word are refused with the offset it expects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from dray.runtime.errors import InvalidInput

#: Streams of an attempt, as files of its spool and as names on the wire.
RECORDS = "records"
STDOUT = "stdout"
STDERR = "stderr"
PREPARE = "prepare"
CONSOLE_STREAMS = (STDOUT, STDERR, PREPARE)
STREAMS = (RECORDS, *CONSOLE_STREAMS)

KINDS = frozenset(
    {
        "scalar",
        "single",
        "text",
        "plot",
        "media",
        "artifact",
        "model",
        "of_model",
        "labels",
        "parameters",
        "configuration",
        "properties",
        "runtime",
        "execution",
        "tags",
        "comment",
        "progress",
        "final",
    }
)

#: Content type of a frame.
FRAME_TYPE = "application/x-dray-frame"
#: Offsets stay below this, an exbibyte, so that no arithmetic on them leaves 64 bits.
OFFSET_LIMIT = 1 << 60
#: A frame's header is small; a longer one is not ours.
HEADER_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True)
class Chunk:
    """Bytes of one stream that begin at ``offset``.

    Attributes:
        skipped: so many bytes right before ``offset`` were written and not kept.
    """

    stream: str
    offset: int
    data: bytes
    skipped: int = 0

    @property
    def begin(self) -> int:
        """Where it goes on from: the offset of the first byte it says something about."""
        return self.offset - self.skipped

    @property
    def end(self) -> int:
        """Offset of the byte after it."""
        return self.offset + len(self.data)


@dataclass(frozen=True)
class Frame:
    """What a shipper sends in one request.

    Attributes:
        executing: the attempt's process has started.
        environment: JSON of ``runtime.execution.EnvironmentReport``, once it is known.
        finish: the end: ``{"cause": .., "receipt": {stream: {"n_bytes", "sha256"}}}``; of a
            stream with gaps also ``missing_bytes`` and ``kept_sha256``, of the bytes that are
            not missing.
    """

    chunks: list[Chunk] = field(default_factory=list[Chunk])
    executing: bool = False
    environment: dict[str, Any] | None = None
    finish: dict[str, Any] | None = None


def encode_frame(frame: Frame) -> bytes:
    """The bytes of ``frame`` as they travel."""
    header: dict[str, Any] = {
        "chunks": [_entry_of(chunk) for chunk in frame.chunks],
    }
    if frame.executing:
        header["executing"] = True
    if frame.environment is not None:
        header["environment"] = frame.environment
    if frame.finish is not None:
        header["finish"] = frame.finish
    return b"".join([json.dumps(header).encode(), b"\n", *(c.data for c in frame.chunks)])


def decode_frame(body: bytes) -> Frame:
    """The frame in ``body``.

    Raises:
        InvalidInput: no header, a stream nobody knows, or bytes that do not add up.
    """
    end = body.find(b"\n", 0, HEADER_LIMIT_BYTES)
    if end < 0:
        raise InvalidInput("a frame begins with a JSON header line; none was found", field="body")
    try:
        header = cast("dict[str, Any]", json.loads(body[:end]))
        return Frame(
            chunks=list(_cut(header["chunks"], memoryview(body)[end + 1 :])),
            executing=bool(header.get("executing", False)),
            environment=header.get("environment"),
            finish=header.get("finish"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise InvalidInput(f"not a frame: {exc}", field="body") from exc


def _entry_of(chunk: Chunk) -> dict[str, Any]:
    entry = {"stream": chunk.stream, "offset": chunk.offset, "n_bytes": len(chunk.data)}
    return {**entry, "skipped": chunk.skipped} if chunk.skipped else entry


def _cut(entries: list[dict[str, Any]], rest: memoryview) -> Iterator[Chunk]:
    at = 0
    for entry in entries:
        stream, offset, n_bytes = entry["stream"], int(entry["offset"]), int(entry["n_bytes"])
        if stream not in STREAMS:
            raise ValueError(f"stream {stream!r} is none of {', '.join(STREAMS)}")
        if not 0 <= offset < OFFSET_LIMIT or n_bytes < 0 or at + n_bytes > len(rest):
            raise ValueError(f"chunk of {n_bytes} bytes at {offset} does not fit the body")
        skipped = int(entry.get("skipped", 0))
        if not 0 <= skipped <= offset or (skipped and stream not in CONSOLE_STREAMS):
            raise ValueError(f"{skipped} bytes of {stream} before {offset} cannot be skipped")
        yield Chunk(stream, offset, bytes(rest[at : at + n_bytes]), skipped)
        at += n_bytes
    if at != len(rest):
        raise ValueError(f"{len(rest) - at} bytes belong to no chunk")


def encode_record(kind: str, at: float, **members: Any) -> bytes:
    """One record as its line, in JSON with three words more (see the top of this page)."""
    return json.dumps({"k": kind, "t": at, **members}, separators=(",", ":")).encode() + b"\n"
