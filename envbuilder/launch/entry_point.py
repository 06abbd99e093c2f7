"""The command that a task's entry point comes to: a script, a module, a notebook, a program."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from dray.envbuilder.failures import source_failed
from dray.runtime.entrypoints import SHELL, Kind, kind_of
from dray.runtime.errors import PreparationFailed
from dray.runtime.execution import Execution

_RECORDER = ["-m", "dray.sdk.bootstrap"]
_MODULE = re.compile(r"-m\s*(?P<name>[^\W\d]\w*(\.[^\W\d]\w*)*)")


def command_of(
    execution: Execution, python: Path, cwd: Path, root: Path, programs: str
) -> list[str]:
    """What runs the entry point of ``execution``, without its arguments.

    A program alone (``binary`` without an entry point) is one of the node, or of its container.
    Whether a module exists is for the interpreter to say: it may be an installed one.

    Args:
        execution: what to run.
        python: the environment's interpreter.
        cwd: where it will run.
        root: top folder of the task's code.
        programs: ``PATH`` as the process will have it; empty where what runs before may change it.

    Raises:
        PreparationFailed: of kind ``source_failed``: the entry point is not in the code, or the
            program is not on this node.
    """
    entry = execution.entry_point.strip()
    runner = shlex.split(execution.binary)
    if runner:
        if programs and not execution.container.image:
            _check_program(runner[0], execution.binary, cwd, programs)
        if not entry:
            return runner
        return [*runner, *_script_or_module(execution.entry_point, cwd, root)]
    start = _script_or_module(execution.entry_point, cwd, root)
    recorder = _RECORDER if execution.bootstrap else []
    kind = Kind.PYTHON if start[0] == "-m" else kind_of(cwd / entry)
    if kind is Kind.SHELL:
        return [SHELL, *start]
    if kind is Kind.PROGRAM:
        return [str(cwd / entry)]
    if kind is Kind.NOTEBOOK:
        return [str(python), *(recorder or [*_RECORDER, "--no-task"]), *start]
    return [str(python), *recorder, *start]


def _script_or_module(entry_point: str, cwd: Path, root: Path) -> list[str]:
    entry = entry_point.strip()
    if entry.startswith("-"):
        module = _MODULE.fullmatch(entry)
        if module is None:
            raise refused("entry_point", entry_point, "is neither a script nor `-m module`")
        return ["-m", module["name"]]
    if not entry:
        raise refused("entry_point", entry_point, "names no script; give one, or `-m module`")
    script = cwd / entry
    if not script.resolve().is_relative_to(root):
        raise refused("entry_point", entry_point, "leaves the task's code")
    if not script.is_file():
        folder = "the root" if cwd == root else cwd.relative_to(root).as_posix()
        raise refused("entry_point", entry_point, f"is not a file in {folder}{what_is_in(cwd)}")
    return [entry]


def _check_program(program: str, binary: str, cwd: Path, programs: str) -> None:
    found = cwd / program if "/" in program else shutil.which(program, path=programs)
    if found is None or not shutil.which(str(found)):
        raise refused(
            "binary",
            binary,
            "is no program of this node; install it there, or name it by its whole path",
        )


def what_is_in(folder: Path) -> str:
    """What is there instead, for a message."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f", which has {shown}" if names else ", which is empty"


def refused(name: str, value: str, why: str) -> PreparationFailed:
    """The failure of a member of ``Execution`` that does not fit the code."""
    return source_failed(
        f"execution.{name} {value!r} {why}", field=f"execution.{name}", value=value
    )
