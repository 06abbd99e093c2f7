"""Packages whose source is part of the task's code: their hash, and the copy they are built from.

Installing one leaves files beside its source, and a link to it would end with the attempt. So it is
built from a copy, and the hash of its tree is in the key: changed code is another environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from dray.envbuilder.choice.projects import read_toml
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.process import finish_in_thread

#: What tools leave in a folder; no part of a package.
_LEFT_OUT = frozenset({".git", ".hg", ".svn", "__pycache__", ".venv", ".tox", ".nox"})
_PIECE_BYTES = 1 << 20


def tree_hash(path: Path) -> str:
    """sha256 of the file ``path``, or of all names, modes and contents below it; for a thread."""
    hashed = hashlib.sha256()
    if not path.is_dir():
        _add_file(hashed.update, path)
        return hashed.hexdigest()
    for relative, entry in _entries(path, ""):
        if entry.is_symlink():
            hashed.update(f"link\0{relative}\0{os.readlink(entry)}\0".encode())
            continue
        executable = bool(entry.stat().st_mode & 0o100)
        hashed.update(f"file\0{relative}\0{executable}\0{entry.stat().st_size}\0".encode())
        _add_file(hashed.update, entry)
    return hashed.hexdigest()


def _entries(folder: Path, inside: str) -> Iterator[tuple[str, Path]]:
    for name in sorted(os.listdir(folder)):
        if name in _LEFT_OUT:
            continue
        entry = folder / name
        relative = f"{inside}{name}"
        if entry.is_dir() and not entry.is_symlink():
            yield from _entries(entry, f"{relative}/")
        elif entry.is_symlink() or entry.is_file():
            yield relative, entry


def _add_file(add: Callable[[bytes], object], path: Path) -> None:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            add(piece)


@asynccontextmanager
async def project_copy(spec: EnvironmentSpec, folder: Path) -> AsyncGenerator[Path]:
    """The files and local packages of ``spec`` at their relative paths, in a copy of the code.

    It is ``folder/.project`` while it is needed, so that whoever removes the environment in the
    making removes it, too.
    """
    copy = folder / ".project"
    try:
        await finish_in_thread(asyncio.to_thread(_lay_out, spec, copy))
        yield copy
    finally:
        await finish_in_thread(asyncio.to_thread(shutil.rmtree, copy, ignore_errors=True))


def _lay_out(spec: EnvironmentSpec, copy: Path) -> None:
    copy.mkdir(parents=True, exist_ok=True)
    for package in spec.local:
        source = _source_of(spec, package.path)
        target = copy / package.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignored = shutil.ignore_patterns(*_LEFT_OUT)
            shutil.copytree(source, target, symlinks=True, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)
    for file in spec.files:
        path = copy / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, "utf-8")


def _source_of(spec: EnvironmentSpec, path: str) -> Path:
    if spec.code is None or not (spec.code / path).exists():
        raise environment_failed(
            f"the environment needs {path} of the task's code, which is not here to build from"
        )
    return spec.code / path


def version_variables(spec: EnvironmentSpec, copy: Path) -> dict[str, str]:
    """For projects whose version git tells: a copy has no git, so their builds are told one.

    Each variable is about one package, so that nothing else is built under that version.
    """
    variables: dict[str, str] = {}
    for package in spec.local:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            path = copy / package.path / "pyproject.toml"
            project = read_toml(path.read_text("utf-8"), str(path)).get("project", {})
            if "version" in project.get("dynamic", []):
                name = re.sub(r"[-_.]+", "_", str(project["name"])).upper()
                variables[f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{name}"] = "0.0.0"
    return variables
