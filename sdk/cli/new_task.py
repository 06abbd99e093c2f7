"""A task made from a script or a repository, without a line of Dray in the code."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dray.runtime.errors import InvalidInput, NotFound
from dray.sdk.cli import options
from dray.sdk.cli.wanted_code import CodeOptions, execution_of
from dray.sdk.runs import whoami

if TYPE_CHECKING:
    from dray.runtime.models import Task
    from dray.sdk.cli.execution_options import ExecutionOptions
    from dray.sdk.cli.policy_options import PolicyOptions
    from dray.sdk.cli.session import Session


@dataclass(frozen=True)
class Wanted:
    """What the command line says about a task to make; None means not said.

    Attributes:
        args: ``NAME=VALUE`` texts that become parameters.
    """

    project: options.Project = None
    name: options.Name = None
    type: options.Type = None
    tag: options.Tags = None
    comment: options.Comment = None
    args: options.Args = None
    package: options.Packages = None
    requirements: options.Requirements = None
    python: options.Python = None
    cpus: options.Cpus = None
    gpus: options.Gpus = None
    memory_gib: options.MemoryGib = None


def create(
    session: Session,
    code: CodeOptions,
    wanted: Wanted,
    limits: PolicyOptions,
    surroundings: ExecutionOptions,
) -> Task:
    """Make the draft that the options describe.

    Raises:
        DrayError: the script is not there, is too large to send, or the server refuses.
    """
    from dray.runtime.models import Policy, TaskType
    from dray.runtime.resources import Resources

    kind = options.one_of(TaskType, wanted.type, "--type") if wanted.type else TaskType.TRAINING
    parameters, policy = options.parameters(wanted.args), limits.applied(Policy())
    given = {**_given_execution(wanted), **surroundings.given()}
    found, project = execution_of(session, code)
    execution = {**found, **given}
    execution["resources"] = options.resources(
        Resources(), wanted.cpus, wanted.gpus, wanted.memory_gib
    )
    return session.client.create_task(
        wanted.project or project,
        wanted.name or code.title,
        type=kind,
        tags=wanted.tag or [],
        owner=whoami.user(),
        comment=wanted.comment or "",
        parameters=parameters,
        policy=policy,
        execution=execution,
    )


def _given_execution(wanted: Wanted) -> dict[str, Any]:
    lines, indexes = list(wanted.package or ()), list[str]()
    if wanted.requirements is not None:
        read, indexes = read_requirements(wanted.requirements)
        lines = [*read, *lines]
    given: dict[str, Any] = {
        "packages": lines if wanted.package or wanted.requirements else None,
        "index_urls": indexes or None,
        # Who lists packages means these, whatever lock file the code has beside them.
        "packages_from": "task" if wanted.package or wanted.requirements else None,
        "python_version": wanted.python,
    }
    return {member: value for member, value in given.items() if value is not None}


def read_requirements(path: Path) -> tuple[list[str], list[str]]:
    """The requirement lines and the index URLs of a requirements file and those it includes.

    Raises:
        NotFound: it is not there.
        InvalidInput: an option that an agent could not follow, such as ``-e .``.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as exc:
        raise NotFound(f"cannot read requirements {path}: {exc.strerror}", path=str(path)) from exc
    lines: list[str] = []
    indexes: list[str] = []
    for number, raw in enumerate(text.replace("\\\n", " ").splitlines(), 1):
        line = raw.split(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        if not line.startswith("-"):
            lines.append(line)
            continue
        option, _, value = line.replace("=", " ", 1).partition(" ")
        value = shlex.split(value)[0] if value.strip() else ""
        if option in ("-r", "--requirement"):
            more, more_indexes = read_requirements(path.parent / value)
            lines += more
            indexes += more_indexes
        elif option in ("-i", "--index-url"):
            indexes.insert(0, value)
        elif option == "--extra-index-url":
            indexes.append(value)
        else:
            raise InvalidInput(
                f"{path}:{number}: {option} cannot be followed on another machine; "
                "name packages and index URLs only",
                field="--requirements",
                value=line,
            )
    return lines, indexes
