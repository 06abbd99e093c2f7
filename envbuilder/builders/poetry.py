"""Environments made by Poetry, exactly as the code's ``poetry.lock`` says."""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from dray.envbuilder.builders.programs import first_program
from dray.envbuilder.builders.relocation import relocate_scripts
from dray.envbuilder.builders.venvs import make_venv
from dray.envbuilder.cache.environment import python_of
from dray.envbuilder.choice.local_packages import project_copy, version_variables
from dray.envbuilder.choice.projects import read_toml
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.place import Place
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.interpreters import Interpreter
from dray.envbuilder.tools.log import LogWriter, say
from dray.envbuilder.tools.process import Finished, finish_in_thread
from dray.envbuilder.tools.secrets import reveal
from dray.envbuilder.tools.surroundings import agent_variables, installer_variables
from dray.envbuilder.tools.uv_config import without_config
from dray.envbuilder.tools.uv_program import uv_program
from dray.runtime.config import SECRET_PREFIX
from dray.runtime.errors import PreparationFailed

LOCK = "poetry.lock"
#: Reads every lock file that Poetry 1.5 and later wrote.
_POETRY = "poetry>=2.1,<3"
#: What Poetry says of an index that wants a login.
_REFUSED = ("401", "403", "Unauthorized", "Forbidden", "authenticat", "Authoriz")
#: What Poetry says of a lock that its ``pyproject.toml`` has left behind.
_STALE = ("changed significantly since", "is not up to date with", "poetry.lock is not compatible")


@dataclass(frozen=True)
class _Job:
    spec: EnvironmentSpec
    interpreter: Interpreter
    folder: Path
    env: Mapping[str, str]
    log: LogWriter
    place: Place


class PoetryBuilder:
    """``uv venv``, then ``poetry install`` into it, from a copy of the project's two files."""

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
        project = _project_of(spec)
        env = installer_variables(agent_variables())
        await make_venv(interpreter, folder, env, log, place)
        job = _Job(spec, interpreter, folder, env, log, place)
        async with project_copy(spec, folder) as copy:
            job = replace(job, env={**env, **version_variables(spec, copy)})
            await _install(job, copy / project)
            await _install_local(job, copy)
        await finish_in_thread(asyncio.to_thread(relocate_scripts, folder))


def _project_of(spec: EnvironmentSpec) -> PurePosixPath:
    """The folder of the code, relative to its root, that has the lock and its project file.

    Raises:
        PreparationFailed: it has not both.
    """
    paths = {PurePosixPath(file.path) for file in spec.files}
    for path in sorted(paths):
        if path.name == LOCK:
            if path.with_name("pyproject.toml") in paths:
                return path.parent
            raise _no_lock(f"{path} has no pyproject.toml beside it")
    raise _no_lock("the task's code has no poetry.lock")


def _no_lock(why: str) -> Exception:
    return environment_failed(
        f"environment_manager is poetry, and {why}; run `poetry lock` and add both files "
        "to the repository, or set execution.environment_manager to uv",
        field="execution.environment_manager",
        value="poetry",
    )


async def _install(job: _Job, project: Path) -> None:
    poetry = await _poetry(job)
    options = [f"--with={','.join(job.spec.groups)}"] if job.spec.groups else []
    options += [f"--extras={extra}" for extra in job.spec.extras]
    if job.spec.index_urls:
        say(
            job.log, "poetry takes packages from where its lock found them; index_urls are not used"
        )
    logins = login_variables(job.spec)
    known = await _known(logins)
    finished = await job.place.run(
        [*poetry, "install", "--no-root", "--no-ansi", *options, *job.spec.build_flags],
        env={**job.env, **_settings(job.folder), **known},
        cwd=project,
        log=job.log,
    )
    if finished.code != 0:
        raise _failure(finished, job.spec, [name for name in logins if name not in known])


def _settings(folder: Path) -> dict[str, str]:
    """Poetry installs into the environment it believes to be activated, and asks nobody."""
    return {
        "VIRTUAL_ENV": str(folder),
        "POETRY_VIRTUALENVS_CREATE": "false",
        "POETRY_VIRTUALENVS_IN_PROJECT": "false",
        "POETRY_VIRTUALENVS_USE_POETRY_PYTHON": "false",
        "POETRY_KEYRING_ENABLED": "false",
        "POETRY_NO_INTERACTION": "1",
    }


async def _poetry(job: _Job) -> list[str]:
    """The command that runs Poetry: the node's, else one that uv gets and keeps in its cache."""
    at_home = f"{job.env.get('HOME', '/root')}/.local/bin/poetry"
    found = await first_program(["poetry", at_home], job.env, job.place)
    if found is not None:
        return [found]
    uv = [uv_program(), "tool", "run"]
    wanted = ["--python", str(job.interpreter.path), "--from", _POETRY, "poetry"]
    offline = [*uv, "--offline", *wanted]
    finished = await job.place.run([*offline, "--version"], env=job.env)
    if finished.code == 0:
        return offline
    say(job.log, "there is no Poetry here; getting it from the package indexes")
    finished = await job.place.run([*uv, *wanted, "--version"], env=job.env, log=job.log)
    if finished.code != 0:
        raise environment_failed(
            "there is no Poetry on this node, and uv could not get it; install it there "
            "(`uv tool install poetry`)",
            finished.tail,
        )
    return offline


def login_variables(spec: EnvironmentSpec) -> list[str]:
    """The names under which Poetry, and the node's secrets, have the project's index logins."""
    for file in spec.files:
        if PurePosixPath(file.path).name == "pyproject.toml":
            poetry = read_toml(file.text, file.path).get("tool", {}).get("poetry", {})
            names = [str(source.get("name", "")) for source in poetry.get("source", [])]
            return [
                f"POETRY_HTTP_BASIC_{re.sub('[^A-Z0-9]', '_', name.upper())}_{part}"
                for name in names
                for part in ("USERNAME", "PASSWORD")
            ]
    return []


async def _known(names: list[str]) -> dict[str, str]:
    """Which of the secrets ``names`` this node has; an index without login needs none."""
    known: dict[str, str] = {}
    for name in names:
        try:
            known.update((await reveal([f"${{{name}}}"])).values)
        except PreparationFailed:
            continue  # told if Poetry is refused for it
    return known


def _failure(finished: Finished, spec: EnvironmentSpec, unknown: list[str]) -> Exception:
    """Poetry's failure, with what to do about the two that happen most."""
    if any(words in finished.tail for words in _STALE):
        return environment_failed(
            f"{spec.origin} does not fit the pyproject.toml beside it; run `poetry lock` there "
            "and commit both",
            finished.tail,
        )
    hint = ""
    if unknown and any(words in finished.tail for words in _REFUSED):
        wanted = " and ".join(f"{SECRET_PREFIX}{name}" for name in unknown)
        hint = f"; an index wants a login: set {wanted} where this node's agent is started"
    return environment_failed(
        f"Poetry could not install {spec.origin}; its last lines say why{hint}", finished.tail
    )


async def _install_local(job: _Job, sources: Path) -> None:
    """Packages of the code from the copy, and not as links into it: it goes away."""
    links = {posixpath.normpath(link) for link in job.spec.find_links}
    packages = [sources / p.path for p in job.spec.local if p.path not in links]
    if not packages:
        return
    finished = await job.place.run(
        [
            *[uv_program(), "pip", "install", "--no-progress", "--no-deps", "--reinstall"],
            *["--python", python_of(job.folder), *packages],
        ],
        env=without_config(job.env),
        cwd=sources,
        log=job.log,
    )
    if finished.code != 0:
        raise environment_failed(
            "the packages of the task's own code could not be installed", finished.tail
        )
