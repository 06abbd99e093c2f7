"""PyTorch: what ``torch.save``, ``torch.load`` and TorchScript write and read are models."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from dray.sdk.hooks.capture import Capture
from dray.sdk.hooks.weights import FAMILY, Files


def install(capture: Capture, torch: ModuleType) -> None:
    """Watch the functions of ``torch`` that save and load."""
    files = Files(capture, "PyTorch")

    def saved(_: Any, obj: Any, f: Any, *__: Any, **___: Any) -> None:
        files.saved(f, obj)

    def loaded(_: Any, f: Any, *__: Any, **___: Any) -> None:
        if not _is_in_worker():
            files.loaded(f)

    capture.wrap(torch, "save", after=saved, family=FAMILY)
    capture.wrap(torch, "load", after=loaded, family=FAMILY)
    jit = getattr(torch, "jit", None)
    if jit is None:
        return
    capture.wrap(jit, "save", after=saved, family=FAMILY)
    capture.wrap(jit, "load", after=loaded, family=FAMILY)
    for name in ("ScriptModule", "RecursiveScriptModule"):
        if "save" in vars(getattr(jit, name, object)):
            capture.wrap(getattr(jit, name), "save", after=saved, family=FAMILY)


def _is_in_worker() -> bool:
    """Whether this process reads data for a ``DataLoader``: what it loads is no model."""
    data = sys.modules.get("torch.utils.data")
    return data is not None and data.get_worker_info() is not None
