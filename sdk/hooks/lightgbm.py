"""LightGBM: models saved and loaded, the evaluated metrics and the parameters of a training."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, cast

from dray.sdk.hooks.boosting import Training, Trainings, with_callback
from dray.sdk.hooks.capture import Arguments, Capture
from dray.sdk.hooks.weights import FAMILY, Files


def install(capture: Capture, lightgbm: ModuleType) -> None:
    """Watch ``Booster`` and ``train``, also where the scikit-learn interface calls it."""
    files = Files(capture, "LightGBM")
    trainings = Trainings(capture.attempt)

    def saved(_: Any, booster: Any, filename: Any, *__: Any, **___: Any) -> None:
        files.saved(filename, booster)

    def made(_: Any, booster: Any, *args: Any, **kwargs: Any) -> None:
        # Booster(params, train_set, model_file): with a file it is loaded, not trained.
        del booster
        file = kwargs.get("model_file", args[2] if len(args) > 2 else None)
        if file is not None:
            files.loaded(file)

    capture.wrap(lightgbm.Booster, "save_model", after=saved, family=FAMILY)
    capture.wrap(lightgbm.Booster, "__init__", after=made, family=FAMILY)
    train = lightgbm.train

    def reporting(*args: Any, **kwargs: Any) -> Arguments | None:
        _keep_parameters(capture, kwargs.get("params", args[0] if args else None))
        return with_callback(train, args, kwargs, Report(trainings.begin()))

    for owner in (lightgbm, sys.modules.get("lightgbm.sklearn")):
        capture.wrap(owner, "train", change=reporting, family="lightgbm.train")


class Report:
    """A callback of LightGBM: it is called after each round."""

    #: After LightGBM's own ones that change metrics, before the one that stops early.
    order = 25
    before_iteration = False

    def __init__(self, training: Training) -> None:
        self._training = training

    def __call__(self, env: Any) -> None:
        """Record the metrics of a round; those of ``cv`` come with their deviation, left out."""
        for data, metric, value, *_ in env.evaluation_result_list or ():
            self._training.report(data, metric, value, env.iteration)


def _keep_parameters(capture: Capture, params: Any) -> None:
    """Record what a training was given; names that stand already are the script's own."""
    if not isinstance(params, Mapping):
        return
    stored = cast("dict[str, Any]", capture.attempt.task.get("parameters") or {})
    kept = {
        f"General/{name}": {"value": str(value), "type": type(value).__name__, "description": ""}
        for name, value in cast("Mapping[str, object]", params).items()
        if f"General/{name}" not in stored and not callable(value)
    }
    capture.attempt.put_parameters(kept)
