"""``dray.model``: every class of models under the name scripts import it from."""

from __future__ import annotations

from dray.sdk.model_base import BaseModel
from dray.sdk.model_found import InputModel, Model
from dray.sdk.model_frameworks import Framework
from dray.sdk.model_output import OutputModel

__all__ = ["BaseModel", "Framework", "InputModel", "Model", "OutputModel"]
