"""``from dray.model import OutputModel``: models by the name scripts know."""

from __future__ import annotations

from dray.sdk.models.names import BaseModel, Framework, InputModel, Model, OutputModel

__all__ = ["BaseModel", "Framework", "InputModel", "Model", "OutputModel"]
