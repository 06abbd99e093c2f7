"""Dataclasses to JSON values and back, with the standard library alone.

The SDK and the command line have no pydantic; this reads what the gateway wrote. Unknown
members are ignored, so that an older client reads a newer server.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """``value`` as what ``json.dumps`` takes: dataclasses become objects, enums their value."""
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in cast("list[Any]", value)]
    return value


def from_json(kind: type[T], value: Any) -> T:
    """A ``kind`` made of a JSON value.

    Raises:
        ValueError: a member is missing or of another type; the message names it.
    """
    return cast("T", _decode(kind, value, kind.__name__))


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _decode_union(kind, value, where)
    if origin is list:
        (item,) = get_args(kind)
        return [_decode(item, v, f"{where}[]") for v in _expect(list, value, where)]
    if origin is dict:
        _, item = get_args(kind)
        return {k: _decode(item, v, f"{where}.{k}") for k, v in _expect(dict, value, where).items()}
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(cast("type[Any]", kind), value, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _decode_word(kind, value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _expect(kind, value, where)


def _decode_word(kind: type[Enum], value: Any, where: str) -> Enum:
    try:
        return kind(value)
    except ValueError as exc:
        words = ", ".join(str(word.value) for word in kind)
        raise ValueError(f"{where}: {value!r} is none of {words}") from exc


def _decode_union(kind: Any, value: Any, where: str) -> Any:
    options = get_args(kind)
    if value is None and type(None) in options:
        return None
    (only,) = (option for option in options if option is not type(None))
    return _decode(only, value, where)


def _decode_dataclass(kind: type[Any], value: Any, where: str) -> Any:
    members = _expect(dict, value, where)
    hints = _hints(kind)
    known = {
        f.name: _decode(hints[f.name], members[f.name], f"{where}.{f.name}")
        for f in dataclasses.fields(kind)
        if f.name in members
    }
    try:
        return kind(**known)
    except TypeError as exc:
        raise ValueError(f"{where}: {exc}") from exc


def _expect(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{where}: expected {kind.__name__}, got {type(value).__name__}")
    return value
