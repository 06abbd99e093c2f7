"""Joblib: what ``joblib.dump`` and ``joblib.load`` write and read are models, scikit-learn's."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from dray.sdk.hooks.capture import Capture
from dray.sdk.hooks.weights import FAMILY, Files

#: Where an object was defined → its framework; whatever else is dumped counts as scikit-learn's.
_FRAMEWORKS = {"xgboost": "XGBoost", "lightgbm": "LightGBM", "catboost": "CatBoost"}


def install(capture: Capture, joblib: ModuleType) -> None:
    """Watch ``dump`` and ``load``; what joblib's own cache keeps is no model."""
    files = Files(capture, "ScikitLearn")

    def saved(_: Any, value: Any, filename: Any, *__: Any, **___: Any) -> None:
        files.saved(filename, value, framework=_framework(value))

    def loaded(value: Any, filename: Any, *_: Any, **__: Any) -> None:
        files.loaded(filename, framework=_framework(value))

    capture.wrap(joblib, "dump", after=saved, family=FAMILY)
    capture.wrap(joblib, "load", after=loaded, family=FAMILY)
    backends = sys.modules.get("joblib._store_backends")
    cache = getattr(backends, "StoreBackendMixin", None)
    for name in ("dump_item", "load_item"):
        capture.wrap(cache, name, family=FAMILY)


def _framework(value: Any) -> str:
    module = str(type(value).__module__)  # pyright: ignore[reportUnknownMemberType]
    return _FRAMEWORKS.get(module.partition(".")[0], "ScikitLearn")
