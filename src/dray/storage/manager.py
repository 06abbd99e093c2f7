"""``from dray.storage.manager import StorageManager``: the name scripts know it by."""

from __future__ import annotations

from dray.sdk.storage.manager import StorageManager

__all__ = ["StorageManager"]
