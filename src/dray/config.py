"""``from dray.config import running_remotely``: the name scripts know it by."""

from __future__ import annotations

from dray.sdk.task import Task


def running_remotely() -> bool:
    """Whether an agent runs this process."""
    return Task.running_remotely()


__all__ = ["running_remotely"]
