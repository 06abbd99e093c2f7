"""How a task's process is started: arguments, working directory and variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.cache.environment import Environment
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.launch.activation import variables_of
from dray.envbuilder.launch.entry_point import command_of, refused, what_is_in
from dray.envbuilder.launch.hooks import NAME, NodeHooks
from dray.envbuilder.tools.surroundings import agent_variables, child_variables
from dray.runtime.errors import PreparationFailed
from dray.runtime.execution import Execution

#: Of a task's process, and the agent's alone to set.
RESERVED = frozenset(
    {"DRAY_TASK_ID", "DRAY_EPOCH", "DRAY_SPOOL", "DRAY_URL", "DRAY_TOKEN", "DRAY_AGENT"}
)


@dataclass(frozen=True)
class LaunchPlan:
    """What a process is started with."""

    argv: list[str]
    cwd: Path
    env: dict[str, str]


def launch_plan(
    execution: Execution,
    environment: Environment,
    code: Path,
    child_code: Path,
    task_env: Mapping[str, str],
    agent_env: Mapping[str, str] | None = None,
    hooks: NodeHooks | None = None,
) -> LaunchPlan:
    """How to start the entry point of ``execution``, whose code lies in ``code``.

    The process inherits ``agent_env`` (default: this process's variables) without what belongs to
    Ray, to Dray and to the agent's interpreter. What is said later wins: the variables of
    ``hooks``, those of ``execution``, ``task_env``.

    Raises:
        PreparationFailed: of kind ``source_failed``: the working directory, the entry point or a
            folder to import from is not in the code. Of kind ``environment_failed``: a variable
            that is no name, or is not the task's to set.
    """
    root = code.resolve()
    cwd = _working_dir(execution.working_dir, root)
    inherited = agent_variables() if agent_env is None else agent_env
    given = hooks or NodeHooks()
    env = child_variables(inherited) | variables_of(environment.folder)
    env |= dict(given.variables) | _own_variables(execution)
    folders = [*_python_path(execution.python_path, root), env.get("PYTHONPATH", "")]
    programs = str(environment.python.parent)
    env["PATH"] = os.pathsep.join([programs, env.get("PATH", os.defpath)])
    env["VIRTUAL_ENV"] = str(environment.folder)
    env["PYTHONPATH"] = os.pathsep.join(
        [str(child_code), *filter(None, [*folders, *given.python_path])]
    )
    env["PYTHONUNBUFFERED"] = "1"
    env.update(task_env)
    has_setup = bool(execution.setup_script.strip() or given.setup_script.strip())
    searched = "" if has_setup else env["PATH"]
    command = command_of(execution, environment.python, cwd, root, searched)
    return LaunchPlan(argv=[*command, *execution.arguments], cwd=cwd, env=env)


def _own_variables(execution: Execution) -> dict[str, str]:
    """The task's own variables, of which none is what its agent tells it by."""
    for name, value in execution.variables.items():
        if name in RESERVED:
            raise _bad_variable(name, "is the agent's to set; take it out")
        if not NAME.fullmatch(name):
            raise _bad_variable(name, "is no name of a variable: letters, digits and _")
        if "\0" in value:
            raise _bad_variable(name, "holds a NUL byte, which no process can be given")
    return execution.variables


def _bad_variable(name: str, why: str) -> PreparationFailed:
    return environment_failed(
        f"execution.variables: {name!r} {why}", field=f"execution.variables.{name}"
    )


def _python_path(folders: list[str], root: Path) -> list[str]:
    """Folders of the code to import from, as the interpreter is told of them."""
    found: list[str] = []
    for given in folders:
        folder = (root / given).resolve()
        if not folder.is_relative_to(root):
            raise refused("python_path", given, "leaves the task's code; name its folders only")
        if not folder.is_dir():
            raise refused(
                "python_path", given, f"is not a folder of the task's code{what_is_in(root)}"
            )
        found.append(str(folder))
    return found


def _working_dir(working_dir: str, root: Path) -> Path:
    cwd = (root / (working_dir or ".")).resolve()
    if not cwd.is_relative_to(root):
        raise refused("working_dir", working_dir, "leaves the task's code")
    if not cwd.is_dir():
        raise refused(
            "working_dir", working_dir, f"is not a folder of the task's code{what_is_in(root)}"
        )
    return cwd
