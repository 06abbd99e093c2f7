"""What project files and script headers say is to be installed: pyproject.toml, PEP 723."""

from __future__ import annotations

import importlib
import posixpath
import re
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from dray.envbuilder.choice.requirements import Wanted
from dray.envbuilder.failures import environment_failed

_HEADER = re.compile(r"(?m)^# /// script[ \t]*$\s(?P<content>(^#(| .*)$\s)+)^# ///[ \t]*$")
_BOUND = re.compile(r"(?P<operator>[<>=~]=|<)\s*(?P<major>\d+)\.(?P<minor>\d+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Table = dict[str, Any]


@dataclass(frozen=True)
class Declared:
    """What a project or a script says it needs.

    Attributes:
        lines: requirement lines; those of its sources name a URL or a path of the code.
        wanted: what else it asks for: package indexes.
        requires_python: such as ``>=3.11``.
    """

    lines: list[str]
    wanted: Wanted = field(default_factory=Wanted)
    requires_python: str = ""


def read_toml(text: str, path: str) -> Table:
    """``text`` of the file ``path`` as tables.

    Raises:
        PreparationFailed: it is not valid TOML.
    """
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    toml: Any = importlib.import_module(name)
    try:
        return cast("Table", toml.loads(text))
    except ValueError as exc:
        raise environment_failed(f"{path} of the code is not valid TOML: {exc}") from exc


@contextmanager
def well_formed(path: str) -> Generator[None]:
    """For reading ``path``, which is valid TOML and may yet be anything.

    Raises:
        PreparationFailed: a table or a value is not what it should be.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, StopIteration) as exc:
        raise environment_failed(
            f"{path} of the code does not have the form that it should: "
            f"{type(exc).__name__}: {exc}; make it anew with the tool that wrote it"
        ) from exc


def script_header(text: str) -> str | None:
    """The PEP 723 block of a script, comment marks and all; None: it has none."""
    found = _HEADER.search(text) if "# /// script" in text else None
    return None if found is None else found[0]


def declared_by_script(header: str, path: str) -> Declared:
    """What the header of the script ``path`` says.

    Raises:
        PreparationFailed: it is not valid TOML.
    """
    lines = [line[2:] for line in header.splitlines()[1:-1]]
    table = read_toml("\n".join(lines), f"the script header of {path}")
    return Declared(
        _with_sources(_texts(table.get("dependencies")), table, posixpath.dirname(path)),
        _indexes(table),
        str(table.get("requires-python", "")),
    )


def is_package(pyproject: Table) -> bool:
    """Whether the project itself is something to install, as uv decides it."""
    said = _table(pyproject, "tool", "uv").get("package")
    return said if isinstance(said, bool) else "build-system" in pyproject


def declared_by_project(
    pyproject: Table, path: str, extras: Iterable[str], groups: Iterable[str]
) -> Declared:
    """What a ``pyproject.toml`` says that is no package and has no lock.

    Raises:
        PreparationFailed: it has no such extra or group; says which it has.
    """
    project = _table(pyproject, "project")
    lines = dependencies(pyproject)
    for extra in extras:
        lines += _member(_table(project, "optional-dependencies"), extra, "extra", path)
    lines += group_lines(pyproject, path, groups)
    return Declared(
        _with_sources(lines, pyproject, posixpath.dirname(path)),
        _indexes(pyproject),
        str(project.get("requires-python", "")),
    )


def dependencies(pyproject: Table) -> list[str]:
    """Requirement lines of a project itself, as they stand there."""
    return _texts(_table(pyproject, "project").get("dependencies"))


def python_for(requires: str, own: str) -> str:
    """The version to ask for where only ``requires`` (``>=3.12``) is known; empty: ``own`` will do.

    The oldest one that is allowed: packages that were chosen for it are there for it.
    """
    bounds = [
        (found["operator"], (int(found["major"]), int(found["minor"])))
        for found in _BOUND.finditer(requires)
    ]
    have = tuple(int(number) for number in own.split(".")[:2])
    lowest = max((at for operator, at in bounds if operator in (">=", "~=", "==")), default=have)
    beyond = any(have > at for operator, at in bounds if operator in ("==", "<="))
    beyond = beyond or any(have >= at for operator, at in bounds if operator == "<")
    return f"{lowest[0]}.{lowest[1]}" if (have < lowest or beyond) and lowest != have else ""


def group_lines(pyproject: Table, path: str, groups: Iterable[str]) -> list[str]:
    """Requirement lines of dependency groups, those that they include among them.

    Raises:
        PreparationFailed: there is no such group, or they include each other.
    """
    return [line for group in groups for line in _group(pyproject, path, group, ())]


def _group(pyproject: Table, path: str, name: str, inside: tuple[str, ...]) -> Iterator[str]:
    if name in inside:
        raise environment_failed(f"dependency groups of {path} include each other: {inside}")
    tables = _table(pyproject, "dependency-groups")
    for entry in cast("list[Any]", _value(tables, name, "dependency group", path)):
        if isinstance(entry, str):
            yield entry
        else:
            yield from _group(pyproject, path, str(entry["include-group"]), (*inside, name))


def extras_about(pyproject: Table, packages: Iterable[str]) -> list[str]:
    """Extras of a project that ask for one of ``packages``."""
    wanted = set(packages)
    optional = _table(pyproject, "project", "optional-dependencies")
    return [extra for extra, lines in optional.items() if wanted & {*names_of(_texts(lines))}]


def names_of(lines: Iterable[str]) -> Iterator[str]:
    """Names of the distributions that requirement lines begin with, as indexes compare them."""
    for line in lines:
        found = _NAME.match(line)
        if found is not None:
            yield re.sub(r"[-_.]+", "-", found[0]).lower()


def _with_sources(lines: list[str], table: Table, folder: str) -> list[str]:
    """``lines`` with the URL or path that ``[tool.uv.sources]`` names for them."""
    named = _table(table, "tool", "uv", "sources")
    sources = {next(names_of([name])): named[name] for name in named}
    return [_with_source(line, sources, folder) for line in lines]


def _with_source(line: str, sources: Mapping[str, Any], folder: str) -> str:
    found = re.match(
        r"(?P<head>[A-Za-z0-9][\w.-]*\s*(\[[^\]]*\])?)(?P<rest>[^;]*)(?P<marker>;.*)?", line
    )
    source = sources.get(next(names_of([line]), ""))
    if found is None or not isinstance(source, dict):
        return line
    url = _url_of(cast("Table", source), folder)
    marker = f" {found['marker']}" if found["marker"] else ""
    return f"{found['head'].strip()} @ {url}{marker}" if url else line


def _url_of(source: Table, folder: str) -> str:
    """What ``[tool.uv.sources]`` stands for; empty where it is about an index."""
    if "git" in source:
        revision = source.get("rev") or source.get("tag") or source.get("branch") or ""
        inside = f"#subdirectory={source['subdirectory']}" if "subdirectory" in source else ""
        return f"git+{source['git']}{'@' if revision else ''}{revision}{inside}"
    if "path" in source:
        return f"./{posixpath.normpath(posixpath.join(folder, str(source['path'])))}"
    return str(source.get("url", ""))


def _indexes(table: Table) -> Wanted:
    wanted = Wanted()
    uv = _table(table, "tool", "uv")
    for index in cast("list[Table]", uv.get("index", [])):
        if index.get("default"):
            wanted.default_index = str(index["url"])
        else:
            wanted.extra_indexes.append(str(index["url"]))
    wanted.default_index = str(uv.get("index-url", wanted.default_index))
    wanted.extra_indexes += _texts(uv.get("extra-index-url"))
    return wanted


def _member(table: Table, name: str, kind: str, path: str) -> list[str]:
    return _texts(_value(table, name, kind, path))


def _value(table: Table, name: str, kind: str, path: str) -> Any:
    by_name = {next(names_of([key]), key): value for key, value in table.items()}
    wanted = next(names_of([name]), name)
    if wanted not in by_name:
        raise environment_failed(
            f"{path} has no {kind} {name!r}; it has {', '.join(table) or 'none'}",
            field=f"execution.{'extras' if kind == 'extra' else 'groups'}",
            value=name,
        )
    return by_name[wanted]


def _texts(value: Any) -> list[str]:
    return [str(each) for each in cast("list[Any]", value or [])]


def _table(table: Table, *names: str) -> Table:
    for name in names:
        inner = table.get(name)
        table = cast("Table", inner) if isinstance(inner, dict) else {}
    return table
