"""Python Fire: arguments as ``Args/name``, those of a command as ``Args/<command>/name``.

``Args/<command>`` of type ``fire.Command`` says which command runs; groups are joined by dots.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from dray.sdk.binders import recorder
from dray.sdk.parameters import flow_text
from dray.sdk.parameters import values as parameters

COMMAND = "fire.Command"
#: Description of what stands on the command line without a name, ``*args``.
POSITIONAL = "given by position"
_LIBRARY = "fire"
#: Groups inside groups that are looked into for their commands.
_DEPTH = 4


def install(core: Any) -> None:
    """Serve ``fire.core``."""

    def overriding(original: Callable[..., Any]) -> Callable[..., Any]:
        def fire(
            component: Any, args: Any, flags: Any, context: Any, *more: Any, **named: Any
        ) -> Any:
            root = context if component is None else component
            given = recorder.guarded(_LIBRARY, _with_stored, core, root, list(args))
            args = args if given is None else given
            return original(component, args, flags, context, *more, **named)

        return fire

    def recording(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(component: Any, args: Any, trace: Any, *more: Any, **named: Any) -> Any:
            treatment = named.get("treatment", more[0] if more else "class")
            recorder.guarded(_LIBRARY, _record, core, component, list(args), trace, treatment)
            return original(component, args, trace, *more, **named)

        return call

    recorder.replace(core, "_Fire", overriding)
    recorder.replace(core, "_CallAndUpdateTrace", recording)


def _record(core: Any, component: Any, args: list[str], trace: Any, treatment: str) -> None:
    path = _path(core, trace)
    if path is None:
        return
    function = component.__call__ if treatment == "callable" else component
    try:
        parse = core._MakeParseFn(function, core.decorators.GetMetadata(component))
        (given, named), *_ = parse(args)
    except core.FireError:
        return  # Fire says what is missing
    spec = core.inspectutils.GetFullArgSpec(function)
    found = {**_defaults(spec), **dict(zip(spec.args, given, strict=False)), **named}
    command = ".".join(path)
    prefix = f"{command}/" if command else ""
    values = {f"{prefix}{name}": recorder.members(value) for name, value in found.items()}
    if spec.varargs:
        rest = recorder.members(given[len(spec.args) :], POSITIONAL)
        values[f"{prefix}{spec.varargs}"] = rest
    if command and treatment != "class":
        values = {**_others(core, trace, command), command: _flag(chosen=True), **values}
    recorder.put(_LIBRARY, values)


def _path(core: Any, trace: Any) -> list[str] | None:
    """Names of the members that led here; None behind the result of a command."""
    path: list[str] = []
    for element in trace.elements:
        if element._action == core.trace.ACCESSED_PROPERTY:
            path.append(str(element._target).replace("-", "_"))
        elif element._action in (core.trace.CALLED_ROUTINE, core.trace.CALLED_CALLABLE):
            return None
    return path


def _others(core: Any, trace: Any, chosen: str) -> dict[str, dict[str, str]]:
    """Commands that could have been called instead, with their defaults."""
    component = next(
        (e.component for e in trace.elements if not inspect.isclass(e.component)), None
    )
    values: dict[str, dict[str, str]] = {}
    for name, function in _commands(component, "", _DEPTH):
        if name != chosen:
            values[name] = _flag(chosen=False)
            for argument, value in _defaults(core.inspectutils.GetFullArgSpec(function)).items():
                values[f"{name}/{argument}"] = recorder.members(value)
    return values


def _commands(component: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(component, Mapping):
        found = cast("Mapping[str, Any]", component)
        home = found.get("__name__")  # there is one where Fire was given nothing
        members = [
            (str(name), member)
            for name, member in found.items()
            if home is None or getattr(member, "__module__", None) == home
        ]
    else:
        members = inspect.getmembers(component)
    for name, member in members:
        if name.startswith("_"):
            continue
        if inspect.isroutine(member):
            yield f"{prefix}{name}", member
        elif depth and _is_group(member):
            yield from _commands(member, f"{prefix}{name}.", depth - 1)


def _is_group(member: Any) -> bool:
    if isinstance(member, dict):
        return True
    kind = cast("type[Any]", type(member))
    return not inspect.isclass(member) and kind.__module__ not in ("builtins", "types")


def _defaults(spec: Any) -> dict[str, Any]:
    missing = [None] * (len(spec.args) - len(spec.defaults))
    named = {name: spec.kwonlydefaults.get(name) for name in spec.kwonlyargs}
    return {**dict(zip(spec.args, [*missing, *spec.defaults], strict=True)), **named}


def _flag(*, chosen: bool) -> dict[str, str]:
    return {"value": str(chosen), "type": COMMAND, "description": ""}


def _with_stored(core: Any, component: Any, args: list[str]) -> list[str]:
    """The command line that the stored values make."""
    stored = recorder.stored(_LIBRARY)
    commands = {name: m for name, m in stored.items() if m.get("type") == COMMAND}
    chosen = [name for name, m in commands.items() if parameters.to_bool(m["value"])]
    is_callable = inspect.isclass(component) or inspect.isroutine(component)
    if not stored or not (chosen or (is_callable and not commands)):
        return args
    path = chosen[0].split(".") if chosen else []
    prefixes = [".".join(path[:n]) + "/" for n in range(len(path), 0, -1)]
    positional: list[str] = []
    flags: list[str] = []
    shared = core.inspectutils.GetFullArgSpec(component) if is_callable else None
    for name, members in stored.items():
        if name in commands:
            continue
        above = next((p for p in prefixes if name.startswith(p)), "")
        argument = name[len(above) :]
        if not above and (shared is None or not _takes(shared, argument)):
            continue
        if members.get("description") == POSITIONAL:
            positional = [repr(item) for item in flow_text.read_items(members["value"])]
        else:
            flags.append(f"--{argument}={_word(core, members)}")
    return [*path, *positional, *flags]


def _takes(spec: Any, name: str) -> bool:
    return name in (*spec.args, *spec.kwonlyargs, spec.varargs) or (
        bool(spec.varkw) and "/" not in name
    )


def _word(core: Any, members: Mapping[str, str]) -> str:
    """A stored value as it has to stand on the command line, where Fire guesses its type."""
    text, kind = members["value"], members.get("type", "")
    if text == "" and kind in ("", "NoneType"):
        return "None"
    if kind == "str":
        return text if core.parser.DefaultParseValue(text) == text else repr(text)
    value = parameters.guess(text, kind)
    return text if isinstance(value, str) else repr(value)
