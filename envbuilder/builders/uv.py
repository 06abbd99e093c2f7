"""Environments made by uv: from its cache alone when that suffices, else from the indexes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from dray.envbuilder.builders.uv_job import UvJob, uv_variables
from dray.envbuilder.builders.uv_locked import install_locked, is_locked
from dray.envbuilder.builders.uv_words import explained
from dray.envbuilder.cache.environment import python_of
from dray.envbuilder.choice.local_packages import project_copy, version_variables
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.git.logins import git_logins
from dray.envbuilder.place import Place
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.interpreters import Interpreter
from dray.envbuilder.tools.log import LogWriter
from dray.envbuilder.tools.process import Finished
from dray.envbuilder.tools.secrets import reveal
from dray.envbuilder.tools.surroundings import agent_variables, git_variables, installer_variables
from dray.envbuilder.tools.uv_config import with_node_config, without_config
from dray.envbuilder.tools.uv_program import uv_program


class UvBuilder:
    """``uv venv``, then ``uv pip install`` or ``uv sync``: offline first, a tenth of the time."""

    async def interpreter(self, spec: EnvironmentSpec, place: Place) -> Interpreter:
        """See :class:`dray.envbuilder.builders.base.Builder`."""
        return await place.find_interpreter(spec.python)

    async def build(
        self,
        spec: EnvironmentSpec,
        interpreter: Interpreter,
        folder: Path,
        log: LogWriter,
        place: Place,
    ) -> None:
        """See :class:`dray.envbuilder.builders.base.Builder`."""
        secrets = await reveal([*spec.index_urls, *spec.find_links, *_lines(spec)])
        env = installer_variables(agent_variables())
        await _make_venv(interpreter, folder, env, log, place)
        if not (spec.requirements or spec.local or spec.files):
            return
        async with project_copy(spec, folder) as copy:
            known = await asyncio.to_thread(with_node_config, git_variables(agent_variables()))
            node = {**known, **version_variables(spec, copy)}
            job = UvJob(
                spec,
                folder,
                copy,
                uv_variables(spec, node, secrets, copy),
                secrets,
                log,
                place,
            )
            finished = await (install_locked(job) if is_locked(job) else _install(job))
        if finished.code != 0:
            raise environment_failed(explained(finished.tail, spec), finished.tail)


def _lines(spec: EnvironmentSpec) -> Iterable[str]:
    return (*spec.requirements, *spec.constraints)


async def _make_venv(
    interpreter: Interpreter,
    folder: Path,
    env: Mapping[str, str],
    log: LogWriter,
    place: Place,
) -> None:
    # Relocatable: the scripts find their interpreter beside themselves, so that the folder
    # can be renamed into place.
    options = ["--quiet", "--relocatable", "--no-project", "--prompt", "dray"]
    finished = await place.run(
        [uv_program(), "venv", *options, "--python", interpreter.path, folder],
        env=without_config(env),
        cwd=folder.parent,
        log=log,
    )
    if finished.code != 0:
        raise environment_failed(
            f"uv could not make an environment for Python {interpreter.version}", finished.tail
        )


async def _install(job: UvJob) -> Finished:
    """Requirement lines and local packages, with what limits them."""
    spec = job.spec
    plain, logins = await git_logins(spec.requirements, job.secrets, job.env)
    local = [f"{job.copy}/{each.requirement}" for each in spec.local if not each.by_name]
    listing = await _written(job, "requirements.txt", [*plain, *local])
    limits = await _written(job, "constraints.txt", spec.constraints)
    env = without_config({**job.env, **logins})
    return await replace(job, env=env).offline_first(
        [
            *["pip", "install", "--no-progress", "--no-compile-bytecode"],
            *["--python", python_of(job.folder), "--requirements", listing],
            *(["--constraints", limits] if spec.constraints else []),
            *job.flags(),
        ],
        job.folder,
    )


async def _written(job: UvJob, name: str, lines: Iterable[str]) -> Path:
    path = job.copy / f".dray-{name}"
    text = "".join(f"{job.secrets.references(line)}\n" for line in lines)
    await asyncio.to_thread(path.write_text, text, "utf-8")
    return path
