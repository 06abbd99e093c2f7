"""What a hook works with: functions wrapped so that recording can neither break nor change them."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from dray.runtime.errors import DrayError
from dray.sdk.hooks.watch import tell_once
from dray.sdk.session import Session

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
_MISSING = object()


class _Inside(threading.local):
    """Families of functions this thread is in: the outermost call records, not what it calls."""

    def __init__(self) -> None:
        self.families: set[str] = set()


_inside = _Inside()


class Capture:
    """One framework's hook of one attempt.

    Attributes:
        attempt: to record to.
        key: of ``auto_connect_frameworks``.
        options: what that said of it: True, patterns, or finer switches.
    """

    def __init__(self, attempt: Session, key: str, options: Any = True) -> None:
        self.attempt = attempt
        self.key = key
        self.options = options
        self._is_on = True
        self._undoings: list[Callable[[], None]] = []

    def option(self, name: str, default: Any) -> Any:
        """One of the finer switches."""
        options = self.options
        return options.get(name, default) if hasattr(options, "get") else default

    def wrap(
        self,
        owner: Any,
        name: str,
        *,
        before: Callable[..., None] | None = None,
        after: Callable[..., None] | None = None,
        change: Callable[..., Arguments | None] | None = None,
        family: str = "",
    ) -> None:
        """Replace ``owner.name`` by a function that does the same and tells of it.

        It has the signature, the result and the exceptions of the original. An exception of ours
        is told about once: one of Dray's own leaves out that record, any other switches this off.

        Args:
            owner: a module or a class; nothing happens where it has no such function.
            before: called with the arguments, before the original.
            after: called with the result and then the arguments, when the original has returned.
            change: called with the arguments; gives those to call the original with, or None.
            family: nothing is told of a call that comes from inside another of this family.
        """
        original = getattr(owner, name, None)
        if not callable(original):
            return
        guard = _Guard(self, f"{getattr(owner, '__name__', owner)}.{name}")

        @functools.wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not guard.is_on or (family and family in _inside.families):
                return original(*args, **kwargs)
            if change is not None:
                args, kwargs = guard.ask(change, *args, **kwargs) or (args, kwargs)
            if before is not None:
                guard.ask(before, *args, **kwargs)
            if family:
                _inside.families.add(family)
            try:
                result = original(*args, **kwargs)
            finally:
                _inside.families.discard(family)
            if after is not None:
                guard.ask(after, result, *args, **kwargs)
            return result

        self.replace(owner, name, wrapper)
        if isinstance(owner, type(sys)):
            # Where it was defined too, or pickling it by name would find another function there.
            home = sys.modules.get(getattr(original, "__module__", None) or "")
            if _attributes(home).get(name) is original:
                self.replace(home, name, wrapper)
            self._rebind(original, wrapper)

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set ``owner.name`` until :meth:`undo`."""
        before = _attributes(owner).get(name, _MISSING)
        setattr(owner, name, value)
        self._undoings.append(lambda: _put_back(owner, name, value, before))

    def undo(self) -> None:
        """Put back what was replaced, where nobody else has replaced it meanwhile."""
        self._is_on = False
        while self._undoings:
            self._undoings.pop()()

    @property
    def is_on(self) -> bool:
        """Whether this still records."""
        return self._is_on

    def _rebind(self, original: Any, wrapper: Any) -> None:
        """Serve the user's own modules that said ``from framework import function`` before."""
        for module in list(sys.modules.values()):
            if not _is_users(module):
                continue
            for name, value in list(vars(module).items()):
                if value is original:
                    self.replace(module, name, wrapper)


class _Guard:
    """Keeps exceptions of one recorder from the script."""

    def __init__(self, capture: Capture, what: str) -> None:
        self._capture = capture
        self._what = what
        self._is_on = True

    @property
    def is_on(self) -> bool:
        return self._is_on and self._capture.is_on

    def ask(self, recorder: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What ``recorder`` gives; None when it raised."""
        try:
            return recorder(*args, **kwargs)
        except DrayError as exc:
            tell_once(f"{self._what}: {exc}", f"{self._what} was not recorded: {exc}")
        except Exception as exc:
            self._is_on = False
            tell_once(
                self._what,
                f"capturing {self._what} is off for this run: {type(exc).__name__}: {exc}",
            )
        return None


def _put_back(owner: Any, name: str, value: Any, before: Any) -> None:
    if _attributes(owner).get(name, _MISSING) is not value:
        return
    if before is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


def _attributes(owner: Any) -> Mapping[str, Any]:
    found = getattr(owner, "__dict__", None)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


_INSTALLED = tuple(
    {
        os.path.dirname(os.path.abspath(os.__file__)),  # the standard library, and site-packages
        os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
    }
)


def _is_users(module: Any) -> bool:
    """Whether a module is the script or lies beside it, and is not installed."""
    namespace = _attributes(module)
    if namespace.get("__name__") == "__main__":
        return True
    file = namespace.get("__file__")
    if not isinstance(file, str) or "site-packages" in file or "dist-packages" in file:
        return False
    return not os.path.abspath(file).startswith(_INSTALLED)
