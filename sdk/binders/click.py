"""Click and Typer: options and arguments as ``Args/name``, those of sub-commands below their names.

``Args/<command>`` of type ``click.Command`` says which sub-command runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from dray.sdk.binders import recorder
from dray.sdk.parameters import flow_text
from dray.sdk.parameters import values as parameters

COMMAND = "click.Command"
_LIBRARY = "click"


def install(module: Any) -> None:
    """Serve ``click.core``; or ``typer.core`` and Typer's own copy of click."""
    command, parameter = getattr(module, "Command", None), getattr(module, "Parameter", None)
    group = getattr(module, "Group", None) or getattr(module, "TyperGroup", None)
    if command is not None and parameter is not None:
        recorder.replace(command, "parse_args", _recording)
        recorder.replace(parameter, "handle_parse_result", _overriding)
    if group is not None:
        owner = next(kind for kind in group.__mro__ if "parse_args" in vars(kind))
        if owner is not command:
            recorder.replace(owner, "parse_args", _choosing)


def _recording(original: Callable[..., Any]) -> Callable[..., Any]:
    def parse_args(self: Any, ctx: Any, args: list[str]) -> Any:
        rest = original(self, ctx, args)
        if not ctx.resilient_parsing:
            recorder.guarded(_LIBRARY, _record, self, ctx)
        return rest

    return parse_args


def _choosing(original: Callable[..., Any]) -> Callable[..., Any]:
    def parse_args(self: Any, ctx: Any, args: list[str]) -> Any:
        if not ctx.resilient_parsing:
            args = recorder.guarded(_LIBRARY, _with_stored_command, self, ctx, list(args)) or args
        return original(self, ctx, args)

    return parse_args


def _overriding(original: Callable[..., Any]) -> Callable[..., Any]:
    def handle_parse_result(self: Any, ctx: Any, opts: Any, args: list[str]) -> Any:
        if not ctx.resilient_parsing:
            opts = recorder.guarded(_LIBRARY, _with_stored_value, self, ctx, opts) or opts
        return original(self, ctx, opts, args)

    return handle_parse_result


def _record(command: Any, ctx: Any) -> None:
    root = ctx.find_root().command
    if _is_ours(root):
        return
    keys = _keys(root)
    values = _values(command, keys, ctx.params)
    if command is not root:
        values[keys[id(command)]] = _flag(command, chosen=True)
    for _, other in _commands(command):
        values[keys[id(other)]] = _flag(other, chosen=False)
        values.update(_values(other, keys, None))
    recorder.put(_LIBRARY, values)


def _values(
    command: Any, keys: dict[int, str], given: dict[str, Any] | None
) -> dict[str, dict[str, str]]:
    values: dict[str, dict[str, str]] = {}
    for parameter in command.params:
        if _is_connected(parameter):
            value = _default(parameter) if given is None else given.get(parameter.name)
            name = _key(keys, command, parameter)
            values[name] = recorder.members(value, getattr(parameter, "help", None))
    return values


def _flag(command: Any, *, chosen: bool) -> dict[str, str]:
    return {"value": str(chosen), "type": COMMAND, "description": str(command.help or "")}


def _default(parameter: Any) -> Any:
    value = parameter.default
    # Newer versions have a sentinel of their own for "none was given".
    return None if callable(value) or type(value).__name__ in ("Sentinel", "_Sentinel") else value


def _is_connected(parameter: Any) -> bool:
    # A password that is typed unseen is not for others to read.
    return parameter.expose_value and not getattr(parameter, "hide_input", False)


def _is_ours(command: Any) -> bool:
    """Whether this is Dray's own command line, running a script."""
    callback = getattr(command, "callback", None)
    if str(getattr(callback, "__module__", "")).startswith("dray."):
        return True
    return any(_is_ours(other) for _, other in _commands(command))


def _commands(command: Any) -> Iterator[tuple[str, Any]]:
    # Only those that are there: a group may load others when they are asked for.
    yield from dict(getattr(command, "commands", None) or {}).items()


def _keys(root: Any) -> dict[int, str]:
    """Name of each command by identity: its own, with those above it where that is not unique."""
    paths: dict[int, list[str]] = {}

    def walk(command: Any, path: list[str]) -> None:
        for name, other in _commands(command):
            paths.setdefault(id(other), [*path, name])
            walk(other, [*path, name])

    walk(root, [])
    lasts = [path[-1] for path in paths.values()]
    keys = {
        one: path[-1] if lasts.count(path[-1]) == 1 else ".".join(path)
        for one, path in paths.items()
    }
    keys[id(root)] = str(root.name or "") if paths else ""
    return keys


def _key(keys: dict[int, str], command: Any, parameter: Any) -> str:
    above = keys.get(id(command), "")
    return f"{above}/{parameter.name}" if above else str(parameter.name)


def _with_stored_command(group: Any, ctx: Any, args: list[str]) -> list[str]:
    stored = recorder.stored(_LIBRARY)
    root = ctx.find_root().command
    if not stored or _is_ours(root):
        return args
    keys = _keys(root)
    chosen: list[str] = []
    for name, command in _commands(group):
        members = stored.get(keys[id(command)], {})
        if parameters.to_bool(members.get("value", "")):
            chosen.append(name)
    at = next((i for i, text in enumerate(args) if text in group.commands), len(args))
    if not chosen or (args[at : at + 1] and args[at] in chosen):
        return args
    return [*args[:at], *(chosen if getattr(group, "chain", False) else chosen[:1])]


def _with_stored_value(parameter: Any, ctx: Any, opts: Any) -> Any:
    if not _is_connected(parameter):
        return opts
    root = ctx.find_root().command
    name = _key(_keys(root), ctx.command, parameter)
    members = recorder.stored(_LIBRARY).get(name)
    if members is None or _is_ours(root):
        return opts
    others = {key: value for key, value in opts.items() if key != parameter.name}
    text = members["value"]
    if text == "" and members.get("type", "") in ("", "NoneType"):
        return others
    try:
        value = _given(parameter, text)
        if value is None:
            return others
        _check(parameter, ctx, value)
    except Exception as exc:  # types are the user's, and raise what they like
        recorder.cannot_use(f"Args/{name}", text, getattr(exc, "message", exc))
        return opts
    return {**others, parameter.name: value}


def _check(parameter: Any, ctx: Any, value: Any) -> None:
    if hasattr(getattr(parameter, "type", None), "lazy"):
        return  # a file is opened once, by click
    if hasattr(parameter, "type_cast_value"):
        parameter.type_cast_value(ctx, value)
    else:  # Typer without click
        parameter.get_runtime_param().coerce(value, param=parameter, ctx=ctx)


def _given(parameter: Any, text: str) -> Any:
    """``text`` as click's parser hands over what stood on the command line."""
    if getattr(parameter, "count", False):
        return int(text)
    if getattr(parameter, "is_bool_flag", False):
        return parameters.to_bool(text)
    if getattr(parameter, "is_flag", False):
        return parameter.flag_value if parameters.to_text(parameter.flag_value)[0] == text else None
    if getattr(parameter, "multiple", False):
        return [_word(item) for item in flow_text.read_items(text)]
    if parameter.nargs != 1:
        return tuple(_word(item) for item in flow_text.read_items(text))
    return text


def _word(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_word(item) for item in cast("list[Any]", value))
    return parameters.to_text(value)[0]
