"""Hyperparameters in the user's own objects: a dict, a dataclass, any object, a file.

Started by hand, the values of the code are stored; under an agent the stored ones are put into
the code's object, cast to the types it has. Part of the child's path.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping

from dray.runtime.errors import InvalidInput
from dray.sdk import parameters, session
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.session import Session

if TYPE_CHECKING:
    from typing import Any

#: Section of what ``task.connect`` is given without a name.
DEFAULT_SECTION = "General"
#: Name of a configuration object given without one.
DEFAULT_CONFIGURATION = "General"

_BASIC = (str, int, float, bool, type(None), list, tuple, dict)


class ConnectedDict(dict["Any", "Any"]):
    """A dict whose changes are stored as parameters; nested dicts are connected too.

    The dict it was made from is changed along, so that it does not matter which one is used.
    """

    def __init__(
        self, source: dict[Any, Any], prefix: str, store: Callable[[str, Any], None]
    ) -> None:
        super().__init__()
        self._source = source
        self._prefix = prefix
        self._store = store
        for key, value in source.items():
            super().__setitem__(key, self._adopted(key, value))

    def __setitem__(self, key: Any, value: Any) -> None:
        plain = dict(cast("dict[Any, Any]", value)) if isinstance(value, dict) else value
        self._source[key] = plain
        super().__setitem__(key, self._adopted(key, plain))
        for name, leaf in flatten({key: plain}, self._prefix):
            self._store(name, leaf)

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(key)
        self._source.pop(key, None)

    def update(self, *others: Any, **named: Any) -> None:
        """Set several keys; each is stored."""
        for key, value in dict(*others, **named).items():
            self[key] = value

    def __ior__(self, other: Any) -> ConnectedDict:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.update(other)
        return self

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value of ``key``, set and stored when it has none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove a key here; its stored parameter stays."""
        self._source.pop(key, None)
        return super().pop(key, *default)

    def copy(self) -> dict[Any, Any]:
        """A plain dict, connected to nothing."""
        return {
            key: value.copy() if isinstance(value, ConnectedDict) else value
            for key, value in self.items()
        }

    def __reduce__(self) -> tuple[type[dict[Any, Any]], tuple[dict[Any, Any]]]:
        # Sent to another process or copied, it is plain data.
        return dict, (self.copy(),)

    def _adopted(self, key: Any, value: Any) -> Any:
        if isinstance(value, dict) and value:
            nested = cast("dict[Any, Any]", value)
            return ConnectedDict(nested, f"{self._prefix}{key}/", self._store)
        return cast("Any", value)


def connect(attempt: Session, mutable: Any, section: str) -> Any:
    """Bind ``mutable`` to the parameters of ``section``; returns what to use from now on.

    Raises:
        InvalidInput: it holds nothing that could be a parameter.
    """
    if isinstance(mutable, dict):
        source = cast("dict[Any, Any]", mutable)
        if not isinstance(source, ConnectedDict):
            _bind(attempt, section, flatten(source), _setter_of_dict(source))
        return ConnectedDict(
            source,
            "",
            lambda name, value: attempt.put_parameters(
                {f"{section}/{name}": parameters.as_record(value)}
            ),
        )
    if _is_dataclass(mutable):
        _bind_dataclass(attempt, section, mutable, "")
        return mutable
    if not hasattr(mutable, "__dict__") or (callable(mutable) and not _is_class(mutable)):
        raise InvalidInput(
            f"cannot connect a {type(mutable).__name__}: give a dict, a dataclass instance, an "
            "object with attributes, or an argparse parser or namespace",
            field="mutable",
        )
    _bind(attempt, section, _attributes(mutable), _setter_of_object(mutable))
    return mutable


def flatten(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested dicts by their names joined with ``/``."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flatten(cast("dict[Any, Any]", value), f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def configuration(attempt: Session, given: Any, name: str | None) -> Any:
    """Bind a configuration: a dict or list, or the path of a file; returns the same kind.

    Under an agent the stored text wins: a dict or list is changed in place, for a file the
    path of a file with the stored text is returned.
    """
    key = name or DEFAULT_CONFIGURATION
    stored = cast("dict[str, Any]", attempt.task.get("configuration") or {}).get(key)
    if attempt.is_remote and stored is not None:
        return _stored_configuration(attempt, given, key, str(stored["text"]))
    put_configuration(attempt, key, configuration_members(given))
    return given


def configuration_members(given: Any, description: str = "") -> dict[str, str]:
    """The members of ``models.ConfigObject`` for a dict, a list or the path of a file."""
    if _container(given) is not None:
        text = json.dumps(given, indent=2, default=str)
        return {"text": text, "type": "json", "description": description}
    try:
        with open(given, encoding="utf-8") as file:
            text = file.read()
    except (OSError, TypeError, UnicodeDecodeError) as exc:
        raise InvalidInput(
            f"configuration {given!r} is neither a dict, a list nor a readable text file: {exc}",
            field="configuration",
        ) from exc
    ending = os.path.splitext(str(given))[1].lstrip(".")
    return {"text": text, "type": ending, "description": description}


def put_configuration(attempt: Session, name: str, members: dict[str, str]) -> None:
    """Record a configuration object, unless it stands already."""
    standing = attempt.task.setdefault("configuration", {})
    if standing.get(name) != members:
        standing[name] = members
        attempt.record("configuration", values={name: members})


def _bind(
    attempt: Session,
    section: str,
    values: Iterable[tuple[str, Any]],
    put: Callable[[str, Any], None],
    hints: Mapping[str, Any] | None = None,
) -> None:
    """Store ``values``; where an agent's task has them, put the stored ones instead."""
    stored = attempt.parameters(section) if attempt.is_remote else {}
    news: dict[str, dict[str, str]] = {}
    for name, value in list(values):
        members = stored.get(name)
        if members is None:
            news[f"{section}/{name}"] = parameters.as_record(value)
            continue
        try:
            read = parameters.from_text(
                members["value"],
                value,
                type_name=members.get("type", ""),
                hint=(hints or {}).get(name),
            )
        except (ValueError, TypeError, ArithmeticError) as exc:
            session.say(
                f"warning: parameter {section}/{name} = {members['value']!r} cannot be used "
                f"({exc}); going on with {value!r}"
            )
            continue
        put(name, read)
    attempt.put_parameters(news)


def _setter_of_dict(source: dict[Any, Any]) -> Callable[[str, Any], None]:
    def put(name: str, value: Any) -> None:
        at, rest = source, name
        while True:
            exact = [key for key in at if str(key) == rest]
            if exact:
                at[exact[0]] = value
                return
            key = next(k for k, v in at.items() if isinstance(v, dict) and rest.startswith(f"{k}/"))
            at, rest = at[key], rest[len(str(key)) + 1 :]

    return put


def _bind_dataclass(attempt: Session, section: str, instance: Any, prefix: str) -> None:
    hints = _hints(instance)
    flat: list[tuple[str, Any]] = []
    for name in instance.__dataclass_fields__:
        value: Any = getattr(instance, name)
        if _is_dataclass(value):
            _bind_dataclass(attempt, section, value, f"{prefix}{name}/")
        else:
            flat.append((f"{prefix}{name}", value))

    def put(name: str, value: Any) -> None:
        # Frozen ones too: their values are settled here, before the user's code goes on.
        object.__setattr__(instance, name.removeprefix(prefix), value)

    named = {f"{prefix}{name}": hint for name, hint in hints.items()}
    _bind(attempt, section, flat, put, named)


def _is_class(value: Any) -> bool:
    return isinstance(value, type)


def _is_dataclass(value: Any) -> bool:
    # ``dataclasses.is_dataclass`` without the import; a class itself does not count.
    return not _is_class(value) and hasattr(value, "__dataclass_fields__")


def _hints(instance: Any) -> dict[str, Any]:
    import typing

    try:
        return typing.get_type_hints(cast("type[Any]", type(instance)))
    except Exception:
        # Annotations may name what exists for type checkers only; then the value's type decides.
        return {}


def _attributes(instance: Any) -> list[tuple[str, Any]]:
    found: dict[str, Any] = {}
    is_class = _is_class(instance)
    kind = cast("type[Any]", instance if is_class else type(instance))
    for base in reversed(kind.__mro__):
        if base.__module__ != "builtins":
            found.update(cast("dict[str, Any]", vars(base)))
    if not is_class:
        found.update(instance.__dict__)
    return [
        (name, value)
        for name, value in found.items()
        if not name.startswith("_") and isinstance(value, _BASIC)
    ]


def _setter_of_object(instance: Any) -> Callable[[str, Any], None]:
    return lambda name, value: setattr(instance, name, value)


def _stored_configuration(attempt: Session, given: Any, key: str, text: str) -> Any:
    kind = _container(given)
    if kind is None:
        return _as_file(attempt, given, key, text)
    try:
        value = json.loads(text)
        if _container(value) is not kind:
            raise ValueError(f"it is a {type(value).__name__}")
    except ValueError as exc:
        session.say(f"warning: configuration {key!r} cannot be used ({exc}); going on as is")
        return given
    given.clear()
    (given.update if kind is dict else given.extend)(value)
    return given


def _container(value: Any) -> type[Any] | None:
    return next((kind for kind in (dict, list) if isinstance(value, kind)), None)


def _as_file(attempt: Session, given: Any, key: str, text: str) -> Any:
    ending = os.path.splitext(str(given))[1]
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in key)
    folder = os.path.join(attempt.spool, "configuration")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{safe.lstrip('.')}{ending}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    # ``pathlib`` is not imported for this: who gives a Path has loaded it.
    return path if isinstance(given, str) else type(given)(path)


def is_namespace(value: Any) -> bool:
    """Whether ``value`` is what an ``argparse`` parser returned."""
    argparse = sys.modules.get("argparse")
    return argparse is not None and isinstance(value, argparse.Namespace)
