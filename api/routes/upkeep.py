"""Looking after a store that is being served: its backup, and the check of its invariants."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from dray.api import auth
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.runtime.answers import IntegrityReport
from dray.runtime.paths import HomePaths
from dray.runtime.store import Store
from dray.runtime.store.integrity import check_store

router = APIRouter(prefix=f"{API_PREFIX}/server", tags=["server"])
_TAR = "application/x-tar"


class BackupResponse(Response):
    """A backup of the moment in which it is sent, made while it is sent."""

    media_type = _TAR

    def __init__(self, store: Store, filename: str) -> None:
        super().__init__(headers={"Content-Disposition": f'attachment; filename="{filename}"'})
        del self.headers["content-length"]
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Prepare it, so that what fails is told as a problem; then send it."""
        async with self._store.backup() as blocks:
            streamed = StreamingResponse(
                iterate_in_threadpool(blocks), headers=dict(self.headers), media_type=_TAR
            )
            await streamed(scope, receive, send)


@router.get("/backup", status_code=200, response_class=BackupResponse)
async def backup(context: Ctx, by: auth.Admin) -> BackupResponse:
    """Everything the store keeps, as one file that `dray backup restore` takes.

    It shows one moment; the server goes on meanwhile. Tokens are not in it.
    """
    _ = by
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(context.clock.now()))
    return BackupResponse(context.store, f"dray-backup-{stamp}.tar")


@router.get("/integrity")
async def integrity(context: Ctx, by: auth.Admin, deep: bool = False) -> IntegrityReport:
    """Every invariant that rows and files can show; `deep` also reads every blob."""
    _ = by
    home = HomePaths(context.settings.home)
    return await asyncio.to_thread(check_store, home, deep=deep)
