"""Calls about blobs: which are missing, and large ones sent in pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dray.runtime import blob_batch
from dray.runtime.errors import InvalidInput, OffsetMismatch, ServerUnreachable
from dray.sdk.http.call import Call, Conversation, Work, ask, at, pause
from dray.sdk.http.transport import pause_s

#: Hashes asked about in one request: 4096 of them are about 280 KB of JSON.
MISSING_BATCH = 4096
#: Bytes of one request, and of memory; a larger file goes in pieces.
PIECE_BYTES = 16 << 20
#: The last piece is answered when the server has the whole on its disk, and perhaps read it again.
SETTLE_S = 600.0
#: Lost connections in a row, without a byte more at the server, after which it is given up.
_TRIES = 4
_BLOCK = 1 << 20


def missing_blobs(sha256: Iterable[str]) -> Conversation[list[str]]:
    """Which of these blobs the server does not hold, in the order given."""
    hashes = list(dict.fromkeys(sha256))
    missing: list[str] = []
    for begin in range(0, len(hashes), MISSING_BATCH):
        missing += yield from ask(_missing(hashes[begin : begin + MISSING_BATCH]))
    return missing


def put_blobs(contents: Mapping[str, bytes]) -> Conversation[None]:
    """Send small blobs, by their sha256, in as few requests as they fit in."""
    for batch in blob_batch.batches((name, len(data)) for name, data in contents.items()):
        body = blob_batch.encode((name, contents[name]) for name in batch)
        yield from ask(_batch(body))


def read_batch(sha256s: Iterable[str], body: bytes) -> dict[str, bytes]:
    """What an answer with several blobs holds, checked to be what was asked for.

    Raises:
        InvalidInput: a blob that was asked for is not in it, or is damaged.
    """
    found = dict(blob_batch.decode(body))
    for sha256 in sha256s:
        check(sha256, digest(found.get(sha256, b"")))
    return found


def send_in_pieces(
    source: Path,
    sha256: str,
    *,
    on_progress: Callable[[int], None] | None = None,
    piece_bytes: int = PIECE_BYTES,
) -> Conversation[None]:
    """Send a file to the blob store, from where an earlier try came to.

    Args:
        source: must not change meanwhile.
        sha256: of its bytes.
        on_progress: told how many bytes the server has.
        piece_bytes: of one request.

    Raises:
        ServerUnreachable: not done; a later call goes on from there.
        InvalidInput: the bytes are not those of ``sha256``; the server has forgotten them.
    """
    total, n_failures = source.stat().st_size, 0
    begin = -1
    while True:
        try:
            if begin < 0:
                answer = yield from ask(_how_far(sha256))
            else:
                piece = yield from ask(Work(partial(_read, source, begin, piece_bytes)))
                answer = yield from ask(_piece(sha256, piece, begin, total))
        except OffsetMismatch as exc:
            begin = _expected(exc)  # somebody else sends the same, or the server lost its tail
            continue
        except ServerUnreachable:
            n_failures += 1
            if n_failures >= _TRIES:
                raise
            begin = -1
            yield from pause(pause_s(n_failures))
            continue
        n_failures = 0 if int(answer["n_bytes"]) > begin else n_failures
        begin = int(answer["n_bytes"])
        if on_progress is not None:
            on_progress(begin)
        if answer["done"]:
            return


def digest(source: Path | bytes) -> str:
    """The sha256 of a file or bytes."""
    hasher = hashlib.sha256()
    if isinstance(source, bytes):
        hasher.update(source)
        return hasher.hexdigest()
    with source.open("rb") as file:
        while block := file.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def is_large(source: Path) -> bool:
    """Whether a file goes in pieces."""
    return source.stat().st_size > PIECE_BYTES


def check(asked: str, came: str) -> None:
    """Refuse bytes that are not the ones asked for.

    Raises:
        InvalidInput: they are not.
    """
    if came != asked:
        raise InvalidInput(
            f"blob {asked[:12]} came as {came[:12]}; fetch it again", field="sha256", value=asked
        )


def _missing(hashes: list[str]) -> Call[list[str]]:
    body = {"sha256": hashes}
    return Call("POST", "/blobs/missing", lambda a: list(a["missing"]), body=body, idempotent=True)


def _batch(body: bytes) -> Call[None]:
    return Call(
        "POST",
        "/blobs/batch",
        lambda _: None,
        body=body,
        headers={"Content-Type": "application/octet-stream"},
        idempotent=True,
        extra_timeout_s=SETTLE_S,
    )


def _how_far(sha256: str) -> Call[dict[str, Any]]:
    return Call("GET", at("blobs", sha256, "part"), dict[str, Any], retries=0)


def _piece(sha256: str, data: bytes, begin: int, total: int) -> Call[dict[str, Any]]:
    is_last = begin + len(data) >= total
    return Call(
        "PATCH",
        at("blobs", sha256, "part"),
        dict[str, Any],
        body=data,
        query={"offset": begin, "total": total},
        headers={"Content-Type": "application/octet-stream"},
        idempotent=True,
        retries=0,
        extra_timeout_s=SETTLE_S if is_last else 0.0,
    )


def _read(source: Path, begin: int, n_bytes: int) -> bytes:
    with source.open("rb") as file:
        file.seek(begin)
        return file.read(n_bytes)


def _expected(exc: OffsetMismatch) -> int:
    expected = exc.details.get("expected")
    if not isinstance(expected, int):
        raise exc
    return expected
