"""The server's services by the names scripts know."""

from __future__ import annotations

from dray.sdk.backend.session import Session

__all__ = ["Session"]
