"""``from dray.backend_api.session.client import APIClient``."""

from __future__ import annotations

from dray.sdk.backend.api_client import APIClient

__all__ = ["APIClient"]
