"""A task made from a script or a repository, without a line of Dray in the code."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dray.runtime.errors import InvalidInput, NotFound
from dray.sdk.cli import options
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
        script: a file here, or one in ``repo``, relative to ``working_dir``.
        args: ``NAME=VALUE`` texts that become parameters.
    """

    script: options.Script
    arguments: options.Arguments = None
    project: options.Project = None
    name: options.Name = None
    type: options.Type = None
    tag: options.Tags = None
    comment: options.Comment = None
    args: options.Args = None
    package: options.Packages = None
    requirements: options.Requirements = None
    repo: options.Repository = None
    branch: options.Branch = None
    commit: options.Commit = None
    working_dir: options.WorkingDir = None
    python: options.Python = None
    cpus: options.Cpus = None
    gpus: options.Gpus = None
    memory_gib: options.MemoryGib = None


def create(
    session: Session, wanted: Wanted, limits: PolicyOptions, surroundings: ExecutionOptions
) -> Task:
    """Make the draft that the options describe.

    Raises:
        DrayError: the script is not there, is too large to send, or the server refuses.
    """
    from dray.runtime.models import Policy, TaskType
    from dray.runtime.resources import Resources

    kind = options.one_of(TaskType, wanted.type, "--type") if wanted.type else TaskType.TRAINING
    parameters, policy = options.parameters(wanted.args), limits.applied(Policy())
    given = _given_execution(wanted)
    if wanted.repo is not None:
        found, project = _remote_execution(wanted), _project_of(wanted.repo)
    else:
        found, project = _local_execution(session, wanted)
    execution = {**found, **given, **surroundings.given(), "bootstrap": True}
    execution["resources"] = options.resources(
        Resources(), wanted.cpus, wanted.gpus, wanted.memory_gib
    )
    return session.client.create_task(
        wanted.project or project,
        wanted.name or Path(wanted.script).stem,
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
        "python_version": wanted.python,
        "working_dir": wanted.working_dir,
    }
    return {member: value for member, value in given.items() if value is not None}


def _remote_execution(wanted: Wanted) -> dict[str, Any]:
    return {
        "repository": wanted.repo,
        "branch": wanted.branch or "",
        "commit": wanted.commit or "",
        "entry_point": wanted.script,
        "arguments": wanted.arguments or [],
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def _local_execution(session: Session, wanted: Wanted) -> tuple[dict[str, Any], str]:
    from dray.sdk.capture.captured import Entry, capture
    from dray.sdk.capture.code_files import send_code

    for option, value in (("--branch", wanted.branch), ("--commit", wanted.commit)):
        if value is not None:
            raise InvalidInput(
                f"{option} goes with --repo; a script here runs as it is", field=option
            )
    script = Path(wanted.script).absolute()
    if not script.is_file():
        raise NotFound(
            f"no script {script}; a script in a repository needs --repo", path=str(script)
        )
    captured = capture(Entry(script, arguments=tuple(wanted.arguments or ())), Path.cwd())
    for warning in captured.warnings:
        session.out.note(f"dray: warning: {warning}")
    snapshot = send_code(session.client, captured, session.settings)
    return {**captured.execution, "snapshot": snapshot}, captured.project


def _project_of(repository: str) -> str:
    name = repository.rstrip("/").replace(":", "/").rpartition("/")[2].removesuffix(".git")
    return name or "Untitled"


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
