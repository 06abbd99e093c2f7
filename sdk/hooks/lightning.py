"""Lightning: checkpoints of its trainer, which writes them past ``torch.save``'s own paths."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from dray.sdk.hooks.capture import Capture
from dray.sdk.hooks.weights import FAMILY, Files


def install(capture: Capture, module: ModuleType) -> None:
    """Watch ``Trainer.save_checkpoint`` of ``module``."""
    files = Files(capture, "PyTorch")

    def saved(_: Any, trainer: Any, filepath: Any, *__: Any, **___: Any) -> None:
        if getattr(trainer, "is_global_zero", True):
            files.saved(filepath, trainer, iteration=getattr(trainer, "global_step", None))

    capture.wrap(module.Trainer, "save_checkpoint", after=saved, family=FAMILY)
