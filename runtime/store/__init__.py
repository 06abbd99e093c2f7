"""The one writer: SQLite behind one repository per noun."""

from dray.runtime.store.contract import (
    Assignment,
    By,
    Change,
    ClaimRequest,
    CloneRequest,
    ConsolePage,
    ConsolePiece,
    FrameReply,
    OpenAttempt,
    Page,
    Plot,
    RawConsole,
    ScalarSeries,
    StoredReply,
    TaskEdit,
    TaskQuery,
    TextLine,
)
from dray.runtime.store.store import Store

__all__ = [
    "Assignment",
    "By",
    "Change",
    "ClaimRequest",
    "CloneRequest",
    "ConsolePage",
    "ConsolePiece",
    "FrameReply",
    "OpenAttempt",
    "Page",
    "Plot",
    "RawConsole",
    "ScalarSeries",
    "Store",
    "StoredReply",
    "TaskEdit",
    "TaskQuery",
    "TextLine",
]
