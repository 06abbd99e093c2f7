"""Environments of conda packages, with the Python that conda brings, and pip for the rest."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from dray.envbuilder.builders.activation import record_variables
from dray.envbuilder.builders.condafile import DEFAULT_CHANNEL, CondaRequest, of_file, of_lines
from dray.envbuilder.builders.condatool import CondaTool, Wanted, find_tool
from dray.envbuilder.builders.pip import PipJob, install_with_pip
from dray.envbuilder.builders.relocation import relocate_scripts
from dray.envbuilder.cache.environment import BUILDING
from dray.envbuilder.choice.local_packages import project_copy
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.place import Place
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.interpreters import Interpreter, matches, own_interpreter
from dray.envbuilder.tools.log import LogWriter, say
from dray.envbuilder.tools.process import finish_in_thread
from dray.envbuilder.tools.secrets import Secrets, reveal
from dray.envbuilder.tools.surroundings import agent_variables, installer_variables

#: What of conda's own configuration reaches it: where packages come from and are kept.
_SETTINGS = (
    "CONDARC",
    "MAMBARC",
    "MAMBA_ROOT_PREFIX",
    "CONDA_PKGS_DIRS",
    "CONDA_CHANNEL_ALIAS",
    "CONDA_SSL_VERIFY",
    "CONDA_OVERRIDE_CUDA",
    "CONDA_SOLVER",
    "RATTLER_CACHE_DIR",
    "RATTLER_AUTH_FILE",
)
#: As variables, which each program and version knows, while the options differ.
_UNATTENDED = {
    "CONDA_ALWAYS_YES": "true",
    "MAMBA_ALWAYS_YES": "true",
    "CONDA_QUIET": "true",
    "CONDA_NUMBER_CHANNEL_NOTICES": "0",
}
_SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le"}


class CondaBuilder:
    """micromamba, mamba, conda, or the library py-rattler, whichever the place has."""

    async def interpreter(self, spec: EnvironmentSpec, place: Place) -> Interpreter:  # noqa: ARG002
        """The Python that conda will bring, to the minor release: solving for the rest takes long.

        See :class:`dray.envbuilder.builders.base.Builder`.
        """
        version = version_of(spec, request_of(spec))
        own = own_interpreter()
        tag = f"cpython-{version.split('.')[0]}{version.split('.')[1]}"
        return Interpreter(
            path=Path("bin/python"),  # there is none yet
            version=version,
            implementation="cpython",
            cache_tag=tag,
            abi=f"conda-{tag}",
            platform=own.platform,
        )

    async def build(
        self,
        spec: EnvironmentSpec,
        interpreter: Interpreter,
        folder: Path,
        log: LogWriter,
        place: Place,
    ) -> None:
        """See :class:`dray.envbuilder.builders.base.Builder`."""
        request = request_of(spec)
        agent = agent_variables()
        env = installer_variables(agent)
        env |= {name: agent[name] for name in _SETTINGS if name in agent}
        env |= _UNATTENDED
        secrets = await reveal([*request.channels, *request.explicit])
        tool = await find_tool(agent, env, log, place)
        home = home_of(folder)
        scratch = folder.with_name(f"{folder.name}.scratch")
        try:
            await finish_in_thread(asyncio.to_thread(_make_room, home, scratch))
            job = _Job(spec, request, home, scratch, env, log, place)
            await _create(tool, _wanted(request, interpreter, home, secrets), job)
            await _pip(job)
            await finish_in_thread(asyncio.to_thread(_finish, job, secrets))
            await record_variables(home, request.variables, env, place)
            await finish_in_thread(asyncio.to_thread(home.rename, folder))
        finally:
            left = [scratch] if home == folder else [scratch, home]
            for path in left:
                await finish_in_thread(asyncio.to_thread(shutil.rmtree, path, ignore_errors=True))


@dataclass(frozen=True)
class _Job:
    spec: EnvironmentSpec
    request: CondaRequest
    home: Path
    scratch: Path
    env: Mapping[str, str]
    log: LogWriter
    place: Place


def request_of(spec: EnvironmentSpec) -> CondaRequest:
    """What ``spec`` asks conda for: by its file of the code, else by its lines.

    Raises:
        PreparationFailed: the file cannot be read, or is for other platforms.
    """
    for file in spec.files:
        if file.path == spec.origin:
            request = of_file(file.text, file.path, subdir())
            lines = of_lines(spec.requirements)
            return replace(
                request, specs=(*request.specs, *lines.specs), pip=(*request.pip, *lines.pip)
            )
    if spec.origin != "task":  # a requirements.txt or pyproject.toml: words of pip
        return CondaRequest(pip=spec.requirements)
    return of_lines(spec.requirements)


def subdir() -> str:
    """This machine's platform, as conda names it."""
    machine = own_interpreter().platform.rpartition("-")[2]
    return _SUBDIRS.get(machine, f"linux-{machine}")


def home_of(folder: Path) -> Path:
    """Where the environment in the making in ``folder`` will be.

    conda writes that path into files, binary ones among them, so it is installed there and moved
    aside: nobody takes it for finished, because it has no marker and its lock is held.
    """
    if folder.name.startswith(BUILDING):
        return folder.with_name(folder.name.removeprefix(BUILDING).rpartition("-")[0])
    return folder


def version_of(spec: EnvironmentSpec, request: CondaRequest) -> str:
    """The version of Python to install: the task's, the file's, else the agent's minor release.

    Raises:
        PreparationFailed: the task and the file ask for two different ones.
    """
    asked, said = spec.python, request.python
    if not asked and not said:
        if request.explicit:
            raise environment_failed(
                f"{spec.origin} lists explicit packages without python; add its URL to the list"
            )
        return ".".join(own_interpreter().version.split(".")[:2])
    if asked and said and not (matches(said, asked) or matches(asked, said)):
        raise environment_failed(
            f"{spec.origin} asks for Python {said} and the task for {asked}; change "
            f"execution.python_version, or python in {spec.origin}",
            field="execution.python_version",
            value=asked,
        )
    return max(asked, said, key=len)


def _wanted(
    request: CondaRequest, interpreter: Interpreter, home: Path, secrets: Secrets
) -> Wanted:
    return Wanted(
        prefix=home,
        channels=[secrets.in_url(name) for name in request.channels or (DEFAULT_CHANNEL,)],
        specs=() if request.explicit else request.specs_with_python(interpreter.version),
        explicit=[secrets.in_url(url) for url in request.explicit],
        subdir=subdir(),
    )


def _make_room(home: Path, scratch: Path) -> None:
    for path in (home, scratch):
        if path.exists():  # of a build that was killed, or of an environment that broke
            shutil.rmtree(path)
    scratch.mkdir(mode=0o700, parents=True)


async def _create(tool: CondaTool, wanted: Wanted, job: _Job) -> None:
    name, text = tool.request(wanted)
    path = job.scratch / name
    await asyncio.to_thread(path.write_text, text, "utf-8")
    say(job.log, f"{tool.name} makes the environment")
    finished = await job.place.run(
        tool.create(wanted, path), env=job.env, cwd=job.scratch, log=job.log
    )
    if finished.code != 0:
        raise environment_failed(
            f"{tool.name} could not install the conda packages of "
            f"{'this task' if job.spec.origin == 'task' else job.spec.origin} (channels: "
            f"{', '.join(job.request.channels or (DEFAULT_CHANNEL,))}); its last lines say why",
            finished.tail,
        )


async def _pip(job: _Job) -> None:
    """What conda has not: pip of the environment itself installs it."""
    spec, request = job.spec, job.request
    local = [package.requirement for package in spec.local if not package.by_name]
    lines = [_not_as_link(line) for line in request.pip]
    if not (lines or local):
        return
    asked = [*lines, *local, *spec.constraints, *spec.index_urls, *spec.find_links]
    async with project_copy(spec, job.scratch) as copy:
        secrets = await reveal(asked)
        pip = PipJob(spec, job.home, job.env, job.log, job.place, secrets)
        beside = copy / PurePosixPath(spec.origin).parent if spec.files else copy
        await install_with_pip(pip, lines, cwd=beside)
        await install_with_pip(pip, local, cwd=copy)


def _not_as_link(line: str) -> str:
    """A link into the code would end with the attempt, so ``-e ./lib`` is installed as a copy."""
    return re.sub(r"^(-e|--editable)[\s=]+", "", line)


def _finish(job: _Job, secrets: Secrets) -> None:
    if not (job.home / "bin" / "python").exists():
        raise environment_failed(
            f"{job.spec.origin} led to a conda environment without Python; add python to it"
        )
    relocate_scripts(job.home)
    for record in (job.home / "conda-meta").glob("*.json"):
        text = record.read_text("utf-8")
        for name, value in secrets.values.items():
            for written in (quote(value, safe=""), value):
                text = text.replace(written, f"${{{name}}}")
        if secrets.values:
            record.write_text(text, "utf-8")
