"""The server's services by the names scripts know: ``from dray.backend_api import Session``."""

from __future__ import annotations

from dray.sdk.backend.session import Session

__all__ = ["Session"]
