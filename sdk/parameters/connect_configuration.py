"""Configurations as whole texts: a dict, a list or a file of the user's, and what is stored of it.

Part of the child's path.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable

from dray.runtime.errors import InvalidInput, UsageError, WrongType
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.parameters import flow_text
from dray.sdk.parameters.connect import ConnectedDict, is_ignoring

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.parameters.connect import Target

    Members = dict[str, str]
    Put = Callable[[str, Members], None]

#: Name of a configuration object given without one.
DEFAULT = "General"
#: Type of a configuration that was a dict or a list.
DICTIONARY = "dictionary"
#: Hidden parameter of a configuration that says whether the stored text is left alone.
IGNORE = "_ignore_remote_overrides_config_"


def connect(
    target: Target,
    given: Any,
    name: str,
    put: Put,
    *,
    description: str = "",
    ignore: bool = False,
    folder: str = "",
) -> Any:
    """Bind a configuration: a dict or list, or the path of a file; returns the same kind.

    Under an agent the stored text wins: a dict or list is changed in place, for a file the
    path of a file with the stored text is returned.

    Args:
        target: the task.
        given: of the user's.
        name: of the configuration.
        put: stores members of ``models.ConfigObject`` by name.
        description: help text.
        ignore: leave the stored text alone, under an agent too.
        folder: for files with stored texts.

    Raises:
        InvalidInput: the file cannot be read.
        WrongType: it is neither dict, list nor path.
    """
    if not isinstance(given, (dict, list, str, os.PathLike)):
        raise WrongType(
            f"a configuration is a dict, a list or the path of a text file, not a "
            f"{type(given).__name__}",
            field="configuration",
        )
    is_kept = is_ignoring(target, f"{name}/{IGNORE}", ignore)
    stored = cast("dict[str, Members]", target.task.get("configuration") or {}).get(name)
    if target.is_remote and stored is not None and not is_kept:
        return _stored(cast("Any", given), name, stored["text"], folder)

    def store() -> None:
        put(name, members_of(cast("Any", given), description))

    store()
    if not isinstance(given, dict):
        return cast("Any", given)
    source = cast("dict[Any, Any]", given)
    return _written_through(source.source if isinstance(source, ConnectedDict) else source, store)


def members_of(given: Any, description: str = "", kind: str = "") -> Members:
    """The members of ``models.ConfigObject`` for a dict, a list or the path of a file.

    Raises:
        InvalidInput: the file cannot be read.
    """
    if isinstance(given, (dict, list)):
        text = json.dumps(_with_text_keys(given), indent=2, default=str)
        return {"text": text, "type": kind or DICTIONARY, "description": description}
    try:
        with open(given, encoding="utf-8") as file:
            text = file.read()
    except (OSError, TypeError, UnicodeDecodeError) as exc:
        raise InvalidInput(
            f"configuration {given!r} is neither a dict, a list nor a readable text file: {exc}",
            field="configuration",
        ) from exc
    kind = kind or os.path.splitext(str(given))[1].lstrip(".") or "file"
    return {"text": text, "type": kind, "description": description}


def members_of_either(
    text: str | None, values: Any, description: str | None, kind: str | None
) -> Members:
    """The members for a text or a dict, of which one is given.

    Raises:
        UsageError: both are, or neither.
    """
    if (text is None) == (values is None):
        raise UsageError("give config_text or config_dict, and not both", field="config_text")
    if values is not None:
        return members_of(
            dict(values) if hasattr(values, "keys") else list(values), description or "", kind or ""
        )
    return {"text": str(text), "type": kind or "", "description": description or ""}


def parsed(text: str) -> Any:
    """The dict or list that a configuration's text stands for.

    JSON, Python's notation, YAML in one line; YAML and HOCON of any form where the user's
    process has loaded PyYAML or pyhocon.

    Raises:
        ValueError: it is none of them.
    """
    readers = [flow_text.read]
    yaml, pyhocon = sys.modules.get("yaml"), sys.modules.get("pyhocon")
    if yaml is not None:
        readers.append(yaml.safe_load)
    if pyhocon is not None:
        readers.append(
            lambda text: pyhocon.ConfigFactory.parse_string(text).as_plain_ordered_dict()
        )
    for read in readers:
        value: Any = None
        # Each reader has exceptions of its own; the last word is below.
        with contextlib.suppress(Exception):
            value = read(text)
        if isinstance(value, (list, tuple)):
            return list(cast("list[Any]", value))
        if isinstance(value, dict):
            return cast("Any", value)
    raise ValueError(f"neither a dict nor a list: {text[:80]!r}")


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return {str(key): _with_text_keys(inner) for key, inner in pairs}
    if isinstance(value, (list, tuple)):
        return [_with_text_keys(inner) for inner in cast("list[Any]", value)]
    return value


def _written_through(source: dict[Any, Any], store: Callable[[], None]) -> ConnectedDict:
    """``source`` as a dict whose every change stores the whole of it anew."""

    def settle(prefix: str, holder: dict[Any, Any]) -> None:
        ((key, value),) = holder.items()
        at: Any = source
        for step in prefix.split("/")[:-1]:
            at = next(inner for name, inner in at.items() if str(name) == step)
        at[key] = value
        store()

    return ConnectedDict(source, "", settle, lambda _: store())


def _stored(given: Any, name: str, text: str, folder: str) -> Any:
    if not isinstance(given, (dict, list)):
        return _as_file(given, name, text, folder)
    try:
        value = parsed(text)
        if isinstance(value, dict) is not isinstance(given, dict):
            raise ValueError(f"it is a {type(value).__name__}")
    except ValueError as exc:
        session.say(f"warning: configuration {name!r} cannot be used ({exc}); going on as is")
        return cast("Any", given)
    holder = cast("Any", given)
    holder.clear()
    (holder.update if isinstance(given, dict) else holder.extend)(value)
    return holder


def _as_file(given: Any, name: str, text: str, folder: str) -> Any:
    ending = os.path.splitext(str(given))[1] or ".txt"
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{safe.lstrip('.')}{ending}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    # ``pathlib`` is not imported for this: who gives a Path has loaded it.
    return path if isinstance(given, str) else type(given)(path)
