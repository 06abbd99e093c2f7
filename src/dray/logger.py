"""``from dray.logger import Logger``: the name scripts know it by."""

from __future__ import annotations

from dray.sdk.logger import Logger

__all__ = ["Logger"]
