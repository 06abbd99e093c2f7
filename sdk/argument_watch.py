"""Notice ``argparse`` without importing it: what is wanted of its arguments, and the patch.

``dray.sdk.arguments`` does the work, in scripts that have a command line. Part of the child's
path.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


#: Section of the parameters that came from a command line.
SECTION = "Args"


class State:
    """What is switched on: one for the process, as the patch is."""

    is_watching = False
    #: What ``auto_connect_arg_parser`` said: argument → whether it is connected; ``*``: the rest.
    wanted: Mapping[str, bool] | bool = True
    #: Whether ``Task.init`` has been called, so that arguments are recorded as they are parsed.
    is_recording = False


def watch() -> None:
    """See every command line parsed from now on."""
    if State.is_watching:
        return
    State.is_watching = True
    if "argparse" in sys.modules:
        _patch()
    else:
        sys.meta_path.insert(0, _Finder())


def connect(wanted: Mapping[str, bool] | bool) -> None:
    """Record arguments from now on, and those that were parsed before."""
    State.wanted = wanted
    State.is_recording = wanted is not False
    if "dray.sdk.arguments" in sys.modules:
        from dray.sdk import arguments

        arguments.record_earlier()


def disconnect() -> None:
    """Record no more; the next ``Task.init`` begins anew."""
    State.is_recording = False
    State.wanted = True
    if "dray.sdk.arguments" in sys.modules:
        from dray.sdk import arguments

        arguments.forget_earlier()


def _patch() -> None:
    from dray.sdk import arguments

    # While that module is the one that imports ``argparse``, it patches when it is complete.
    if hasattr(arguments, "patch"):
        arguments.patch()


class _Finder:
    """Stands before the other finders until ``argparse`` is imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec of ``argparse``, with a loader that patches it; None for all others."""
        del path, target
        if name != "argparse":
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """Loads a module as its own loader does, then patches it."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader."""
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module; it keeps no trace of this."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        module.__loader__ = self._own
        self._own.exec_module(module)
        _patch()
