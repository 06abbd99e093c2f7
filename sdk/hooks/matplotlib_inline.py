"""Figures of a notebook: a cell that is done shows what it has drawn, without ``plt.show``."""

from __future__ import annotations

from types import ModuleType

from dray.sdk.hooks.capture import Capture
from dray.sdk.hooks.matplotlib import FAMILY
from dray.sdk.hooks.matplotlib_pyplot import report_changed


def install(capture: Capture, backend: ModuleType) -> None:
    """Watch ``show`` of the backend, which both a cell's end and ``plt.show`` come to."""
    capture.wrap(backend, "show", before=report_changed(capture), family=FAMILY)
