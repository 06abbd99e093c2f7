"""Lists, tuples and dicts as people type them: JSON, Python's notation, or YAML in one line.

``[a, 1e-3, {b: true}]`` needs no quotes. Part of the child's path: the standard library only.
"""

from __future__ import annotations

import json

from dray.sdk.light import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from typing import Any

_CLOSING = {"[": "]", "(": ")", "{": "}"}
_NAMES = {"null": None, "none": None, "~": None, "true": True, "false": False}
_SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}


def read(text: str) -> Any:
    """What ``text`` stands for.

    Raises:
        ValueError: it is cut short, or something follows its end.
    """
    try:
        return json.loads(text)
    except ValueError:
        pass  # not JSON: looser notations below
    import ast

    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return _whole(text)


def read_items(text: str) -> list[Any]:
    """The elements of a list or tuple; what is neither is the only one.

    Raises:
        ValueError: as :func:`read`.
    """
    found = read(text)
    return list(cast("list[Any]", found)) if isinstance(found, (list, tuple)) else [found]


def _whole(text: str) -> Any:
    try:
        value, at = _value(text, _skip(text, 0), "")
        at = _skip(text, at)
        if at == len(text):
            return value
        if text[at] == ",":  # ``1, 2`` without brackets
            return _items(f"{text}]", 0, "]")[0]
    except (IndexError, RecursionError) as exc:
        raise ValueError(f"{text!r} is cut short") from exc
    raise ValueError(f"{text!r} goes on after its end, at {text[at:]!r}")


def _value(text: str, at: int, stops: str) -> tuple[Any, int]:
    first = text[at] if at < len(text) else ""
    if first == "{":
        return _pairs(text, at + 1)
    if first in _CLOSING and first:
        found, at = _items(text, at + 1, _CLOSING[first])
        return (tuple(found) if first == "(" else found), at
    if first in "'\"" and first:
        return _quoted(text, at)
    end = at
    while end < len(text) and text[end] not in ",])}" and not _is_colon(text, end, stops):
        end += 1
    return scalar(text[at:end].strip()), end


def _items(text: str, at: int, closing: str) -> tuple[list[Any], int]:
    found: list[Any] = []
    at = _skip(text, at)
    while text[at] != closing:
        value, at = _value(text, at, "")
        found.append(value)
        at = _after_item(text, at, closing)
    return found, at + 1


def _pairs(text: str, at: int) -> tuple[dict[Any, Any], int]:
    found: dict[Any, Any] = {}
    at = _skip(text, at)
    while text[at] != "}":
        key, at = _value(text, at, ":")
        at = _skip(text, at)
        if text[at] != ":":
            raise ValueError(f"{text!r} lacks a colon after {key!r}")
        try:
            found[key], at = _value(text, _skip(text, at + 1), "")
        except TypeError as exc:
            raise ValueError(f"{key!r} cannot be a key") from exc
        at = _after_item(text, at, "}")
    return found, at + 1


def _after_item(text: str, at: int, closing: str) -> int:
    at = _skip(text, at)
    if text[at] == ",":
        return _skip(text, at + 1)
    if text[at] != closing:
        raise ValueError(f"{text!r} has {text[at]!r} where {closing!r} or a comma belongs")
    return at


def _quoted(text: str, at: int) -> tuple[str, int]:
    mark, parts, at = text[at], "", at + 1
    while text[at] != mark or text[at + 1 : at + 2] == mark == "'":
        if text[at] == mark or (text[at] == "\\" and mark == '"'):  # '' stands for one of them
            at += 1
        parts += text[at]
        at += 1
    return parts, at + 1


def _is_colon(text: str, at: int, stops: str) -> bool:
    # A colon ends a key where a space or a value follows; in ``a:b`` it is a part of the text.
    return bool(stops) and text[at] == ":" and text[at + 1 : at + 2] in ("", " ", "[", "{", '"')


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def scalar(text: str) -> Any:
    """A single word: a number, true, false or null by its looks, else the text itself."""
    lowered = text.lower()
    if lowered in _NAMES:
        return _NAMES[lowered]
    for kind in (int, float):
        try:
            # ``float`` takes ``nan`` and ``infinity``, which are words to YAML.
            return kind(text) if text[-1:].isdigit() or text.endswith(".") else _special(lowered)
        except ValueError:
            continue
    return text


def _special(lowered: str) -> float:
    return float(_SPECIAL.get(lowered, "no number"))
