"""Bytes of a file that may still grow: a known length of it, whole or one range (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import anyio
from starlette.responses import StreamingResponse

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_BLOCK_BYTES = 256 << 10


class RangeResponse(StreamingResponse):
    """The first ``n_bytes`` of a file, or the part of them that a ``Range`` header asks for.

    Starlette's ``FileResponse`` sends what the file holds when it reads; bytes that are
    written meanwhile would not fit the length it has promised.
    """

    def __init__(self, path: str, n_bytes: int, range_header: str) -> None:
        part = byte_range(range_header, n_bytes) if range_header else (0, n_bytes)
        headers = {"Accept-Ranges": "bytes"}
        if part is None:
            headers["Content-Range"] = f"bytes */{n_bytes}"
            super().__init__(_nothing(), 416, headers, "application/octet-stream")
            return
        start, end = part
        if range_header:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{n_bytes}"
        headers["Content-Length"] = str(end - start)
        status = 206 if range_header else 200
        content = _read(path, start, end)
        super().__init__(content, status, headers, "application/octet-stream")


def byte_range(header: str, n_bytes: int) -> tuple[int, int] | None:
    """The part ``(start, end)`` of ``n_bytes`` bytes; None when there is no such part."""
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, n_bytes - int(last)), n_bytes
    else:
        start, end = int(first), min(int(last) + 1, n_bytes) if last else n_bytes
    return (start, end) if start < end else None


async def _read(path: str, start: int, end: int) -> AsyncIterator[bytes]:
    if start == end:
        return
    async with await anyio.open_file(path, "rb") as file:
        await file.seek(start)
        while start < end:
            block = await file.read(min(_BLOCK_BYTES, end - start))
            if not block:
                raise EOFError(f"{path} ends at {start}, before its {end} bytes")
            start += len(block)
            yield block


async def _nothing() -> AsyncIterator[bytes]:
    for block in ():
        yield block
