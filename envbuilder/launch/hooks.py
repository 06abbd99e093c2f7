"""What an agent adds to every task it runs: a setup script, variables, folders to import from."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dray.envbuilder.failures import environment_failed
from dray.runtime.config import Settings

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class NodeHooks:
    """What an agent adds to the tasks it runs; what a task says itself comes later, and wins.

    Attributes:
        setup_script: shell lines to run before the task's own.
        variables: of its process, unless the task sets them.
        python_path: folders of the node to import from, after the task's own.
    """

    setup_script: str = ""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    python_path: tuple[str, ...] = ()


def node_hooks(settings: Settings) -> NodeHooks:
    """The hooks that an agent is set to; reads the script where it is in a file, so may block.

    Raises:
        PreparationFailed: a setting that cannot be used.
    """
    return NodeHooks(
        _script(settings.agent_setup_script),
        _variables(settings.agent_variables),
        tuple(f for f in settings.agent_python_path.split(os.pathsep) if f.strip()),
    )


def _script(given: str) -> str:
    """The lines themselves, or those of the file that a single absolute path names."""
    text = given.strip()
    path = Path(text).expanduser()
    if "\n" in text or len(text.split()) != 1 or not path.is_absolute():
        return given
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise environment_failed(
            f"agent_setup_script of this node is {text}, which cannot be read ({exc}); put the "
            "script there, or change the setting where the agents are started",
            field="agent_setup_script",
        ) from exc


def _variables(given: str) -> dict[str, str]:
    try:
        words = shlex.split(given)
    except ValueError as exc:
        raise _bad_variables(f"cannot be read ({exc})") from exc
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not NAME.fullmatch(name):
            raise _bad_variables(f"has {name!r}, which is not NAME=VALUE")
        found[name] = value
    return found


def _bad_variables(why: str) -> Exception:
    return environment_failed(
        f"agent_variables of this node {why}; write them as in a shell: HF_HOME=/data/hf A='b c'",
        field="agent_variables",
    )
