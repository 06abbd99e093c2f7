"""Sending a large file in pieces: what has arrived is not sent again, whatever broke."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dray.runtime.errors import OffsetMismatch, ServerUnreachable
from dray.sdk.transport import Transport, pause_s, quoted

#: Bytes of one request, and of memory; a larger file goes in pieces.
PIECE_BYTES = 16 << 20
#: The last piece is answered when the server has the whole on its disk, and perhaps read it again.
SETTLE_S = 600.0
#: Lost connections in a row, without a byte more at the server, after which it is given up.
_TRIES = 4

Progress = Callable[[int], None]


def send(
    http: Transport,
    source: Path,
    sha256: str,
    *,
    on_progress: Progress | None = None,
    piece_bytes: int = PIECE_BYTES,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Send a file to the blob store, from where an earlier try came to.

    Args:
        source: must not change meanwhile.
        on_progress: told how many bytes the server has.

    Raises:
        ServerUnreachable: not done; a later call goes on from there.
        InvalidInput: the bytes are not those of ``sha256``; the server has forgotten them.
    """
    total, n_failures = source.stat().st_size, 0
    at = -1
    with source.open("rb") as file:
        while True:
            try:
                if at < 0:
                    answer = http.call("GET", _path(sha256), retries=0)
                else:
                    file.seek(at)
                    answer = _send_one(http, sha256, file.read(piece_bytes), at, total)
            except OffsetMismatch as exc:
                at = _expected(exc)  # somebody else sends the same, or the server lost its tail
                continue
            except ServerUnreachable:
                n_failures += 1
                if n_failures >= _TRIES:
                    raise
                at = -1
                sleep(pause_s(n_failures))
                continue
            n_failures = 0 if int(answer["n_bytes"]) > at else n_failures
            at = int(answer["n_bytes"])
            if on_progress is not None:
                on_progress(at)
            if answer["done"]:
                return


def _send_one(http: Transport, sha256: str, data: bytes, at: int, total: int) -> Any:
    is_last = at + len(data) >= total
    return http.call(
        "PATCH",
        _path(sha256),
        data,
        query={"offset": at, "total": total},
        headers={"Content-Type": "application/octet-stream"},
        idempotent=True,
        retries=0,
        extra_timeout_s=SETTLE_S if is_last else 0.0,
    )


def _expected(exc: OffsetMismatch) -> int:
    expected = exc.details.get("expected")
    if not isinstance(expected, int):
        raise exc
    return expected


def _path(sha256: str) -> str:
    return f"/blobs/{quoted(sha256)}/part"
