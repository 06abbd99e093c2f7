"""``from dray.storage import StorageManager``: files at any address, by the name scripts know."""

from __future__ import annotations

from dray.sdk.storage.manager import StorageManager

__all__ = ["StorageManager"]
