"""How a task runs where it does not say it itself: its queue's word, then its agent's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, cast

from dray.runtime import codec
from dray.runtime.errors import InvalidInput
from dray.runtime.execution import Container, Execution, RunDefaults

#: Who can install; ``system`` is the Python of a container as it is.
MANAGERS = ("uv", "pip", "conda", "poetry", "system")


def with_defaults(execution: Execution, *defaults: RunDefaults) -> Execution:
    """``execution`` with what it leaves open taken from ``defaults``, the first that says it.

    A task that names an image takes nothing of another's container: its arguments or setup script
    would not fit. One that names none but arguments or a script takes them to the image it gets.
    """
    for given in defaults:
        if not execution.environment_manager:
            execution = replace(execution, environment_manager=given.environment_manager)
        if not execution.torch_backend:
            execution = replace(execution, torch_backend=given.torch_backend)
        if not execution.container.image and given.container.image:
            own = execution.container
            container = Container(
                given.container.image,
                own.arguments or given.container.arguments,
                own.setup_script or given.container.setup_script,
            )
            execution = replace(execution, container=container)
    return execution


def merged_defaults(defaults: RunDefaults, changes: Mapping[str, Any]) -> RunDefaults:
    """``defaults`` with some members changed, ``container`` merged member by member.

    Raises:
        InvalidInput: a member that does not exist, or a value that cannot be used.
    """
    given = cast("dict[str, Any]", codec.to_json(changes))
    current = cast("dict[str, Any]", codec.to_json(defaults))
    _refuse_unknown(given, RunDefaults, "defaults")
    if isinstance(given.get("container"), dict):
        _refuse_unknown(given["container"], Container, "defaults.container")
        given["container"] = {**current["container"], **given["container"]}
    try:
        merged = codec.from_json(RunDefaults, {**current, **given})
    except ValueError as exc:
        raise InvalidInput(f"defaults cannot be changed: {exc}", field="defaults") from exc
    return checked_defaults(merged)


def checked_defaults(defaults: RunDefaults) -> RunDefaults:
    """``defaults`` themselves when they may be kept.

    Raises:
        InvalidInput: a manager nobody knows, or arguments and a script for no container.
    """
    manager, container = defaults.environment_manager, defaults.container
    if manager and manager not in MANAGERS:
        raise InvalidInput(
            f"defaults.environment_manager {manager!r} is none of {', '.join(MANAGERS)}",
            field="defaults.environment_manager",
            value=manager,
        )
    for name in ("arguments", "setup_script"):
        if getattr(container, name) and not container.image:
            raise InvalidInput(
                f"defaults.container.{name} is for a container, and no image is given; a task "
                "that names one brings its own",
                field=f"defaults.container.{name}",
            )
    return defaults


def _refuse_unknown(given: Mapping[str, Any], kind: Any, where: str) -> None:
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            raise InvalidInput(
                f"{where} has no member {name!r}; it has {', '.join(known)}",
                field=f"{where}.{name}",
            )
