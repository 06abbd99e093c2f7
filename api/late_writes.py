"""Writes of an attempt that is over: refused like any error, counted, and told in the audit."""

from __future__ import annotations

from typing import cast

from fastapi import Request
from starlette.responses import Response

from dray.api import auth, problems
from dray.api.context import context
from dray.runtime.errors import StaleEpoch


async def refuse(request: Request, exc: Exception) -> Response:
    """The answer to whoever speaks for an attempt that is not the open one."""
    error = cast("StaleEpoch", exc)
    store = (await context(request)).store
    await store.fencing.note_refused(error, auth.spoken_by(request, await auth.principal(request)))
    return problems.answer(error, request.scope)
