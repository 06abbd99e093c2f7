"""Model files that frameworks save and load: which of them count, and under what name.

``WeightsFileHandler`` is what scripts put their own word in with, by the name they know.
"""

from __future__ import annotations

import fnmatch
import os
import threading
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, cast

from dray.sdk.hooks.capture import Capture
from dray.sdk.hooks.watch import tell_once

#: Files one process may load before further ones are left out: by then they are data, not models.
LOAD_LIMIT = 100
#: Family of all functions that save and load: the outermost one is what the script called.
FAMILY = "model"


class WeightsFileHandler:
    """Callbacks around every model file that is recorded without code.

    A callback is called with ``"save"`` or ``"load"`` and a :class:`ModelInfo`, which it may
    change and must give back. A *pre* callback that returns None has the file left out; the file
    itself is saved or loaded all the same. One that raises is left out, which is said once.
    """

    class CallbackType(Enum):
        """What happens to the file; each is equal to its own name."""

        save = "save"
        load = "load"

        def __str__(self) -> str:
            return self.value

        def __eq__(self, other: object) -> bool:
            return str(self) == str(other)

        def __hash__(self) -> int:
            return hash(self.value)

    class ModelInfo:
        """One file on its way.

        Attributes:
            model: what it was recorded as; None in a pre callback.
            upload_filename: name it is kept under; of a save only.
            local_model_path: where it lies, absolute.
            local_model_id: the path as the script gave it.
            framework: such as ``"PyTorch"``.
            task: the running task.
            weights_object: what was saved; of a save only, and only during the call.
        """

        def __init__(
            self,
            model: Any,
            upload_filename: str | None,
            local_model_path: str,
            local_model_id: str,
            framework: str,
            task: Any,
        ) -> None:
            self.model = model
            self.upload_filename = upload_filename
            self.local_model_path = local_model_path
            self.local_model_id = local_model_id
            self.framework = framework
            self.task = task
            self.weights_object: Any = None

    #: As the callbacks of users are: handle → function.
    _pre: dict[int, Callable[..., Any]] = {}  # noqa: RUF012  (shared on purpose)
    _post: dict[int, Callable[..., Any]] = {}  # noqa: RUF012

    @classmethod
    def add_pre_callback(cls, callback_function: Callable[..., ModelInfo | None]) -> int:
        """Call ``callback_function(action, info)`` before a file is recorded; gives a handle.

        One that was added before keeps the handle it has.
        """
        return _add(cls._pre, callback_function)

    @classmethod
    def add_post_callback(cls, callback_function: Callable[..., ModelInfo]) -> int:
        """Call ``callback_function(action, info)`` after a file was recorded; gives a handle."""
        return _add(cls._post, callback_function)

    @classmethod
    def remove_pre_callback(cls, handle: int) -> bool:
        """Take a callback out again; whether there was one of this handle."""
        return cls._pre.pop(handle, None) is not None

    @classmethod
    def remove_post_callback(cls, handle: int) -> bool:
        """Take a callback out again; whether there was one of this handle."""
        return cls._post.pop(handle, None) is not None


_lock = threading.Lock()
_handles = iter(range(1, 1 << 62))


class Files:
    """The model files of one framework's hook."""

    def __init__(self, capture: Capture, framework: str) -> None:
        self._capture = capture
        self._framework = framework
        self._loaded: set[str] = set()

    def saved(
        self,
        target: Any,
        model: Any = None,
        *,
        framework: str = "",
        iteration: int | None = None,
    ) -> None:
        """Record that ``model`` was saved into ``target``: a path, or a file that is open.

        What has no path, such as a buffer, is no model file. Any: ``target`` and ``model`` are
        whatever the script gave its framework.
        """
        info = self._info(target, framework)
        if info is None or not os.path.exists(info.local_model_path):
            return
        info.upload_filename = os.path.basename(info.local_model_path.rstrip(os.sep))
        info.weights_object = model
        agreed = _call(WeightsFileHandler._pre, "save", info)  # pyright: ignore[reportPrivateUsage]
        if agreed is None:
            return
        agreed.weights_object = None
        name = _stem(agreed.upload_filename) if agreed.upload_filename else None
        from dray.sdk.models import saves as model_saves

        agreed.model = model_saves.saved(
            self._capture.attempt,
            agreed.local_model_path,
            agreed.framework,
            name=name,
            iteration=iteration,
        )
        agreed.weights_object = model
        _call(WeightsFileHandler._post, "save", agreed)  # pyright: ignore[reportPrivateUsage]
        agreed.weights_object = None

    def loaded(self, target: Any, *, framework: str = "") -> None:
        """Record that a model was loaded from ``target``: a path, or a file that is open."""
        info = self._info(target, framework)
        if info is None or not self._counts(info.local_model_path):
            return
        agreed = _call(WeightsFileHandler._pre, "load", info)  # pyright: ignore[reportPrivateUsage]
        if agreed is None:
            return
        from dray.sdk.models import saves as model_saves

        agreed.model = model_saves.loaded(
            self._capture.attempt, agreed.local_model_path, agreed.framework
        )
        _call(WeightsFileHandler._post, "load", agreed)  # pyright: ignore[reportPrivateUsage]

    def _info(self, target: Any, framework: str) -> WeightsFileHandler.ModelInfo | None:
        given = path_of(target)
        if not given:
            return None
        path = os.path.abspath(given)
        if not fits(path, given, self._capture.options):
            return None
        from dray.sdk.task import Task

        return WeightsFileHandler.ModelInfo(
            None, None, path, given, framework or self._framework, Task.current_task()
        )

    def _counts(self, path: str) -> bool:
        if path in self._loaded:
            return False
        if len(self._loaded) >= LOAD_LIMIT:
            tell_once(
                f"loads {self._framework}",
                f"{LOAD_LIMIT} files were loaded through {self._framework}; further ones are not "
                "recorded as models",
            )
            return False
        self._loaded.add(path)
        return True


def path_of(target: Any) -> str | None:
    """The path behind what a framework was given; None of a buffer or a pipe.

    A file that is open is flushed, so that what was written can be read.
    """
    if isinstance(target, (str, os.PathLike)):
        return os.fsdecode(cast("str | os.PathLike[str]", target))
    name = getattr(target, "name", None)
    if not isinstance(name, str):
        return None
    flush = getattr(target, "flush", None)
    if callable(flush):
        flush()
    return name


def fits(path: str, given: str, options: Any) -> bool:
    """Whether a file is wanted: all are, unless there are wildcard patterns and none fits."""
    if isinstance(options, str):
        options = [options]
    if not isinstance(options, (list, tuple, set, frozenset)):
        return True
    names = (path, given, os.path.basename(path))
    patterns = cast("Iterable[object]", options)
    return any(fnmatch.fnmatch(name, str(pattern)) for pattern in patterns for name in names)


def _add(target: dict[int, Callable[..., Any]], function: Callable[..., Any]) -> int:
    with _lock:
        for handle, known in target.items():
            if known == function:
                return handle
        handle = next(_handles)
        target[handle] = function
        return handle


def _call(callbacks: dict[int, Callable[..., Any]], action: str, info: Any) -> Any:
    """What the callbacks make of ``info``; None when one of them wants the file left out."""
    kind = WeightsFileHandler.CallbackType(action)
    for callback in list(callbacks.values()):
        try:
            info = callback(kind, info)
        except Exception as exc:  # the user's own function; the script goes on
            name = getattr(callback, "__qualname__", repr(callback))
            tell_once(f"callback {name}", f"{name} raised {type(exc).__name__}: {exc}")
            continue
        if info is None:
            return None
    return info


def _stem(filename: str) -> str:
    return os.path.splitext(filename)[0]
