"""Every error as problem+json (RFC 9457): one table from error class to status."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dray.runtime import errors
from dray.runtime.errors import DrayError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

#: Every class of the tree has a row; a test compares.
STATUS_BY_CLASS: Mapping[type[DrayError], int] = MappingProxyType(
    {
        errors.DrayError: 500,
        errors.InvalidInput: 422,
        errors.NotFound: 404,
        errors.AmbiguousId: 400,
        errors.Conflict: 409,
        errors.IllegalTransition: 409,
        errors.NotEditable: 409,
        errors.StaleEpoch: 409,
        errors.OffsetMismatch: 409,
        errors.Unauthorized: 401,
        errors.Forbidden: 403,
        errors.TooLarge: 413,
        errors.ServerUnreachable: 503,
        errors.PreparationFailed: 500,
        errors.StoreUnusable: 503,
        errors.InsufficientStorage: 507,
    }
)

#: Codes of what goes wrong before any code of ours runs.
_HTTP_CODES: Mapping[int, str] = MappingProxyType(
    {400: "malformed_json", 404: "not_found", 405: "method_not_allowed"}
)
#: A value is shown in a message up to this length; it may be a whole file.
_SHOWN_VALUE_LENGTH = 200


class BodyOverLimit(HTTPException):
    """The body grew over its limit while it was read.

    An ``HTTPException``, because FastAPI lets no other error out of its reading of a body.
    """

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(413)
        self.error = errors.TooLarge(
            f"the request body is over the limit of {limit_bytes} bytes for this address",
            limit_bytes=limit_bytes,
        )


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` in this module's form."""
    app.add_exception_handler(DrayError, _on_dray_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(UnicodeEncodeError, _on_half_character)


def answer(error: DrayError, scope: Scope) -> Response:
    """The response that tells ``error``."""
    status = next(STATUS_BY_CLASS[c] for c in type(error).__mro__ if c in STATUS_BY_CLASS)
    headers = {"WWW-Authenticate": 'Bearer realm="dray"'} if status == 401 else {}
    return _problem(scope, status, error.code, error.message, error.details, headers)


async def _on_dray_error(request: Request, exc: Exception) -> Response:
    return answer(cast("DrayError", exc), request.scope)


async def _on_http_error(request: Request, exc: Exception) -> Response:
    error = cast("HTTPException", exc)
    if isinstance(error, BodyOverLimit):
        return answer(error.error, request.scope)
    code = _HTTP_CODES.get(error.status_code, "error")
    where = f"{request.method} {request.url.path}"
    detail = {
        400: "the request body could not be read as JSON",
        404: f"no route {where}; /openapi.json lists them all",
        405: f"no route {where}; this address takes {(error.headers or {}).get('Allow')}",
    }.get(error.status_code, str(error.detail))
    return _problem(request.scope, error.status_code, code, detail, {}, dict(error.headers or {}))


async def _on_half_character(request: Request, exc: Exception) -> Response:
    # JSON can spell half of a surrogate pair; no file and no database can hold it.
    text = cast("UnicodeEncodeError", exc).object
    error = errors.InvalidInput(
        f"{_shown(text)} holds half a character (a lone surrogate)", field="body"
    )
    return answer(error, request.scope)


async def _on_invalid(request: Request, exc: Exception) -> Response:
    found = cast("Sequence[Mapping[str, Any]]", cast("RequestValidationError", exc).errors())
    first = found[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "")
        detail = f"the request body is not JSON: {reason} at character {first['loc'][-1]}"
        return _problem(request.scope, 400, "malformed_json", detail, {}, {})
    refused = first.get("ctx", {}).get("error")
    if isinstance(refused, DrayError):  # by a validator of ours: a ValueError, which it wraps
        return answer(refused, request.scope)
    named = [
        {"field": _field(error), "message": error["msg"], "value": _shown(error.get("input"))}
        for error in found
    ]
    details = {"field": named[0]["field"], "value": named[0]["value"], "errors": named}
    detail = "; ".join(f"{e['field']}: {e['message']} (got {e['value']})" for e in named)
    return _problem(request.scope, 422, errors.InvalidInput.code, detail, details, {})


def _field(error: Mapping[str, Any]) -> str:
    where, *rest = error["loc"]
    return ".".join(str(part) for part in rest) or str(where)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_VALUE_LENGTH else text[:_SHOWN_VALUE_LENGTH] + "…"


def _problem(
    scope: Scope,
    status: int,
    code: str,
    detail: str,
    details: Mapping[str, Any],
    headers: Mapping[str, str],
) -> Response:
    members = {
        **details,
        "type": f"urn:dray:error:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id(scope),
    }
    return Response(
        json.dumps(members, default=str).encode(), status, headers, media_type=MEDIA_TYPE
    )


def request_id(scope: Scope) -> str:
    """The id this request is known by in answers, audit and logs."""
    return str(scope.get("state", {}).get("request_id", ""))


class UnexpectedErrors:
    """Middleware: our own faults become a 500 that names the request and tells no internals."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and answer for whatever nobody expected."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception:
            if scope["type"] != "http":
                raise
            log.exception("request %s failed: %s", request_id(scope), scope["path"])
            if started:
                raise  # the server closes the connection: the client must not take it for whole
            detail = (
                f"{HTTPStatus(500).phrase}; the server's log has the reason under "
                f"request id {request_id(scope)}"
            )
            await _problem(scope, 500, DrayError.code, detail, {}, {})(scope, receive, send)
