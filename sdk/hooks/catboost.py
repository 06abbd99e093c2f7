"""CatBoost: models saved and loaded, and the metrics of each iteration."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from dray.sdk.hooks.boosting import Training, Trainings, with_callback
from dray.sdk.hooks.capture import Arguments, Capture
from dray.sdk.hooks.weights import FAMILY, Files

_CLASSES = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")


def install(capture: Capture, catboost: ModuleType) -> None:
    """Watch the four classes a model may be of."""
    files = Files(capture, "CatBoost")
    trainings = Trainings(capture.attempt)

    def saved(_: Any, model: Any, fname: Any, *__: Any, **___: Any) -> None:
        files.saved(fname, model)

    def loaded(_: Any, model: Any, fname: Any = None, *__: Any, **___: Any) -> None:
        del model
        files.loaded(fname)

    def reported(_: Any, model: Any, *__: Any, **___: Any) -> None:
        if _is_on_gpu(model):
            _report_all(model, trainings.begin())

    capture.wrap(catboost.CatBoost, "save_model", after=saved, family=FAMILY)
    capture.wrap(catboost.CatBoost, "load_model", after=loaded, family=FAMILY)
    for name in _CLASSES:
        owner = getattr(catboost, name, None)
        if owner is None or "fit" not in vars(owner):
            continue
        fit = owner.fit

        def reporting(*args: Any, fit: Any = fit, **kwargs: Any) -> Arguments | None:
            # On a GPU callbacks are refused: there the metrics come at the end, all at once.
            if _is_on_gpu(args[0]):
                return None
            return with_callback(fit, args, kwargs, Report(trainings.begin()))

        capture.wrap(owner, "fit", change=reporting, after=reported, family="catboost.fit")


class Report:
    """A callback of CatBoost."""

    def __init__(self, training: Training) -> None:
        self._training = training

    def after_iteration(self, info: Any) -> bool:
        """Record the metrics of an iteration; True: go on."""
        # CatBoost counts the iterations it has done; the first one is 1.
        self._training.report_last(info.metrics, info.iteration)
        return True


def _is_on_gpu(model: Any) -> bool:
    return str(model.get_param("task_type") or "").upper() == "GPU"


def _report_all(model: Any, training: Training) -> None:
    for data, metrics in model.get_evals_result().items():
        for metric, values in metrics.items():
            for number, value in enumerate(values, start=1):
                training.report(data, metric, value, number)
