"""What users' values look like in JSON: arrays, tensors, dates and numbers of any library.

Part of the child's path: nothing is imported to find out what a value is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.light import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from typing import Any

#: Nested deeper than this, a value is taken for one that contains itself.
_DEPTH_LIMIT = 64
#: Element types of plotly's packed arrays, as codes of the ``struct`` module.
_PACKED = {
    "i1": "b",
    "u1": "B",
    "i2": "h",
    "u2": "H",
    "i4": "i",
    "u4": "I",
    "f4": "f",
    "f8": "d",
    "i8": "q",
    "u8": "Q",
}


def plain(value: Any, depth: int = 0) -> Any:
    """``value`` in dicts, lists, text, numbers, bools and None that JSON has words for.

    A number that is not finite becomes None, which plots show as a gap. What is nothing of all
    this becomes its text. Any: whatever a user has.

    Raises:
        InvalidInput: it is nested over 64 levels deep, or contains itself.
    """
    if depth > _DEPTH_LIMIT:
        raise InvalidInput(f"a value is nested over {_DEPTH_LIMIT} levels deep, or contains itself")
    kind = cast("object", type(value))
    if value is None or kind is str or kind is bool or kind is int:
        return value
    if isinstance(value, float):  # NumPy's double among them
        return float(value) if value - value == 0.0 else None
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Mapping):
        members = cast("Mapping[Any, Any]", value)
        if "bdata" in members and "dtype" in members:
            return plain(_unpacked(members), depth + 1)
        return {_key(name): plain(member, depth + 1) for name, member in members.items()}
    if isinstance(value, (list, tuple)):
        return _items(cast("Iterable[Any]", value), depth)
    return _foreign(value, depth)


def number(name: str, value: Any) -> float:
    """``value`` as a number.

    Raises:
        WrongType: it has no number.
        InvalidInput: its text is none.
    """
    try:
        return float(value)
    except TypeError as exc:
        raise WrongType(
            f"{name} must be a number, got {_shown(value)}", field=name, value=repr(value)[:200]
        ) from exc
    except (ValueError, OverflowError, RuntimeError) as exc:
        raise InvalidInput(
            f"{name} must be a number, got {_shown(value)}: {exc}",
            field=name,
            value=repr(value)[:200],
        ) from exc


def whole(name: str, value: Any) -> int:
    """``value`` as a whole number; None is 0.

    Raises:
        WrongType: it is no number.
        InvalidInput: it is a number between two whole ones, or not finite.
    """
    if value is None:
        return 0
    if isinstance(value, int):
        return int(value)
    got = number(name, value)
    if got % 1 != 0.0:  # NaN and infinities have no remainder
        raise InvalidInput(f"{name} must be a whole number, got {_shown(value)}", field=name)
    return int(value)


def text(name: str, value: Any) -> str:
    """``value``, which is text.

    Raises:
        WrongType: it is not.
    """
    if isinstance(value, str):
        return value
    raise WrongType(f"{name} must be text, got {_shown(value)}", field=name)


def rows(name: str, value: Any) -> list[list[Any]]:
    """``value`` as rows of equal length; one row of values is taken for the only one.

    Args:
        name: of the argument, for messages.
        value: an array, or lists and tuples in each other.

    Raises:
        WrongType: it holds no values.
        InvalidInput: rows differ in length, or there are more than two dimensions.
    """
    found = plain(value)
    if not isinstance(found, list):
        raise WrongType(f"{name} must be rows of values, got {_shown(value)}", field=name)
    lines = cast("list[Any]", found)
    if not any(isinstance(line, list) for line in lines):
        lines = [lines] if lines else []
    if not all(isinstance(line, list) for line in lines):
        raise InvalidInput(f"{name} mixes rows and single values", field=name)
    if any(isinstance(cell, (list, dict)) for line in lines for cell in line):
        raise InvalidInput(f"{name} has more than two dimensions", field=name)
    lengths = sorted({len(line) for line in lines})
    if len(lengths) > 1:
        raise InvalidInput(f"{name} has rows of different lengths: {lengths}", field=name)
    return lines


def numbers(name: str, value: Any) -> list[list[float | None]]:
    """The same as :func:`rows`, of numbers; None is a gap."""
    return [
        [cell if cell is None else _finite(number(name, cell)) for cell in row]
        for row in rows(name, value)
    ]


def _finite(value: float) -> float | None:
    if value - value != 0.0:
        return None
    return int(value) if value % 1 == 0.0 and abs(value) < 1e15 else value


def _items(values: Iterable[Any], depth: int) -> list[Any]:
    return [
        value
        if type(value) is int or type(value) is str or (type(value) is float and value - value == 0)
        else plain(value, depth + 1)
        for value in values
    ]


def _foreign(value: Any, depth: int) -> Any:
    """What is no value of Python's own, by what it can do."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    if getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):
        value = value.astype(str)  # NumPy's own list of dates is one of nanoseconds
    is_class = type(value) is type
    for way in ("to_plotly_json", "isoformat"):
        found = getattr(value, way, None)
        if callable(found) and not is_class:
            return plain(found(), depth + 1)
    listed = getattr(value, "tolist", None)
    if callable(listed):
        made = listed()
        return str(made) if type(made) is type(value) else plain(made, depth + 1)
    if isinstance(value, Iterable):
        return _items(cast("Iterable[Any]", value), depth)
    try:
        return plain(float(value))  # decimals, fractions
    except (TypeError, ValueError, OverflowError):
        return str(value)


def _unpacked(members: Mapping[Any, Any]) -> Any:
    """The numbers of an array that plotly packed as base64."""
    import struct
    from base64 import b64decode

    code = _PACKED.get(str(members["dtype"]))
    if code is None:
        return {name: member for name, member in members.items() if name != "bdata"}
    data = b64decode(str(members["bdata"]))
    shaped: list[Any] = list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))
    sizes = [int(size) for size in str(members.get("shape") or "").split(",") if size.strip()]
    for size in reversed(sizes[1:]):
        shaped = [shaped[i : i + size] for i in range(0, len(shaped), max(1, size))]
    return shaped


def _key(name: Any) -> str:
    return name if isinstance(name, str) else str(name)


def _shown(value: Any) -> str:
    shown = repr(value)
    if len(shown) > 100:
        shown = f"{shown[:100]}…"
    return f"{shown} ({type(value).__name__})"
