"""Capture without code: what frameworks save, load, plot and log is recorded as it happens.

One small file per framework, imported when that framework is, and not before. ``Task.init`` calls
:func:`install`, ``Task.close`` :func:`uninstall`. Part of the child's path: standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping

from dray.runtime.errors import InvalidInput
from dray.sdk.hooks import watch
from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from dray.sdk.hooks.capture import Capture
    from dray.sdk.session import Session

    Wanted = bool | Mapping[str, Any]

#: (key of ``auto_connect_frameworks``, module to wait for, file of this folder that serves it).
#: Each file has ``install(capture, module)``.
HOOKS = (
    ("pytorch", "torch", "pytorch"),
    ("pytorch", "lightning.pytorch.trainer.trainer", "lightning"),
    ("pytorch", "pytorch_lightning.trainer.trainer", "lightning"),
    ("joblib", "joblib", "joblib"),
    ("xgboost", "xgboost", "xgboost"),
    ("lightgbm", "lightgbm", "lightgbm"),
    ("catboost", "catboost", "catboost"),
    ("tensorflow", "keras", "keras"),
    ("tensorboard", "tensorboardX.event_file_writer", "tensorboard"),
    ("tensorboard", "tensorboard.summary.writer.event_file_writer", "tensorboard"),
    ("tensorboard", "tensorflow.python.summary.writer.event_file_writer", "tensorboard"),
    ("tensorboard", "tensorflow.python.ops.gen_summary_ops", "tensorflow_summary"),
    ("matplotlib", "matplotlib", "matplotlib_backend"),
    ("matplotlib", "matplotlib.figure", "matplotlib"),
    ("matplotlib", "matplotlib.pyplot", "matplotlib_pyplot"),
    ("matplotlib", "matplotlib_inline.backend_inline", "matplotlib_inline"),
)
#: Keys that somebody else looks at: command lines, the capture of code; fastai saves by PyTorch.
ELSEWHERE = frozenset({"hydra", "tfdefines", "detect_repository", "fastai"})
#: Keys of ClearML that nothing is captured of; they may be named all the same.
NOTHING = frozenset({"megengine", "gradio"})
KEYS = frozenset({key for key, _, _ in HOOKS} | {"scikit"} | ELSEWHERE | NOTHING)

#: What is installed now, in the order it was.
_captures: list[Capture] = []
#: (module, installer) that wait or have run.
_waits: list[tuple[str, Any]] = []


def install(attempt: Session, wanted: Wanted = True) -> None:
    """Record for ``attempt`` what frameworks do from now on; a second call replaces the first.

    Args:
        attempt: whose records they are.
        wanted: what ``auto_connect_frameworks`` said: False or an empty mapping for nothing; a
            mapping of framework to bool, to wildcard patterns (``"*.pt"`` or a list: which model
            files), or to a mapping of finer switches such as ``{"report_hparams": False}``. What
            it does not name is wanted.

    Raises:
        InvalidInput: it names something that is no framework.
    """
    check(wanted)
    uninstall()
    for key, module, file in HOOKS:
        if is_wanted(wanted, key):
            installer = _Installer(attempt, key, options_of(wanted, key), file)
            _waits.append((module, installer))
            watch.when_imported(module, installer)


def uninstall() -> None:
    """Put everything back as it was before :func:`install`."""
    for module, installer in _waits:
        watch.forget(module, installer)
    _waits.clear()
    while _captures:
        _captures.pop().undo()


def check(wanted: Wanted) -> None:
    """See that ``auto_connect_frameworks`` names only what there is.

    Raises:
        InvalidInput: it names something else, or it is neither bool nor mapping.
    """
    if not isinstance(wanted, Mapping):
        if not isinstance(wanted, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(
                f"auto_connect_frameworks takes a bool or a mapping, got {wanted!r}",
                field="auto_connect_frameworks",
            )
        return
    unknown = sorted(str(key) for key in wanted if key not in KEYS)
    if unknown:
        raise InvalidInput(
            f"auto_connect_frameworks does not know {', '.join(unknown)}; "
            f"it takes {', '.join(sorted(KEYS))}",
            field="auto_connect_frameworks",
            value=unknown,
        )
    idle = sorted(key for key in NOTHING if wanted.get(key))
    if idle:
        watch.tell_once(
            f"idle {idle}", f"auto_connect_frameworks: nothing is captured of {', '.join(idle)}"
        )


def is_wanted(wanted: Wanted, key: str) -> bool:
    """Whether ``auto_connect_frameworks`` asks for ``key``; what it does not name, it does."""
    if not isinstance(wanted, Mapping):
        return bool(wanted)
    if not wanted:
        return False
    # One hook serves both names; either switches it off.
    return all(bool(wanted.get(name, True)) for name in _names(key))


def options_of(wanted: Wanted, key: str) -> Any:
    """What ``auto_connect_frameworks`` says of ``key``; True where it does not name it."""
    if not isinstance(wanted, Mapping):
        return True
    said = [wanted[name] for name in _names(key) if name in wanted]
    return next((value for value in said if value is not True), True)


def _names(key: str) -> tuple[str, ...]:
    return ("scikit", "joblib") if key == "joblib" else (key,)


class _Installer:
    """Imports the file of one framework, when that framework is there."""

    def __init__(self, attempt: Session, key: str, options: Any, file: str) -> None:
        self._attempt = attempt
        self._key = key
        self._options = options
        self._file = file
        self.__qualname__ = file

    def __call__(self, module: ModuleType) -> None:
        from importlib import import_module

        from dray.sdk.hooks.capture import Capture

        capture = Capture(self._attempt, self._key, self._options)
        _captures.append(capture)
        try:
            import_module(f"{__name__}.{self._file}").install(capture, module)
        except Exception:
            capture.undo()
            raise
