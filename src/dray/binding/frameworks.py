"""``from dray.binding.frameworks import WeightsFileHandler``: callbacks around model files."""

from __future__ import annotations

from dray.sdk.hooks.weights import WeightsFileHandler

__all__ = ["WeightsFileHandler"]
