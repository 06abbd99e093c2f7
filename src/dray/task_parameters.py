"""``from dray.task_parameters import TaskParameters, param``: the name scripts know them by."""

from __future__ import annotations

from dray.sdk.parameters.parameter_class import (
    TaskParameters,
    param,
    percent_param,
    range_validator,
)

__all__ = ["TaskParameters", "param", "percent_param", "range_validator"]
