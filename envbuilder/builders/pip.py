"""Environments made by pip: the one that came with the interpreter, inside the environment."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.builders.pipconfig import pip_variables
from dray.envbuilder.builders.relocation import relocate_scripts
from dray.envbuilder.builders.sources import copy_sources
from dray.envbuilder.builders.venvs import make_venv
from dray.envbuilder.environment import python_of
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.interpreters import Interpreter
from dray.envbuilder.log import LogWriter, NoLog, say
from dray.envbuilder.place import Place
from dray.envbuilder.process import finish_in_thread
from dray.envbuilder.secrets import Secrets, git_logins, reveal
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.surroundings import agent_variables, installer_variables
from dray.envbuilder.uvtool import uv_program

#: What the interpreter brings along for its environments, as ``ensurepip`` would install it. Read
#: from the wheels themselves: Debian forbids the call and keeps the wheels elsewhere, or has none.
_BUNDLED = """
import json, os, sysconfig
folders = [sysconfig.get_config_var("WHEEL_PKG_DIR")]
try:
    import ensurepip
    folders.append(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"))
except ImportError:
    pass
for folder in filter(None, folders):
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = sorted({n.split("-")[0] for n in names if n.endswith(".whl")} & {"pip", "setuptools"})
    if "pip" in found:
        print(json.dumps([folder, *found]))
        break
"""

#: Where local packages are built, in the environment in the making.
_SOURCES = ".sources"

_PIP_ITSELF = re.compile(r"pip\s*([<>=!~\[;@ ].*)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Job:
    spec: EnvironmentSpec
    folder: Path
    env: Mapping[str, str]
    log: LogWriter
    place: Place
    secrets: Secrets

    @property
    def python(self) -> Path:
        return python_of(self.folder)


class PipBuilder:
    """An environment that has pip, as ``python -m venv`` makes it, and then ``pip install``."""

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
        env = installer_variables(agent_variables())
        await make_venv(interpreter, folder, env, log, place)
        await bring_pip(folder, env, log, place)
        if spec.requirements or spec.local:
            lines = [*spec.requirements, *spec.constraints, *spec.index_urls, *spec.find_links]
            await _install(_Job(spec, folder, env, log, place, await reveal(lines)))
        await finish_in_thread(asyncio.to_thread(relocate_scripts, folder))


async def bring_pip(folder: Path, env: Mapping[str, str], log: LogWriter, place: Place) -> None:
    """Put pip into the environment in ``folder``: its interpreter's own, else an index's.

    Raises:
        PreparationFailed: the interpreter came without pip, and no index has it.
    """
    python = python_of(folder)
    told = await place.run([python, "-I", "-B", "-c", _BUNDLED], env=env, keep_stdout=True)
    install = [uv_program(), "pip", "install", "--quiet", "--no-progress", "--python", python]
    if told.code == 0 and told.stdout.strip():
        wheels, *names = json.loads(told.stdout)
        offline = ["--offline", "--no-index", "--find-links", wheels]
        finished = await place.run([*install, *offline, *names], env=env, log=NoLog())
        if finished.code == 0:
            return
    say(log, "the interpreter came without pip (Debian: python3-venv); taking it from an index")
    finished = await place.run([*install, "--offline", "pip"], env=env, log=NoLog())
    if finished.code != 0:
        finished = await place.run([*install, "pip"], env=env, log=log)
    if finished.code != 0:
        raise environment_failed(
            "this interpreter came without pip and no package index of the node has it; install "
            "Debian's python3-venv there, or set execution.environment_manager to uv",
            finished.tail,
        )


async def _install(job: _Job) -> None:
    """Everything the task asks for; a pip that it asks for comes first, and does the rest."""
    spec = job.spec
    await _run_pip(job, [line for line in spec.requirements if _PIP_ITSELF.fullmatch(line)])
    rest = [line for line in spec.requirements if not _PIP_ITSELF.fullmatch(line)]
    if not spec.local:
        await _run_pip(job, rest)
        return
    sources = job.folder / _SOURCES
    try:
        await finish_in_thread(asyncio.to_thread(copy_sources, spec, sources))
        locals_ = [package.requirement for package in spec.local]
        if any("--hash=" in line for line in rest):  # then pip takes nothing that has no hash
            await _run_pip(job, rest)
            await _run_pip(job, locals_, ["--no-deps"], sources)
        else:
            await _run_pip(job, [*rest, *locals_], [], sources)
    finally:
        await finish_in_thread(asyncio.to_thread(shutil.rmtree, sources, ignore_errors=True))


async def _run_pip(
    job: _Job, lines: list[str], options: Sequence[str] = (), cwd: Path | None = None
) -> None:
    """``pip install`` of requirement ``lines``, if there are any.

    Raises:
        PreparationFailed: with pip's last lines as evidence.
    """
    if not lines:
        return
    spec = job.spec
    pip = [job.python, "-I", "-m", "pip"]
    told = await job.place.run([*pip, "config", "list"], env=job.env, keep_stdout=True)
    env = pip_variables(job.env, told.stdout, spec, job.secrets)
    asked, git = git_logins([*lines, *spec.constraints], job.secrets, job.env)
    asked = [job.secrets.references(line) for line in asked]  # pip itself fills them in
    files = ["--requirement", await _written(job.folder / "requirements.txt", asked[: len(lines)])]
    if spec.constraints:
        limits = await _written(job.folder / "constraints.txt", asked[len(lines) :])
        files += ["--constraint", limits]
    finished = await job.place.run(
        [
            *[*pip, "install", "--no-compile", "--progress-bar=off", "--no-warn-script-location"],
            *files,
            *options,
            *spec.build_flags,
        ],
        env={**env, **git, **job.secrets.variables()},
        cwd=cwd or job.folder,
        log=job.log,
    )
    if finished.code != 0:
        raise environment_failed(
            f"pip could not install the packages of this task ({len(lines)} requirements); "
            "its last lines say why",
            finished.tail,
        )


async def _written(path: Path, lines: Sequence[str]) -> Path:
    await asyncio.to_thread(path.write_text, "".join(f"{line}\n" for line in lines), "utf-8")
    return path
