"""Run a small installer right after a module is imported, or at once when it is already.

A finder in ``sys.meta_path`` knows the names that are waited for; every other import costs it one
look-up. It never breaks an import: an installer that raises is told about once and left out.
Part of the child's path: the standard library only, little of it.
"""

from __future__ import annotations

import sys

from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Installer = Callable[[ModuleType], None]

#: Module name → installers that wait for it, or have run and were not forgotten yet.
_installers: dict[str, list[Installer]] = {}
#: Modules that were being imported while somebody began to wait for them.
_unfinished: set[str] = set()
#: What has been complained about.
_told: set[str] = set()


def when_imported(name: str, install: Installer) -> None:
    """Have ``install(module)`` run once the module ``name`` is imported completely.

    Where it is imported already that is now. An exception of ``install`` is told about once, on
    stderr; the import goes on as if nothing had been asked for.

    Args:
        name: full dotted name of the module.
        install: called with the module; the same one for the same name counts once.
    """
    waiting = _installers.setdefault(name, [])
    if install in waiting:
        return
    waiting.append(install)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    module = sys.modules.get(name)
    if module is None:
        return
    if _is_complete(module):
        _run(name, install, module)
    else:
        _unfinished.add(name)


def forget(name: str, install: Installer) -> None:
    """Wait no more for ``name`` on behalf of ``install``; what it did stays done."""
    waiting = _installers.get(name, [])
    if install in waiting:
        waiting.remove(install)
    if not waiting:
        _installers.pop(name, None)
        _unfinished.discard(name)
    if not _installers and _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


def tell_once(key: str, message: str) -> None:
    """Warn on stderr, the first time that it is about ``key``; never raises."""
    if key in _told:
        return
    _told.add(key)
    try:
        from dray.sdk.session import say

        say(message)
    except (OSError, ValueError):
        return  # stderr is closed: there is nobody to tell


def _run(name: str, install: Installer, module: ModuleType) -> None:
    try:
        install(module)
    except Exception as exc:
        tell_once(
            f"{name}:{getattr(install, '__qualname__', install)}",
            f"capturing {name} is off for this run: {type(exc).__name__}: {exc}",
        )


def _run_all(name: str, module: ModuleType) -> None:
    _unfinished.discard(name)
    for install in list(_installers.get(name, ())):
        _run(name, install, module)


def _is_complete(module: ModuleType) -> bool:
    return not getattr(getattr(module, "__spec__", None), "_initializing", False)


def _look_again() -> None:
    """Serve those who began to wait amid an import that is over now."""
    for name in list(_unfinished):
        module = sys.modules.get(name)
        if module is None:
            _unfinished.discard(name)  # it failed; the next attempt comes by the finder
        elif _is_complete(module):
            _run_all(name, module)


class _Finder:
    """Stands before the other finders; finds nothing itself."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """What the other finders know of a module that is waited for; None for all others."""
        if _unfinished:
            _look_again()
        if name not in _installers:
            return None
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


class _Loader:
    """Loads a module as its own loader does, then runs who waits for it."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader."""
        create = getattr(self._own, "create_module", None)
        return None if create is None else create(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module; it keeps no trace of this."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        module.__loader__ = self._own
        self._own.exec_module(module)
        name = module.__name__ if module.__spec__ is None else module.__spec__.name
        # A module may have put another object in its own place.
        _run_all(name, sys.modules.get(name, module))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


_finder = _Finder()
