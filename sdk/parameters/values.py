"""How a value of the user's code becomes the text of a parameter, and how text becomes a value.

The code's own default decides the type it gets back; what cannot be read raises ValueError,
and the caller keeps the default and says so. Types are named as ClearML does: ``int``,
``list/float``, nothing for None. Part of the child's path: light imports only.
"""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Callable, Mapping

from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.parameters import flow_text

if TYPE_CHECKING:
    from typing import Any

_TRUE = frozenset({"true", "1", "yes", "on", "y", "t"})
_FALSE = frozenset({"false", "0", "no", "off", "n", "f", ""})


def to_text(value: Any) -> tuple[str, str]:
    """``value`` as the text and the type name of a parameter.

    Lists, tuples and dicts become JSON where JSON gives the same value back, and Python's own
    notation otherwise (tuples inside lists, keys that are not text).
    """
    value = _plain(value)
    if value is None:
        return "", ""
    if isinstance(value, enum.Enum):
        return value.name, type(value).__name__
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind.__repr__(cast("Any", value)), kind.__name__
    if isinstance(value, str):
        return str(value), "str"
    for container in (list, tuple, dict):
        if isinstance(value, container):
            return _container_text(value), _container_type(value, container.__name__)
    if isinstance(value, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", value)), "str"
    return str(value), type(value).__name__


def is_storable(value: Any) -> bool:
    """Whether ``value`` says something as text, which functions and bare objects do not."""
    value = _plain(value)
    if value is None or isinstance(value, (bool, int, float, str, list, tuple, dict, enum.Enum)):
        return True
    if isinstance(value, os.PathLike):
        return True
    kind = cast("type[Any]", type(value))
    has_words = kind.__str__ is not object.__str__ or kind.__repr__ is not object.__repr__
    return has_words and not callable(value) and not _is_bulky(value)


def as_record(
    value: Any, description: str = "", standing: Mapping[str, str] | None = None
) -> dict[str, str]:
    """``value`` as the JSON members of ``models.Parameter``.

    Args:
        value: to be stored.
        description: help text.
        standing: what is stored by that name now: its type stays where ``value`` fits it, its
            description where none is given.
    """
    text, type_name = to_text(value)
    known = (standing or {}).get("type", "")
    is_special = known.partition("/")[0] not in _CASTS  # an enum's, a command's: it stays
    if known and (is_special or (isinstance(value, (str, int, float)) and _fits(text, known))):
        type_name = known
    description = description or (standing or {}).get("description", "")
    if isinstance(value, enum.Enum) and "Values:" not in description:
        names = ",\n".join(member.name for member in type(value))
        description = f"{description}\nValues:\n{names}".lstrip()
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
    if text == "" and type(default) in (int, float):
        return None
    return _as_type(text, cast("type[Any]", type(default)))


def guess(text: str, type_name: str = "") -> Any:
    """The value of ``text`` by its stored type; text of a type that is not basic stays text.

    Without a type, empty text is None.
    """
    kind = type_name.partition("/")[0]
    if kind in ("", "none", "NoneType"):
        return text or None
    try:
        return _CASTS[kind](text)
    except (KeyError, ValueError, ArithmeticError):
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


def _container_type(value: Any, name: str) -> str:
    """``list/int`` where all elements are of one type, else ``list``."""
    elements: list[Any] = list(value.values() if name == "dict" else value)
    kinds = {
        "str" if isinstance(element, os.PathLike) else type(element).__name__
        for element in elements
    }
    return f"{name}/{kinds.pop()}" if len(kinds) == 1 else name


def _fits(text: str, type_name: str) -> bool:
    cast_to = _CASTS.get(type_name.partition("/")[0])
    if cast_to is None:
        return False
    try:
        cast_to(text)
    except (ValueError, ArithmeticError):
        return False
    return True


def _is_bulky(value: Any) -> bool:
    # An array or a table is data, not a setting.
    return hasattr(value, "__array__") or hasattr(value, "__dataframe__")


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
    return guess(text, type_name) if kind is None else _as_type(text, kind)


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
    try:
        return cast("Any", kind)(text)
    except Exception as exc:  # a class of the user's may raise anything
        raise ValueError(f"{kind.__name__} cannot be made of {text!r}: {exc}") from exc


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


def _to_list(text: str) -> list[Any]:
    value = flow_text.read(text)
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list such as [1, 2], got {text!r}")  # noqa: TRY004
    return list(cast("list[Any]", value))


def _to_dict(text: str) -> dict[Any, Any]:
    value = flow_text.read(text)
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
