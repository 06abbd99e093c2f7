"""Matplotlib under an agent: no screen, so it draws with ``agg``."""

from __future__ import annotations

from types import ModuleType

from dray.sdk.hooks.capture import Capture
from dray.sdk.hooks.matplotlib_pyplot import without_screen


def install(capture: Capture, matplotlib: ModuleType) -> None:
    """Have ``matplotlib`` draw without a screen where there is none."""
    without_screen(capture, matplotlib)
