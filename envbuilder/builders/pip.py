"""Environments made by pip: the one that came with the interpreter, inside the environment."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from dray.envbuilder.builders.pipconfig import pip_variables
from dray.envbuilder.builders.relocation import relocate_scripts
from dray.envbuilder.builders.venvs import make_venv
from dray.envbuilder.cache.environment import python_of
from dray.envbuilder.choice.local_packages import project_copy, version_variables
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.git.logins import git_logins
from dray.envbuilder.place import Place
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.interpreters import Interpreter
from dray.envbuilder.tools.log import LogWriter, NoLog, say
from dray.envbuilder.tools.process import finish_in_thread
from dray.envbuilder.tools.secrets import Secrets, reveal
from dray.envbuilder.tools.surroundings import agent_variables, installer_variables
from dray.envbuilder.tools.uv_config import with_node_config, without_config
from dray.envbuilder.tools.uv_program import uv_program

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


#: The first that installs what a ``pylock.toml`` says.
_READS_LOCKS = "pip>=26.1"
_PIP_ITSELF = re.compile(r"pip\s*([<>=!~\[;@ ].*)?", re.IGNORECASE)


@dataclass(frozen=True)
class PipJob:
    """An environment that has pip, and what it is to get."""

    spec: EnvironmentSpec
    folder: Path
    env: Mapping[str, str]
    log: LogWriter
    place: Place
    secrets: Secrets

    @property
    def python(self) -> Path:
        """Its interpreter, which runs its pip."""
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
        locks = [file.path for file in spec.files if PurePosixPath(file.path).match("pylock*.toml")]
        await bring_pip(folder, env, log, place, wanted=_READS_LOCKS if locks else "")
        if spec.requirements or spec.local or locks:
            lines = [*spec.requirements, *spec.constraints, *spec.index_urls, *spec.find_links]
            await _install(PipJob(spec, folder, env, log, place, await reveal(lines)), locks)
        await finish_in_thread(asyncio.to_thread(relocate_scripts, folder))


async def bring_pip(
    folder: Path, env: Mapping[str, str], log: LogWriter, place: Place, *, wanted: str = ""
) -> None:
    """Put pip into the environment in ``folder``: its interpreter's own, else an index's.

    Args:
        wanted: a requirement on pip that the interpreter's own does not meet; empty: none.

    Raises:
        PreparationFailed: the interpreter came without pip, and no index has it.
    """
    python = python_of(folder)
    env = without_config(await asyncio.to_thread(with_node_config, env))
    install = [uv_program(), "pip", "install", "--quiet", "--no-progress", "--python", python]
    told = await place.run([python, "-I", "-B", "-c", _BUNDLED], env=env, keep_stdout=True)
    if not wanted and told.code == 0 and told.stdout.strip():
        wheels, *names = json.loads(told.stdout)
        offline = ["--offline", "--no-index", "--find-links", wheels]
        finished = await place.run([*install, *offline, *names], env=env, log=NoLog())
        if finished.code == 0:
            return
    if wanted:
        say(log, f"pylock.toml needs {wanted}; taking it from an index")
    else:
        say(log, "the interpreter came without pip (Debian: python3-venv); taking an index's")
    wanted = wanted or "pip"
    finished = await place.run([*install, "--offline", wanted], env=env, log=NoLog())
    if finished.code != 0:
        finished = await place.run([*install, wanted], env=env, log=log)
    if finished.code != 0:
        raise environment_failed(
            f"no package index of the node has {wanted}, and this interpreter came without it; "
            "install Debian's python3-venv there, or set execution.environment_manager to uv",
            finished.tail,
        )


async def _install(job: PipJob, locks: list[str]) -> None:
    """Everything the task asks for; a pip that it asks for comes first, and does the rest."""
    spec = job.spec
    await install_with_pip(job, [line for line in spec.requirements if _PIP_ITSELF.fullmatch(line)])
    rest = [line for line in spec.requirements if not _PIP_ITSELF.fullmatch(line)]
    local = [package.requirement for package in spec.local if not package.by_name]
    if not spec.local and not locks:
        await install_with_pip(job, rest)
        return
    async with project_copy(spec, job.folder) as copy:
        job = replace(job, env={**job.env, **version_variables(spec, copy)})
        for path in locks:
            extras = f"[{','.join(spec.extras)}]" if spec.extras else ""
            await install_with_pip(job, [], ["--requirement", f"{copy / path}{extras}"], copy)
        if any("--hash=" in line for line in rest):  # then pip takes nothing that has no hash
            await install_with_pip(job, rest, cwd=copy)
            await install_with_pip(job, local, ["--no-deps"] if local else [], copy)
        else:
            await install_with_pip(job, [*rest, *local], cwd=copy)


async def install_with_pip(
    job: PipJob, lines: list[str], options: Sequence[str] = (), cwd: Path | None = None
) -> None:
    """``pip install`` of requirement ``lines``, if there are any.

    Raises:
        PreparationFailed: with pip's last lines as evidence.
    """
    if not (lines or options):
        return
    spec = job.spec
    pip = [job.python, "-I", "-m", "pip"]
    told = await job.place.run([*pip, "config", "list"], env=job.env, keep_stdout=True)
    env = pip_variables(job.env, told.stdout, spec, job.secrets)
    asked, git = await git_logins([*lines, *spec.constraints], job.secrets, job.env)
    asked = [job.secrets.references(line) for line in asked]  # pip itself fills them in
    files: list[str | Path] = []
    if lines:
        wanted = await _written(job.folder / "requirements.txt", asked[: len(lines)])
        files += ["--requirement", wanted]
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
            f"pip could not install the packages of {_named(spec)}; its last lines say why",
            finished.tail,
        )


def _named(spec: EnvironmentSpec) -> str:
    return "this task" if spec.origin == "task" else spec.origin


async def _written(path: Path, lines: Sequence[str]) -> Path:
    await asyncio.to_thread(path.write_text, "".join(f"{line}\n" for line in lines), "utf-8")
    return path
