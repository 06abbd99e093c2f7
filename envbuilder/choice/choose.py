"""What a task's environment is made of: its lock file, its packages, or its requirements files."""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dray.envbuilder.choice import projects
from dray.envbuilder.choice.local_packages import tree_hash
from dray.envbuilder.choice.lockfiles import Locked
from dray.envbuilder.choice.origins import FROM, PROJECT, CodeFolder, Origin
from dray.envbuilder.choice.requirements import read_lines
from dray.envbuilder.choice.torch import (
    FAMILY,
    NONE,
    driver_version,
    extra_for,
    for_manager,
    torch_backend,
)
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.spec import EnvironmentSpec, LocalPackage, ProjectFile
from dray.envbuilder.tools.interpreters import own_interpreter
from dray.envbuilder.tools.surroundings import agent_variables
from dray.runtime.execution import Execution

_VERSION = re.compile(r"\d+\.\d+(\.\d+)?")


async def choose(execution: Execution, code: Path) -> EnvironmentSpec:
    """What to install for ``execution``, whose code lies in ``code``.

    The first of these that there is, unless ``execution.packages_from`` says which: the header of
    the script (PEP 723), the nearest lock file from the working directory up to the root,
    ``execution.packages``, the ``requirements.txt`` files from the root down to the script's
    folder, an ``environment.yml``, the nearest ``pyproject.toml``. A requirement on ``dray`` itself
    is left out: the agent puts its own on the child's path.

    Raises:
        PreparationFailed: what ``packages_from`` asks for is not there, or cannot be read.
    """
    _check(execution)
    try:
        return await asyncio.to_thread(_chosen, execution, code)
    except OSError as exc:
        raise environment_failed(f"the task's code cannot be read: {exc}", str(exc)) from exc


def _chosen(execution: Execution, root: Path) -> EnvironmentSpec:
    folder = CodeFolder(execution, root)
    if execution.environment_manager == "system":  # as it is, so nothing is looked for
        python = execution.python_version.strip()
        return EnvironmentSpec(python=python, manager="system", code=root)
    origin = folder.origin()
    spec = _spec(execution, origin, folder, root)
    if origin.locked is not None:
        return _with_extra(execution, spec)
    backend = torch_backend(
        execution.torch_backend.strip(),
        [*spec.requirements, *_asked_by_local(spec, folder)],
        has_indexes=bool(spec.index_urls or spec.find_links),
        node=agent_variables(),
        driver=driver_version(),
    )
    return replace(spec, torch_backend=for_manager(backend, spec.manager))


def _spec(execution: Execution, origin: Origin, folder: CodeFolder, root: Path) -> EnvironmentSpec:
    wanted, locked = origin.wanted, origin.locked or Locked([])
    limits = read_lines(execution.constraints, folder.code)
    indexes = _filled(execution.index_urls) or tuple(wanted.index_urls)
    find_links = (*_filled(execution.find_links), *wanted.find_links)
    beside = [*locked.local, *(link[2:] for link in find_links if link.startswith("./"))]
    return EnvironmentSpec(
        python=_python(execution, origin, folder),
        manager=execution.environment_manager or origin.manager,
        origin=origin.path,
        requirements=tuple(wanted.requirements),
        constraints=(*wanted.constraints, *limits.requirements, *limits.constraints),
        index_urls=indexes,
        find_links=find_links,
        build_flags=tuple(wanted.flags),
        files=_files(origin, locked, folder),
        local=(
            *(LocalPackage(p, tree_hash(root / p), e) for p, e in sorted(wanted.local.items())),
            *(LocalPackage(p, tree_hash(root / p), by_name=True) for p in dict.fromkeys(beside)),
        ),
        project=locked.project,
        extras=tuple(execution.extras) if origin.locked else (),
        groups=tuple(execution.groups) if origin.locked else (),
        code=root,
    )


def _filled(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text.strip() for text in texts if text.strip())


def _files(origin: Origin, locked: Locked, folder: CodeFolder) -> tuple[ProjectFile, ...]:
    header = [ProjectFile(*origin.header)] if origin.header else []
    return (*(_file(path, folder) for path in dict.fromkeys(locked.files)), *header)


def _file(path: str, folder: CodeFolder) -> ProjectFile:
    text = folder.read(path)
    if text is None:
        raise environment_failed(f"{path} of the code cannot be read as text")
    return ProjectFile(path, text)


def _python(execution: Execution, origin: Origin, folder: CodeFolder) -> str:
    """The version asked for: the task's, a ``.python-version``'s, else one that is required."""
    if said := execution.python_version.strip():
        return said
    for above in folder.upwards():
        text = (folder.read(posixpath.join(above, ".python-version")) or "").strip()
        if _VERSION.fullmatch(text):
            return text
    return projects.python_for(origin.requires_python, own_interpreter().version)


def _asked_by_local(spec: EnvironmentSpec, folder: CodeFolder) -> list[str]:
    """What packages of the code need, as far as it can be read without building them."""
    lines: list[str] = []
    for package in spec.local:
        path = posixpath.normpath(posixpath.join(package.path, PROJECT))
        text = folder.read(path)
        if text is not None:
            lines += projects.dependencies(projects.read_toml(text, path))
    return lines


def _with_extra(execution: Execution, spec: EnvironmentSpec) -> EnvironmentSpec:
    """A lock has one build of PyTorch for each of certain extras, as uv's own guide has it."""
    if spec.manager != "uv" or spec.extras or execution.torch_backend == NONE:
        return spec
    path = posixpath.normpath(posixpath.join(spec.project, PROJECT))
    text = next((file.text for file in spec.files if file.path == path), "")
    extras = projects.extras_about(projects.read_toml(text, path), FAMILY)
    extra = extra_for(extras, execution.torch_backend, driver_version())
    return replace(spec, extras=(extra,)) if extra else spec


def _check(execution: Execution) -> None:
    if execution.packages_from not in ("", *FROM):
        raise environment_failed(
            f"packages_from is {execution.packages_from!r}; it can be {', '.join(FROM)}, or empty "
            "for the first of these that there is",
            field="execution.packages_from",
            value=execution.packages_from,
        )
