"""Arguments and options that several commands share, and how their texts are read."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from dray.runtime.errors import InvalidInput

if TYPE_CHECKING:
    from dray.runtime.resources import Resources

E = TypeVar("E", bound=Enum)

TaskId = Annotated[str, typer.Argument(metavar="TASK", help="Id of a task, or its first digits.")]
TaskIds = Annotated[
    list[str], typer.Argument(metavar="TASK...", help="Ids of tasks, or their first digits.")
]
Project = Annotated[
    str | None, typer.Option("--project", metavar="PROJECT", help="Project; names nest by '/'.")
]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the task.")]
Type = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="Type, such as training or testing.")
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TAG", help="Tag; give it several times.")
]
Comment = Annotated[str | None, typer.Option("--comment", metavar="TEXT", help="Comment.")]
Args = Annotated[
    list[str] | None,
    typer.Option(
        "--args",
        metavar="NAME=VALUE",
        help="Parameter Args/NAME, or SECTION/NAME as it is; give it several times.",
    ),
]
QueueName = Annotated[
    str, typer.Option("--queue", "-q", metavar="QUEUE", help="Queue to put it in.")
]
Priority = Annotated[
    int | None, typer.Option("--priority", metavar="N", help="Higher is sooner; 0 unless said.")
]
Packages = Annotated[
    list[str] | None,
    typer.Option("--package", metavar="REQUIREMENT", help="Package it needs; several times."),
]
Requirements = Annotated[
    Path | None, typer.Option("--requirements", metavar="FILE", help="Requirements file to read.")
]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="ARGS", help="After --: given to the script as they are."),
]
Repository = Annotated[
    str | None, typer.Option("--repo", metavar="URL", help="URL of a git repository.")
]
Branch = Annotated[
    str | None, typer.Option("--branch", metavar="BRANCH", help="Branch or tag of the repository.")
]
Commit = Annotated[
    str | None, typer.Option("--commit", metavar="COMMIT", help="Commit of the repository.")
]
WorkingDir = Annotated[
    str | None,
    typer.Option(
        "--working-dir", metavar="FOLDER", help="Folder to run in, from the root of the code."
    ),
]
Python = Annotated[
    str | None, typer.Option("--python", metavar="VERSION", help="Python to run it with: 3.11.")
]
Cpus = Annotated[
    float | None, typer.Option("--cpus", metavar="N", help="CPUs it needs; 1 unless said.")
]
Gpus = Annotated[
    float | None, typer.Option("--gpus", metavar="N", help="GPUs it needs; below 1 shares one.")
]
MemoryGib = Annotated[
    float | None, typer.Option("--memory-gib", metavar="N", help="Memory to reserve, in GiB.")
]
Force = Annotated[bool, typer.Option("--force", help="Even if it is in use.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Print the console as it is written.")]


def pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """``NAME=VALUE`` texts by name.

    Raises:
        InvalidInput: one has no name or no ``=``.
    """
    found: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not name.strip() or not equals:
            raise InvalidInput(
                f"{option} {text!r}: expected NAME=VALUE, such as lr=0.01", field=option, value=text
            )
        found[name.strip()] = value
    return found


def parameters(given: list[str] | None) -> dict[str, Any]:
    """``--args`` texts as parameters by flat name; a name without a section is in ``Args``."""
    return {
        name if "/" in name else f"Args/{name}": {"value": value}
        for name, value in pairs(given, "--args").items()
    }


def one_of(kind: type[E], text: str, option: str) -> E:
    """The member of ``kind`` that ``text`` names.

    Raises:
        InvalidInput: none; the members are listed.
    """
    try:
        return kind(text.strip().lower())
    except ValueError as exc:
        choices = ", ".join(str(member.value) for member in kind)
        raise InvalidInput(
            f"{option} {text!r} is none of {choices}", field=option, value=text
        ) from exc


def resources(
    held: Resources, cpus: float | None, gpus: float | None, memory_gib: float | None
) -> Resources:
    """``held`` with the amounts that were given."""
    from dataclasses import replace

    from dray.runtime.resources import check

    changed = replace(
        held,
        cpus=held.cpus if cpus is None else cpus,
        gpus=held.gpus if gpus is None else gpus,
        memory_bytes=held.memory_bytes if memory_gib is None else int(memory_gib * 2**30),
    )
    return check(changed)
