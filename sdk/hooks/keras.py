"""Keras 3: models and weights that are saved and loaded, whatever computes underneath."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from dray.sdk.hooks.capture import Capture
from dray.sdk.hooks.weights import FAMILY, Files

#: Where Keras offers the same functions; what ``Model`` itself calls is the first.
_PLACES = ("keras.src.saving.saving_api", "keras.saving", "keras.models")


def install(capture: Capture, keras: ModuleType) -> None:
    """Watch the functions that save and load, and the methods of ``Model`` that do."""
    files = Files(capture, "Keras")

    def saved(_: Any, model: Any, filepath: Any, *__: Any, **___: Any) -> None:
        files.saved(filepath, model)

    def loaded(_: Any, filepath: Any, *__: Any, **___: Any) -> None:
        files.loaded(filepath)

    def weights_loaded(_: Any, model: Any, filepath: Any, *__: Any, **___: Any) -> None:
        del model
        files.loaded(filepath)

    for name, recorder in (("save", saved), ("save_weights", saved)):
        capture.wrap(keras.Model, name, after=recorder, family=FAMILY)
    capture.wrap(keras.Model, "load_weights", after=weights_loaded, family=FAMILY)
    for place in _PLACES:
        module = sys.modules.get(place)
        capture.wrap(module, "save_model", after=saved, family=FAMILY)
        capture.wrap(module, "save_weights", after=saved, family=FAMILY)
        capture.wrap(module, "load_model", after=loaded, family=FAMILY)
        capture.wrap(module, "load_weights", after=weights_loaded, family=FAMILY)
