"""``dray.model``: every class of models under the name scripts import it from."""

from __future__ import annotations

from dray.sdk.models.base import BaseModel
from dray.sdk.models.found import InputModel, Model
from dray.sdk.models.frameworks import Framework
from dray.sdk.models.output import OutputModel

__all__ = ["BaseModel", "Framework", "InputModel", "Model", "OutputModel"]
