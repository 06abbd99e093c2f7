"""What a lock file of the code is made of: the files it needs beside it, and local packages."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from dray.envbuilder.choice.projects import Table, read_toml, well_formed
from dray.envbuilder.choice.requirements import Code
from dray.envbuilder.failures import environment_failed

CONDA_LOCK = "conda-lock.yml"
#: Lock files that each manager reads, the best one first.
LOCKS: dict[str, tuple[str, ...]] = {
    "uv": ("uv.lock", "pylock.toml"),
    "pip": ("pylock.toml",),
    "poetry": ("poetry.lock",),
    "conda": (CONDA_LOCK, "environment.yml", "environment.yaml"),
}
#: Who installs what a lock file says, where nobody says who.
MANAGER_OF = {
    "uv.lock": "uv",
    "pylock.toml": "uv",
    "poetry.lock": "poetry",
    CONDA_LOCK: "conda",
    "environment.yml": "conda",
    "environment.yaml": "conda",
}
_PROJECT = "pyproject.toml"
_YAML_LOCAL = re.compile(
    r"^\s*-\s+[\"']?(?P<option>-r|--requirement|-c|--constraint|-e|--editable)?\s*=?\s*"
    r"(?P<path>\.{1,2}(?:/[^\s\"'\[]*)?|[\w./-]+\.(?:txt|whl|in))(?:\[[^\]]*\])?[\"']?\s*(?:#.*)?$"
)


@dataclass(frozen=True)
class Locked:
    """Paths relative to the root of the code.

    Attributes:
        files: what the manager reads, the lock first.
        local: folders and archives to build packages from.
        project: folder of the project that is installed.
        names: distributions that are locked.
    """

    files: list[str]
    local: list[str] = field(default_factory=list[str])
    project: str = "."
    names: frozenset[str] = frozenset()


def read_lock(path: str, code: Code) -> Locked:
    """What the lock file ``path`` is made of.

    Raises:
        PreparationFailed: it is broken, or names a package outside of the code.
    """
    with well_formed(path):
        return _READERS[posixpath.basename(path)](path, _text(path, code), code)


def read_script_lock(path: str, code: Code) -> Locked:
    """What the lock ``train.py.lock`` of a script is made of.

    Raises:
        PreparationFailed: as :func:`read_lock`.
    """
    with well_formed(path):
        packages = cast("list[Table]", _parsed(_text(path, code), path).get("package", []))
        sources = [_local_source(each, posixpath.dirname(path), path) for each in packages]
        places = [_present(place, path, code) for kind, place in sources if kind]
        return Locked([path], places, names=frozenset(str(each["name"]) for each in packages))


def _text(path: str, code: Code) -> str:
    text = code.read(path)
    if text is None:
        raise environment_failed(f"{path} of the code cannot be read")
    return text


@lru_cache(maxsize=16)
def _parsed(text: str, path: str) -> Table:
    """A large lock takes a tenth of a second; attempts of one task bring the same one."""
    return read_toml(text, path)


def _uv(path: str, text: str, code: Code) -> Locked:
    root = posixpath.dirname(path)
    beside = posixpath.join(root, _PROJECT)
    if not code.exists(beside):
        raise environment_failed(f"{path} lies without {beside}, which uv needs to read it")
    packages = cast("list[Table]", _parsed(text, path).get("package", []))
    sources = {str(each["name"]): _local_source(each, root, path) for each in packages}
    project = _project_of(root, code)
    reached = _reached(packages, sources, project)
    places = [(name, kind, place) for name, (kind, place) in sources.items() if kind]
    members = [
        posixpath.normpath(posixpath.join(place, _PROJECT))
        for _, kind, place in places
        if kind != "path"
    ]
    return Locked(
        files=list(dict.fromkeys([path, beside, *filter(code.exists, members)])),
        local=[
            _present(place, path, code)
            for name, kind, place in places
            if kind != "virtual" and name in reached
        ],
        project=project,
        names=frozenset(reached),
    )


def _local_source(package: Table, root: str, path: str) -> tuple[str, str]:
    """Kind and place of a package of the code; ("", "") for one that comes from elsewhere."""
    source = cast("dict[str, Any]", package.get("source", {}))
    for kind in ("virtual", "editable", "directory", "path"):
        if kind in source and "://" not in str(source[kind]):
            return kind, _inside(root, str(source[kind]), path)
    return "", ""


def _inside(root: str, relative: str, path: str) -> str:
    found = posixpath.normpath(posixpath.join(root, relative))
    if found.startswith(("..", "/")):
        raise environment_failed(
            f"{path} wants a package from {relative}, which is outside of the task's code and does "
            "not come along; run from a folder that holds both, or lock a published version"
        )
    return found


def _project_of(root: str, code: Code) -> str:
    """Folder of the nearest project, from the working directory up to the lock's folder."""
    folder = posixpath.normpath(code.working_dir)
    top = root or "."
    while folder != top and folder not in ("", "."):
        if code.exists(posixpath.join(folder, _PROJECT)):
            return folder
        folder = posixpath.dirname(folder) or "."
    return top


def _reached(packages: list[Table], sources: dict[str, tuple[str, str]], project: str) -> set[str]:
    """Names of what the project at ``project`` may install; everything where it has no name."""
    needs = {str(each["name"]): each for each in packages}
    starts = [name for name, (kind, place) in sources.items() if kind and place == project]
    waiting, seen = starts or list(needs), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in needs:
            seen.add(name)
            waiting += _needed_by(needs[name])
    return seen


def _needed_by(package: Table) -> Iterator[str]:
    lists: list[Any] = [package.get("dependencies", [])]
    for table in ("optional-dependencies", "dev-dependencies"):
        lists += cast("dict[str, Any]", package.get(table, {})).values()
    for needed in lists:
        for each in cast("list[Table]", needed):
            yield str(each["name"])


def _pylock(path: str, text: str, code: Code) -> Locked:
    root = posixpath.dirname(path)
    packages = cast("list[Table]", _parsed(text, path).get("packages", []))
    places: list[str] = []
    for package in packages:
        for kind in ("directory", "archive", "vcs"):
            place = cast("Table", package.get(kind, {})).get("path")
            if place is not None:
                places.append(_present(_inside(root, str(place), path), path, code))
    return Locked([path], places, names=frozenset(str(each["name"]) for each in packages))


def _poetry(path: str, text: str, code: Code) -> Locked:
    root = posixpath.dirname(path)
    beside = posixpath.join(root, _PROJECT)
    project = _parsed(_text(beside, code), beside)
    packages = cast("list[Table]", _parsed(text, path).get("package", []))
    places: list[str] = []
    for package in packages:
        source = cast("Table", package.get("source", {}))
        if source.get("type") in ("directory", "file"):
            places.append(_present(_inside(root, str(source["url"]), path), path, code))
    tool = cast("Table", cast("Table", project.get("tool", {})).get("poetry", {}))
    if tool.get("package-mode", True) and "build-system" in project:
        places.append(root or ".")
    names = frozenset(str(each["name"]) for each in packages)
    return Locked([path, beside], places, root or ".", names)


def _conda(path: str, text: str, code: Code) -> Locked:
    root = posixpath.dirname(path)
    files, places = [path], list[str]()
    for line in text.splitlines():
        found = _YAML_LOCAL.match(line)
        if found is None:
            continue
        place = _present(_inside(root, found["path"], path), path, code)
        is_list = found["option"] in ("-r", "--requirement", "-c", "--constraint")
        (files if is_list else places).append(place)
    return Locked(files, places, root or ".")


def _conda_lock(path: str, text: str, code: Code) -> Locked:  # noqa: ARG001
    return Locked([path], project=posixpath.dirname(path) or ".")


def _present(place: str, path: str, code: Code) -> str:
    if not code.exists(place):
        raise environment_failed(
            f"{path} names {place}, which is not in the code that came along; commit it, or have "
            "it in the snapshot"
        )
    return place


_READERS: dict[str, Callable[[str, str, Code], Locked]] = {
    "uv.lock": _uv,
    "pylock.toml": _pylock,
    "poetry.lock": _poetry,
    CONDA_LOCK: _conda_lock,
    "environment.yml": _conda,
    "environment.yaml": _conda,
}


def git_urls(lock: str) -> list[str]:
    """Repositories that a ``uv.lock`` or the lock of a script takes packages from."""
    packages = cast("Iterable[Table]", _parsed(lock, "uv.lock").get("package", []))
    found = (cast("Table", each.get("source", {})).get("git") for each in packages)
    return [str(url).partition("?")[0].partition("#")[0] for url in found if url]


def registries(lock: str) -> set[str]:
    """Package indexes that a ``uv.lock`` takes packages from."""
    packages = cast("Iterable[Table]", _parsed(lock, "uv.lock").get("package", []))
    found = (cast("Table", each.get("source", {})).get("registry") for each in packages)
    return {str(url) for url in found if url}
