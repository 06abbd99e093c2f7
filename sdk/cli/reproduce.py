"""``dray task reproduce``: a task's code and environment in a folder here, to be run by hand."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dray.runtime import codec
from dray.runtime.errors import Conflict, DrayError, PreparationFailed
from dray.runtime.paths import NodePaths
from dray.runtime.resolved import as_resolved
from dray.sdk.cli import options, words
from dray.sdk.cli.run_sh import CODE, ENVIRONMENT, OWN, Run, run_sh
from dray.sdk.cli.session import Session, verb, verbs
from dray.sdk.session import REPRODUCED

if TYPE_CHECKING:
    from dray.envbuilder.cache.environment import Environment
    from dray.runtime.config import Settings
    from dray.runtime.execution import EnvironmentReport, Execution
    from dray.runtime.models import Task
    from dray.sdk.client import Client

app = verbs()

#: For the interpreter where no environment is made.
_ANY_PYTHON = "python3"


@dataclass(frozen=True)
class _Job:
    """What is to be rebuilt, and where.

    Attributes:
        execution: with the packages that are to be installed.
        built: what an agent built for it, where that is to be installed again.
    """

    task: Task
    execution: Execution
    built: EnvironmentReport | None
    root: Path
    settings: Settings
    client: Client

    @property
    def own(self) -> Path:
        return self.root / OWN


@verb(app, "reproduce")
def reproduce(
    session: Session,
    task_id: options.TaskId,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER", help="New folder for it; named like the task unless said."
        ),
    ] = None,
    requested: Annotated[
        bool,
        typer.Option(
            "--requested", help="The packages it asks for, not those that an agent installed."
        ),
    ] = False,
    no_environment: Annotated[
        bool, typer.Option("--no-environment", help="Its code alone; bring your own Python.")
    ] = False,
    token: Annotated[
        bool,
        typer.Option("--token", help="Let it speak to the server, with your token in run.sh."),
    ] = False,
) -> None:
    """Rebuild a task here. Its code and packages in a folder, with a run.sh that runs it."""
    import asyncio

    task = session.client.get_task(task_id)
    root = _new_folder(folder or Path(_name(task)))
    built = None if requested else _last_built(session.client, task)
    execution = task.execution if built is None else as_resolved(task.execution, built)
    job = _Job(task, execution, built, root, session.settings, session.client)
    if built is None and not requested:
        session.out.note("no agent has built this task's environment: its packages as requested")
    try:
        argv = asyncio.run(_rebuild(job, with_environment=not no_environment, with_token=token))
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)  # whatever ended it, it can be tried again
        raise
    run = str(root / "run.sh")
    session.out.note(f"run.sh runs: {' '.join(argv)}")
    packages = "none" if no_environment else "requested" if built is None else "resolved"
    answer = {"task": task.id, "folder": str(root), "run": run, "packages": packages, "argv": argv}
    session.out.answer(answer, run)


def _name(task: Task) -> str:
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in task.name).strip("-.")
    return f"{kept[:60] or 'task'}-{words.short_id(task.id)}"


def _new_folder(folder: Path) -> Path:
    root = folder.expanduser().absolute()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise Conflict(f"{root} is there already; name a new folder", path=str(root))
    root.mkdir(parents=True, exist_ok=True)
    return root.resolve()


def _last_built(client: Client, task: Task) -> EnvironmentReport | None:
    """What an agent prepared for the task last."""
    reports = (attempt.environment for attempt in reversed(client.attempts(task.id)))
    return next((report for report in reports if report is not None), None)


async def _rebuild(job: _Job, *, with_environment: bool, with_token: bool) -> list[str]:
    """Make the folder; what its ``run.sh`` runs."""
    try:
        from dray.envbuilder.git.options import git_options
        from dray.envbuilder.source.prepare import prepare_source
    except ImportError as exc:
        raise DrayError(
            f"a task can be reproduced on Linux and macOS only, not here ({exc})"
        ) from exc
    from dray.sdk.cli.envs_here import Blobs

    await prepare_source(
        job.execution,
        job.root / CODE,
        NodePaths(job.settings.cache),
        Blobs(job.client),
        sys.stderr.buffer,
        git=git_options(job.settings),
    )
    job.own.mkdir(exist_ok=True)
    if not with_environment:
        return await _write_run(job, None, with_token=with_token)
    with await _environment(job) as environment:
        link = job.root / ENVIRONMENT
        link.symlink_to(environment.folder.relative_to(job.root))
        return await _write_run(job, environment, with_token=with_token)


async def _environment(job: _Job) -> Environment:
    """Built in the folder itself, of files that the installer keeps for all."""
    from dray.envbuilder.cache.build import ensure_environment
    from dray.envbuilder.cache.limits import limits_of
    from dray.envbuilder.choice.choose import choose

    if job.execution.environment_manager == "system":
        raise DrayError(
            f"the task runs on the Python of its image {job.execution.container.image!r}, which "
            "is not rebuilt here; give --no-environment, and run its code in that image"
        )
    try:
        spec = await choose(job.execution, job.root / CODE)
        limits = limits_of(job.settings)
        return await ensure_environment(spec, NodePaths(job.own), sys.stderr.buffer, limits=limits)
    except PreparationFailed as exc:
        hint = "--no-environment brings its code alone"
        if job.built is not None:
            where = f"was built on {job.built.platform or 'another machine'}"
            hint = f"it {where}: --requested chooses packages for this one, and {hint}"
        raise PreparationFailed(f"{exc.message} ({hint})", **exc.details) from exc


async def _write_run(job: _Job, environment: Environment | None, *, with_token: bool) -> list[str]:
    import asyncio

    from dray.envbuilder.launch.child_code import write_sources
    from dray.envbuilder.launch.plan import launch_plan

    used = environment or _no_environment()
    ours = job.own / "dray"
    await asyncio.to_thread(write_sources, ours)
    variables = {
        "DRAY_TASK_ID": job.task.id,
        "DRAY_EPOCH": str(job.task.epoch),
        "DRAY_SPOOL": str(job.own / "spool"),
    }
    if with_token:
        variables |= {"DRAY_URL": job.client.url, "DRAY_TOKEN": job.client.token}
    plan = launch_plan(
        job.execution, used, job.root / CODE, ours, variables, {"PATH": os.environ.get("PATH", "")}
    )
    env = dict(plan.env)
    sets_path = "PATH" in job.execution.variables
    if environment is None:
        del env["VIRTUAL_ENV"]
        if not sets_path:
            del env["PATH"]
    elif not sets_path:
        env["PATH"] = str(used.python.parent)
    setup = _write_own(job, with_token=with_token)
    kept = str(used.folder)
    place = str(job.root / ENVIRONMENT)
    run = Run(
        root=job.root,
        argv=[word.replace(kept, place) for word in plan.argv],
        cwd=plan.cwd,
        env={name: value.replace(kept, place) for name, value in env.items()},
        setup=setup,
        comments=_comments(job, with_environment=environment is not None),
        secrets=frozenset(job.execution.variables),
        own_path=sets_path,
    )
    script = job.root / "run.sh"
    script.write_text(run_sh(run), "utf-8", "surrogateescape")
    script.chmod(0o700)
    return [word.replace(f"{job.root}/", "") for word in run.argv]


def _no_environment() -> Environment:
    """Stands in for one: the first ``python3`` on the path of whoever runs it."""
    from dray.envbuilder.cache.environment import Environment
    from dray.envbuilder.tools.locks import FileLock
    from dray.runtime.execution import EnvironmentReport

    tag = sys.implementation.cache_tag or "none"
    report = EnvironmentReport("", reused=False, seconds=0.0)
    return Environment(
        key="",
        python=Path(_ANY_PYTHON),
        folder=Path("/no-environment"),
        cache_tag=tag,
        reused=False,
        seconds=0.0,
        report=report,
        reference=FileLock(Path("/no-environment"), -1),
    )


def _write_own(job: _Job, *, with_token: bool) -> list[str]:
    """What ``run.sh`` needs beside it; the names of its setup scripts."""
    identity = {
        "task_id": job.task.id,
        "epoch": job.task.epoch,
        "origin": REPRODUCED,
        "url": job.client.url if with_token else "",
    }
    (job.own / "attempt.json").write_text(json.dumps(identity), "utf-8")
    (job.own / "task.json").write_text(json.dumps(codec.to_json(job.task)), "utf-8")
    if not job.execution.setup_script.strip():
        return []
    (job.own / "setup.sh").write_text(f"{job.execution.setup_script}\n", "utf-8")
    return ["setup.sh"]


def _comments(job: _Job, *, with_environment: bool) -> list[str]:
    lines = [f"Task {job.task.name} ({job.task.id}), made by `dray task reproduce`."]
    if not with_environment:
        lines.append("It runs with the python3 of whoever starts it.")
    elif job.built is not None:
        lines.append("Its packages are those that an agent installed when it ran last.")
    else:
        lines.append("Its packages are those that it asks for, chosen when this was made.")
    if job.execution.container.image:
        lines.append(f"It ran in container {job.execution.container.image}; here it does not.")
    lines.append("Stored parameters count, as under an agent; records stay in .dray/spool.")
    return lines
