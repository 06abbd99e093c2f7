"""XGBoost: models saved and loaded, and the evaluated metrics of each round."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from dray.sdk.hooks.boosting import Trainings, with_callback
from dray.sdk.hooks.capture import Arguments, Capture
from dray.sdk.hooks.weights import FAMILY, Files


def install(capture: Capture, xgboost: ModuleType) -> None:
    """Watch ``Booster`` and ``train``, also where the scikit-learn interface calls them."""
    files = Files(capture, "XGBoost")
    trainings = Trainings(capture.attempt)

    def saved(_: Any, booster: Any, fname: Any, *__: Any, **___: Any) -> None:
        files.saved(fname, booster)

    def loaded(_: Any, booster: Any, fname: Any, *__: Any, **___: Any) -> None:
        del booster
        files.loaded(fname)

    capture.wrap(xgboost.Booster, "save_model", after=saved, family=FAMILY)
    capture.wrap(xgboost.Booster, "load_model", after=loaded, family=FAMILY)
    base = getattr(getattr(xgboost, "callback", None), "TrainingCallback", None)
    if base is None:
        return
    train = xgboost.train

    def reporting(*args: Any, **kwargs: Any) -> Arguments | None:
        return with_callback(train, args, kwargs, _callback(base, trainings))

    for owner in (xgboost, sys.modules.get("xgboost.sklearn")):
        capture.wrap(owner, "train", change=reporting, family="xgboost.train")


def _callback(base: Any, trainings: Trainings) -> Any:
    training = trainings.begin()

    class Report(base):
        """Records the metrics after each round; XGBoost takes callbacks of its own class only."""

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            del model
            training.report_last(evals_log, epoch)
            return False

    return Report()
