"""Flags of absl: section ``TF_DEFINE``, as TensorFlow's scripts know it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dray.sdk.binders import recorder
from dray.sdk.parameters import flow_text
from dray.sdk.parameters import values as parameters

SECTION = "TF_DEFINE"
_LIBRARY = "absl"
#: Modules of absl whose flags are about the program, not about the experiment.
_OWN = ("absl.app", "absl.logging", "absl.flags", "absl.testing")


def install(module: Any) -> None:
    """Serve ``absl.flags._flagvalues``."""

    def validating(original: Callable[..., Any]) -> Callable[..., Any]:
        def validate_all_flags(self: Any) -> Any:
            # Stored values before the check: a required flag may be missing on the command line.
            recorder.guarded(_LIBRARY, _override, self)
            return original(self)

        return validate_all_flags

    def recording(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            rest = original(self, *args, **kwargs)
            recorder.guarded(_LIBRARY, _record, self)
            return rest

        return call

    recorder.replace(module.FlagValues, "validate_all_flags", validating)
    recorder.replace(module.FlagValues, "__call__", recording)


def _record(flags: Any) -> None:
    values: dict[str, dict[str, str]] = {}
    for name in _names(flags):
        flag = flags[name]
        kind = str(flag.flag_type() or "")
        type_name = {"string": "str"}.get(kind, kind) if flag.value is None else None
        values[name] = recorder.members(flag.value, flag.help, type_name)
    recorder.put(_LIBRARY, values, SECTION)


def _names(flags: Any) -> list[str]:
    own = {
        flag.name
        for module, found in flags.flags_by_module_dict().items()
        if module.startswith(_OWN)
        for flag in found
    }
    # What absl brings counts once it is given, such as ``--verbosity``.
    return [n for n in flags if flags[n].name == n and (n not in own or flags[n].present)]


def _override(flags: Any) -> None:
    for name, members in recorder.stored(_LIBRARY, SECTION).items():
        if name not in flags:
            continue
        flag, text = flags[name], members["value"]
        if parameters.to_text(flag.value)[0] == text:
            continue
        try:
            flag.value = _read(flag, text, members.get("type", ""))
        except Exception as exc:  # parsers may be the user's, and raise what they like
            recorder.cannot_use(f"{SECTION}/{name}", text, exc)


def _read(flag: Any, text: str, type_name: str) -> Any:
    if text == "" and (flag.default is None or type_name in ("", "NoneType")):
        return None
    if isinstance(flag.value, list) or type_name.startswith("list"):
        items = flow_text.read_items(text)
        if not flag.flag_type().startswith("multi"):
            return items
        return [flag.parser.parse(parameters.to_text(item)[0]) for item in items]
    return flag.parser.parse(text)
