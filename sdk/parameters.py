"""How a value of the user's code becomes the text of a parameter, and how text becomes a value.

The code's own default decides the type it gets back; what cannot be read raises ValueError,
and the caller keeps the default and says so. Part of the child's path: light imports only.
"""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Callable, Mapping

from dray.sdk.light import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from typing import Any

#: Types a parameter may state; anything else is stored without one.
TYPE_NAMES = frozenset({"int", "float", "bool", "str", "list", "dict", "tuple", "none"})

_TRUE = frozenset({"true", "1", "yes", "on", "y", "t"})
_FALSE = frozenset({"false", "0", "no", "off", "n", "f", ""})


def to_text(value: Any) -> tuple[str, str]:
    """``value`` as the text and the type name of a parameter.

    Lists, tuples and dicts become JSON where JSON gives the same value back, and Python's own
    notation otherwise (tuples inside lists, keys that are not text).
    """
    value = _plain(value)
    if value is None:
        return "", "none"
    if isinstance(value, enum.Enum):
        return value.name, ""
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind.__repr__(cast("Any", value)), kind.__name__
    if isinstance(value, str):
        return str(value), "str"
    for container in (list, tuple, dict):
        if isinstance(value, container):
            return _container_text(value), container.__name__
    if isinstance(value, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", value)), "str"
    return str(value), ""


def as_record(value: Any, description: str = "") -> dict[str, str]:
    """``value`` as the JSON members of ``models.Parameter``."""
    text, type_name = to_text(value)
    if isinstance(value, enum.Enum) and not description:
        description = "one of " + ", ".join(member.name for member in type(value))
    return {"value": text, "type": type_name, "description": description}


def from_text(text: str, default: Any, *, type_name: str = "", hint: Any = None) -> Any:
    """The value that ``text`` stands for, of the type the code has.

    Args:
        text: stored value of the parameter.
        default: what the code holds now; its type is the one to give back.
        type_name: stored type, used when ``default`` is None.
        hint: annotated type, used when ``default`` is None.

    Raises:
        ValueError: ``text`` cannot be read as that type.
    """
    default = _plain(default)
    if to_text(default)[0] == text and (default is not None or text == ""):
        return default
    if default is None:
        return _without_default(text, type_name, hint)
    return _as_type(text, cast("type[Any]", type(default)))


def guess(text: str, type_name: str = "") -> Any:
    """The value of ``text`` by its stored type, or by its looks when no type is stored."""
    if type_name in ("", "none"):
        return _by_looks(text)
    try:
        return _CASTS[type_name](text)
    except (KeyError, ValueError):
        return text


def to_bool(text: str) -> bool:
    """Whether ``text`` says yes.

    Raises:
        ValueError: it says neither yes nor no.
    """
    lowered = text.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    try:
        return float(lowered) != 0
    except ValueError:
        raise ValueError(f"expected true or false, got {text!r}") from None


def to_number(text: str) -> int | float:
    """``text`` as an int; as a float where an int would lose something (``0.5``)."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
    return int(number) if number.is_integer() else number


def _plain(value: Any) -> Any:
    # NumPy's and torch's scalars are not Python numbers; ``item`` gives the number they hold.
    # Their modules are never imported here: a value of theirs proves that they are loaded.
    item = getattr(value, "item", None)
    module = type(value).__module__.partition(".")[0]
    if callable(item) and module in ("numpy", "torch") and getattr(value, "ndim", 1) == 0:
        return item()
    return value


def _container_text(value: Any) -> str:
    plain = list(cast("tuple[Any]", value)) if isinstance(value, tuple) else value
    try:
        text = json.dumps(plain)
        if repr(json.loads(text)) == repr(plain):
            return text
    except (TypeError, ValueError):
        pass  # not JSON: Python's own notation below
    if _is_literal(value):
        return repr(cast("Any", value))
    return json.dumps(plain, default=_element_text, skipkeys=True)


def _is_literal(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_literal(item) for item in cast("list[Any]", value))
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return all(_is_literal(key) and _is_literal(item) for key, item in pairs)
    if isinstance(value, float):
        return value - value == 0  # Python has no literal for infinity and not-a-number
    return type(value) in (int, bool, str, bytes, type(None))


def _element_text(value: Any) -> Any:
    plain = _plain(value)
    return plain if plain is not value else to_text(value)[0]


def _without_default(text: str, type_name: str, hint: Any) -> Any:
    kind = _concrete(hint)
    if text == "" and kind is not str:
        return None
    if kind is not None:
        return _as_type(text, kind)
    if type_name == "str":
        return text
    return guess(text, type_name)


def _concrete(hint: Any) -> type[Any] | None:
    """The one class in ``int``, ``Optional[int]``, ``list[int] | None``; else None."""
    import typing

    options = [hint]
    if typing.get_origin(hint) is typing.Union or type(hint).__name__ == "UnionType":
        options = [option for option in typing.get_args(hint) if option is not type(None)]
    if len(options) != 1:
        return None
    kind: Any = typing.get_origin(options[0]) or options[0]
    return cast("type[Any]", kind) if isinstance(kind, type) and kind is not object else None


def _as_type(text: str, kind: type[Any]) -> Any:
    if issubclass(kind, enum.Enum):
        return _enum_member(text, kind)
    if hasattr(kind, "__fspath__"):
        return cast("Any", kind)(text)
    for base in cast("tuple[type[Any], ...]", (bool, int, float, str, list, tuple, dict)):
        if issubclass(kind, base):
            value = _CASTS[base.__name__](text)
            return value if kind is base else _subclass_value(kind, value)
    raise ValueError(f"values of type {kind.__name__} cannot be read from text")


def _subclass_value(kind: Any, value: Any) -> Any:
    try:
        return kind(value)
    except TypeError:
        return value


def _enum_member(text: str, kind: type[enum.Enum]) -> enum.Enum:
    name = text.rpartition(".")[2]
    for member in kind:
        if member.name == name or str(member.value) == text:
            return member
    names = ", ".join(member.name for member in kind)
    raise ValueError(f"{text!r} is none of {names}")


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        import ast

        try:
            return ast.literal_eval(text)
        except (SyntaxError, TypeError, MemoryError, RecursionError) as exc:
            raise ValueError(f"neither JSON nor a Python literal: {text!r}") from exc


def _to_list(text: str) -> list[Any]:
    value = _literal(text)
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list such as [1, 2], got {text!r}")  # noqa: TRY004
    return list(cast("list[Any]", value))


def _to_dict(text: str) -> dict[Any, Any]:
    value = _literal(text)
    if not isinstance(value, Mapping):
        raise ValueError(f'expected a dict such as {{"a": 1}}, got {text!r}')  # noqa: TRY004
    return dict(cast("dict[Any, Any]", value))


_CASTS: dict[str, Callable[[str], Any]] = {
    "bool": to_bool,
    "int": to_number,
    "float": float,
    "str": str,
    "list": _to_list,
    "tuple": lambda text: tuple(_to_list(text)),
    "dict": _to_dict,
}


def _by_looks(text: str) -> Any:
    lowered = text.strip().lower()
    if lowered in ("", "none", "null"):
        return None
    if lowered in ("true", "false"):
        return lowered == "true"
    try:
        return to_number(text)
    except (ValueError, OverflowError):
        pass  # not a number
    if text.lstrip()[:1] in ("[", "{", "("):
        try:
            return _literal(text)
        except ValueError:
            return text
    return text
