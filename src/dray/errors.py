"""``from dray.errors import UsageError``: everything Dray raises on purpose."""

from __future__ import annotations

from dray.runtime.errors import (
    AmbiguousId,
    Conflict,
    DrayError,
    Forbidden,
    IllegalTransition,
    InvalidInput,
    NotEditable,
    NotFound,
    ServerUnreachable,
    TooLarge,
    Unauthorized,
    UsageError,
    WrongType,
)

__all__ = [
    "AmbiguousId",
    "Conflict",
    "DrayError",
    "Forbidden",
    "IllegalTransition",
    "InvalidInput",
    "NotEditable",
    "NotFound",
    "ServerUnreachable",
    "TooLarge",
    "Unauthorized",
    "UsageError",
    "WrongType",
]
