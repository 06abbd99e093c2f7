"""Blobs: bytes by their sha256, which snapshots and artifacts are made of."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from dray.api import auth, bodies
from dray.api.context import Ctx

router = APIRouter(prefix="/blobs", tags=["blobs"])
_RAW_BODY = {"requestBody": {"content": {"application/octet-stream": {}}, "required": True}}


@router.post("/missing")
async def missing(body: bodies.BlobList, context: Ctx, by: auth.Creator) -> bodies.MissingBlobs:
    """Which of the hashes the server does not hold; only those need be sent."""
    _ = by
    return bodies.MissingBlobs(await context.store.blobs.missing(body.sha256))


@router.put("/{sha256}", status_code=201, openapi_extra=_RAW_BODY)
async def put_blob(request: Request, sha256: str, context: Ctx, by: auth.Creator) -> Response:
    """Store the body; it is written to disk as it arrives, and kept when its hash is right."""
    _ = by
    async with context.store.blobs.writer(sha256) as writer:
        async for block in request.stream():
            await writer.write(block)
    return Response(status_code=201)


@router.get("/{sha256}", dependencies=[auth.READS], response_class=FileResponse)
async def get_blob(sha256: str, context: Ctx) -> FileResponse:
    """The bytes of a blob; `Range` is honoured."""
    return FileResponse(
        await context.store.blobs.path(sha256),
        media_type="application/octet-stream",
        filename=sha256,
        content_disposition_type="attachment",
    )
