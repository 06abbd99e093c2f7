"""Command lines of jsonargparse and of LightningCLI: leaves as ``Args/a.b``.

``Args/subcommand`` says which sub-command runs. Where a configuration file was given,
``Args/_ignore_ui_overrides_`` says whether stored values are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from dray.sdk.binders import recorder
from dray.sdk.parameters import values as parameters

IGNORE = "_ignore_ui_overrides_"
_LIBRARY = "jsonargparse"
_COMMAND_TYPE = "jsonargparse.Command"
_PATH_TYPE = "jsonargparse_path"
_NAMESPACE_TYPE = "jsonargparse_namespace"
_HELP = "True: the command line and its configuration files are used, not the values stored here"


def install(module: Any) -> None:
    """Serve ``jsonargparse.ArgumentParser``."""

    def binding(original: Callable[..., Any]) -> Callable[..., Any]:
        def parse_args(self: Any, *args: Any, **kwargs: Any) -> Any:
            if getattr(self, "parent_parser", None) is not None or "_skip_validation" in kwargs:
                return original(self, *args, **kwargs)  # a part of another parser's work
            stored = recorder.guarded(_LIBRARY, _stored)
            found = recorder.guarded(_LIBRARY, _parsed, module, self, stored) if stored else None
            if found is None:
                found = original(self, *args, **kwargs)
            recorder.guarded(_LIBRARY, _record, module, found)
            return found

        return parse_args

    recorder.replace(module.ArgumentParser, "parse_args", binding)


def _record(module: Any, found: Any) -> None:
    values: dict[str, dict[str, str]] = {}
    for name, value in _leaves(module, found):
        many = cast("list[Any]", value) if isinstance(value, list) else None
        if _is_path(value):
            shown: Any = _path_text(value) if many is None else [_path_text(v) for v in many]
            members = recorder.members(json.dumps(shown), None, _PATH_TYPE)
            values[IGNORE] = recorder.members(False, _HELP)
        elif many is not None and any(isinstance(v, module.Namespace) for v in many):
            shown = [v.as_dict() if isinstance(v, module.Namespace) else v for v in many]
            members = recorder.members(json.dumps(shown, default=str), None, _NAMESPACE_TYPE)
        else:
            members = recorder.members(value)
        if name == "subcommand" or name.endswith(".subcommand"):
            members["type"] = _COMMAND_TYPE
        values[name] = members
    recorder.put(_LIBRARY, values)


def _leaves(module: Any, found: Any) -> list[tuple[str, Any]]:
    return [(str(name), value) for name, value in module.Namespace(found).items()]


def _is_path(value: Any) -> bool:
    if isinstance(value, list):
        many = cast("list[Any]", value)
        return bool(many) and all(_is_path(item) for item in many)
    return hasattr(value, "relative") and hasattr(value, "mode")


def _path_text(value: Any) -> str:
    return str(value.relative)


def _stored() -> dict[str, dict[str, str]]:
    stored = dict(recorder.stored(_LIBRARY))
    if parameters.to_bool(stored.pop(IGNORE, {}).get("value", "")):
        return {}
    return stored


def _parsed(module: Any, parser: Any, stored: dict[str, dict[str, str]]) -> Any:
    """What the parser makes of the stored values."""
    nested: dict[str, Any] = {}
    files: dict[str, Any] = {}
    for name, members in stored.items():
        if members.get("type") == _PATH_TYPE:
            files[name] = json.loads(members["value"])
        else:
            _put(nested, name, _value(members))
    unknown = [name for name in nested if not _is_known(parser, name)]
    for name in unknown:
        del nested[name]
    configs = {action.dest for action in parser._actions if _is_config(action)}
    for name, shown in files.items():
        if name not in configs:
            _put(nested, name, shown)
    found = parser.parse_object(nested)
    for name, shown in files.items():
        if name in configs or found.get(name) == shown:  # the parser left it as text
            many = cast("list[Any]", shown) if isinstance(shown, list) else [shown]
            paths = [_path(module, one) for one in many]
            found[name] = paths if name in configs or isinstance(shown, list) else paths[0]
    return found


def _path(module: Any, text: Any) -> Any:
    # As the configuration was read when it was recorded; the file need not be here.
    return module.Path(str(text), mode="fr", skip_check=True)


def _is_config(action: Any) -> bool:
    return type(action).__name__ == "ActionConfigFile"


def _is_known(parser: Any, name: str) -> bool:
    """Whether the parser has anything by that name: other binders share the section."""
    for action in parser._actions:
        if str(action.dest).split(".")[0] == name:
            return True
        if name in (getattr(action, "choices", None) or ()):
            return True
    return False


def _value(members: dict[str, str]) -> Any:
    kind = members.get("type", "")
    if kind == _NAMESPACE_TYPE:
        return json.loads(members["value"])
    return parameters.guess(members["value"], kind)


def _put(nested: dict[str, Any], name: str, value: Any) -> None:
    *above, last = name.split(".")
    for step in above:
        nested = nested.setdefault(step, {})
    nested[last] = value
