"""Several small blobs in one body: for each, a line with its sha256 and size, then its bytes."""

from __future__ import annotations

from collections.abc import Iterable

from dray.runtime.errors import InvalidInput

#: Of one batch; more go in several. Both sides hold a batch in memory.
LIMIT_BYTES, LIMIT_BLOBS = 16 << 20, 1000
#: A larger blob goes by itself.
BLOB_LIMIT_BYTES = 1 << 20
#: Hashes of one request that asks for blobs: they stand in its address.
LIMIT_ASKED = 200


def encode(blobs: Iterable[tuple[str, bytes]]) -> bytes:
    """The body that holds ``blobs``, which are pairs of sha256 and content."""
    parts: list[bytes] = []
    for sha256, content in blobs:
        parts += [f"{sha256} {len(content)}\n".encode(), content]
    return b"".join(parts)


def decode(body: bytes) -> list[tuple[str, bytes]]:
    """The blobs of ``body``; whether their hashes are right is for whoever keeps them to check.

    Raises:
        InvalidInput: it is no batch, or ends within a blob.
    """
    found: list[tuple[str, bytes]] = []
    at = 0
    while at < len(body):
        end = body.find(b"\n", at, at + 100)
        sha256, _, size = body[at:end].decode("ascii", "replace").partition(" ")
        if end < 0 or len(sha256) != 64 or not size.isdecimal():
            raise InvalidInput(
                f"byte {at} of the batch begins no blob: expected a sha256, a space and a size",
                field="body",
            )
        at = end + 1 + int(size)
        if at > len(body):
            raise InvalidInput(f"the batch ends within blob {sha256}", field="body", value=sha256)
        found.append((sha256, body[end + 1 : at]))
    return found


def batches(sizes: Iterable[tuple[str, int]], limit_blobs: int = LIMIT_BLOBS) -> list[list[str]]:
    """The names of ``sizes`` (name, bytes) in groups that each make one batch; in order."""
    found: list[list[str]] = []
    n_bytes = 0
    for name, size in sizes:
        if not found or len(found[-1]) >= limit_blobs or n_bytes + size > LIMIT_BYTES:
            found.append([])
            n_bytes = 0
        found[-1].append(name)
        n_bytes += size
    return found
