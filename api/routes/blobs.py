"""Blobs: bytes by their sha256, which snapshots and artifacts are made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse, Response

from dray.api import auth, bodies
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.runtime import blob_batch
from dray.runtime.errors import TooLarge
from dray.runtime.records import OFFSET_LIMIT

#: Network blocks are small, and each write is a trip to a thread.
_WRITE_BYTES = 1 << 20
#: Of a batch, with the line before each blob.
_BATCH_BODY_BYTES = blob_batch.LIMIT_BYTES + blob_batch.LIMIT_BLOBS * 100

router = APIRouter(prefix=f"{API_PREFIX}/blobs", tags=["blobs"])
_RAW_BODY = bodies.raw("application/octet-stream")


@router.post("/missing")
async def missing(body: bodies.BlobList, context: Ctx, by: auth.Creator) -> bodies.MissingBlobs:
    """Which of the hashes the server does not hold; only those need be sent."""
    _ = by
    return bodies.MissingBlobs(await context.store.blobs.missing(body.sha256))


@router.post("/batch", status_code=201, openapi_extra=_RAW_BODY)
async def put_blobs(request: Request, context: Ctx, by: auth.Creator) -> Response:
    """Store several small blobs of one body, at most 16 MiB and 1000 of them.

    For each, a line with its sha256, a space and its size in bytes, then its bytes.
    """
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > _BATCH_BODY_BYTES:
            raise _batch_over_limit()
    blobs = blob_batch.decode(bytes(body))
    if len(blobs) > blob_batch.LIMIT_BLOBS:
        raise _batch_over_limit()
    await context.store.fencing.check(by)
    await context.store.blobs.put_many(blobs)
    return Response(status_code=201)


@router.get("/batch", dependencies=[auth.READS], response_class=Response)
async def get_blobs(
    context: Ctx, sha256: Annotated[list[str], Query(max_length=blob_batch.LIMIT_ASKED)]
) -> Response:
    """Several small blobs, together at most 16 MiB, as `POST` of this address takes them."""
    blobs = await context.store.blobs.read_many(sha256, blob_batch.LIMIT_BYTES)
    body = await asyncio.to_thread(blob_batch.encode, blobs)
    return Response(body, media_type="application/octet-stream")


@router.put("/{sha256}", status_code=201, openapi_extra=_RAW_BODY)
async def put_blob(request: Request, sha256: str, context: Ctx, by: auth.Creator) -> Response:
    """Store the body; it is written to disk as it arrives, and kept when its hash is right."""
    async with context.store.blobs.writer(sha256) as writer:
        async for block in _gathered(request.stream()):
            await writer.write(block)
        await context.store.fencing.check(by)  # an upload takes long; nothing of it is kept
    return Response(status_code=201)


@router.get("/{sha256}/part", dependencies=[auth.READS])
async def look_at_part(sha256: str, context: Ctx) -> bodies.PartialBlob:
    """How much of a blob has arrived: where whoever sends it in pieces goes on."""
    if await context.store.blobs.has(sha256):
        size = (await context.store.blobs.path(sha256)).stat().st_size
        return bodies.PartialBlob(size, done=True)
    return bodies.PartialBlob(await context.store.partial_blobs.n_bytes(sha256), done=False)


@router.patch("/{sha256}/part", openapi_extra=_RAW_BODY)
async def put_part(
    request: Request,
    sha256: str,
    context: Ctx,
    by: auth.Creator,
    offset: Annotated[int, Query(ge=0, lt=OFFSET_LIMIT)] = 0,
    total: Annotated[
        int | None,
        Query(
            ge=0,
            lt=OFFSET_LIMIT,
            description="bytes of the whole; unless said, this is the last piece",
        ),
    ] = None,
) -> bodies.PartialBlob:
    """Take the bytes of a blob from `offset` on; with the last of `total` it becomes a blob.

    What has arrived stays when the connection breaks or the server begins anew, for two days.
    """
    limit = context.settings.upload_limit_bytes
    if (offset if total is None else total) > limit:
        raise TooLarge(
            f"a blob of {total or offset} bytes is over the limit of {limit} (upload_limit_bytes)",
            limit_bytes=limit,
        )
    if await context.store.blobs.has(sha256):
        return bodies.PartialBlob(total or 0, done=True)
    async with context.store.partial_blobs.part(sha256, offset) as writer:
        async for block in _gathered(request.stream()):
            await writer.write(block)
    await context.store.fencing.check(by)
    if total is not None and writer.at < total:
        return bodies.PartialBlob(writer.at, done=False)
    await context.store.partial_blobs.settle(sha256, writer.at if total is None else total)
    return bodies.PartialBlob(writer.at, done=True)


@router.get("/{sha256}", dependencies=[auth.READS], response_class=FileResponse)
async def get_blob(sha256: str, context: Ctx) -> FileResponse:
    """The bytes of a blob; `Range` is honoured."""
    return FileResponse(
        await context.store.blobs.path(sha256),
        media_type="application/octet-stream",
        filename=sha256,
        content_disposition_type="attachment",
    )


def _batch_over_limit() -> TooLarge:
    return TooLarge(
        f"a batch of blobs is over {blob_batch.LIMIT_BYTES} bytes or {blob_batch.LIMIT_BLOBS} "
        "blobs; send it as several",
        limit_bytes=blob_batch.LIMIT_BYTES,
    )


async def _gathered(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    gathered = bytearray()
    async for block in blocks:
        gathered += block
        if len(gathered) >= _WRITE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)
