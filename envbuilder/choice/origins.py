"""Find what says what to install: a script's header, a lock, the task's packages, or the code."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dray.envbuilder.choice import projects
from dray.envbuilder.choice.lockfiles import (
    CONDA_LOCK,
    LOCKS,
    MANAGER_OF,
    Locked,
    read_lock,
    read_script_lock,
)
from dray.envbuilder.choice.requirements import Code, Wanted, exists_in, read_files, read_lines
from dray.envbuilder.failures import environment_failed
from dray.runtime.errors import PreparationFailed
from dray.runtime.execution import Execution

#: Words of ``Execution.packages_from``.
FROM = ("lock", "task", "repository")
PROJECT = "pyproject.toml"
_REQUIREMENTS = "requirements.txt"
#: Managers that read a script's header.
_READ_HEADERS = ("", "uv", "pip")
#: Locks that say every version; they come before what a task itself names.
_EXACT = (*LOCKS["uv"], *LOCKS["poetry"], CONDA_LOCK)
#: More of a script is not looked at: a header stands above the code.
_SCRIPT_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True)
class Origin:
    """What says what to install.

    Attributes:
        path: a file of the code, or ``task``.
        wanted: lines of it, those of its lock excepted.
        locked: its lock, if it is one.
        header: ``(path, text)`` of the header of a script that has a lock.
        requires_python: such as ``>=3.11``; empty: it does not say.
        project: folder of a project to install as a package; empty: none.
    """

    path: str
    wanted: Wanted
    locked: Locked | None = None
    header: tuple[str, str] | None = None
    requires_python: str = ""
    project: str = ""

    @property
    def manager(self) -> str:
        """Who installs it where nobody says who."""
        return MANAGER_OF.get(posixpath.basename(self.path), "uv")


class CodeFolder:
    """The code of a task as far as it says what to install; reads the disk, so for a thread."""

    def __init__(self, execution: Execution, root: Path) -> None:
        self._execution = execution
        self._root = root
        self._manager = execution.environment_manager
        self._working_dir = _inside(execution.working_dir)
        self.code = Code(self.read, exists_in(root), self._working_dir)

    def origin(self) -> Origin:
        """The first that there is; see :func:`dray.envbuilder.choice.choose.choose`.

        Raises:
            PreparationFailed: what ``packages_from`` asks for is not there, or cannot be read.
        """
        asked = self._execution.packages_from
        if asked in ("", "lock") and (found := self._header() or self._lock()):
            return found
        if asked == "lock":
            raise self._nothing_found(self._looked_for_locks())
        if asked == "task" or (not asked and self._names_packages()):
            return Origin("task", self._packages())
        found = self._requirements_files() or self._conda_file() or self._project()
        if found is None and asked == "repository":
            paths = [*map(_at(_REQUIREMENTS), self._downwards())]
            raise self._nothing_found([*paths, *map(_at(PROJECT), self.upwards())])
        return found or Origin("task", Wanted())

    def upwards(self) -> list[str]:
        """Folders from the working directory up to the root, which is the empty text."""
        return _parents(self._working_dir)

    def read(self, path: str, limit: int = -1) -> str | None:
        """Text of a file; None: there is none, whoever needs it says so."""
        try:
            with (self._root / path).open("rb") as file:
                return file.read(limit).decode("utf-8-sig", "replace" if limit >= 0 else "strict")
        except (OSError, UnicodeDecodeError):
            return None

    def _names_packages(self) -> bool:
        """Whether the task lists any; a comment says what is uncertain and asks for nothing."""
        lines = (line.strip() for line in self._execution.packages)
        return any(line and not line.startswith("#") for line in lines)

    def _packages(self) -> Wanted:
        """The task's lines; conda has words of its own, which its builder reads."""
        if self._manager == "conda":
            return Wanted(requirements=[line for line in self._execution.packages if line.strip()])
        return read_lines(self._execution.packages, self.code)

    def _header(self) -> Origin | None:
        """What the script says itself, as uv takes it before the project around it."""
        if self._manager not in _READ_HEADERS or self._execution.binary:
            return None
        path = self._script()
        text = self.read(path, _SCRIPT_LIMIT_BYTES) if path.endswith(".py") else None
        header = None if text is None else projects.script_header(text)
        if header is None:
            return None
        lock = f"{path}.lock"
        if self._manager != "pip" and self.code.exists(lock):
            # The header alone goes into the key: the rest of the script may change.
            locked = read_script_lock(lock, self.code)
            return Origin(lock, Wanted(), locked, header=(path, header))
        with projects.well_formed(path):
            declared = projects.declared_by_script(header, path)
        return self._declared(path, declared)

    def _lock(self) -> Origin | None:
        names = LOCKS.get(self._manager, ()) if self._manager else _EXACT
        found = self._nearest_lock(names)
        return found or (self._conda_file() if self._execution.packages_from else None)

    def _nearest_lock(self, names: Iterable[str]) -> Origin | None:
        for folder in self.upwards():
            for path in (posixpath.join(folder, name) for name in names):
                if self.code.exists(path):
                    return Origin(path, Wanted(), read_lock(path, self.code))
        return None

    def _conda_file(self) -> Origin | None:
        """Versions in it are mostly open, so what a task itself names is more exact."""
        return None if self._manager else self._nearest_lock(LOCKS["conda"])

    def _requirements_files(self) -> Origin | None:
        paths = [p for p in map(_at(_REQUIREMENTS), self._downwards()) if self.code.exists(p)]
        return Origin(paths[-1], read_files(paths, self.code)) if paths else None

    def _project(self) -> Origin | None:
        for path in map(_at(PROJECT), self.upwards()):
            text = self.read(path)
            if text is not None:
                project = projects.read_toml(text, path)
                if "project" in project or "build-system" in project:
                    with projects.well_formed(path):
                        return self._of_project(path, project)
        return None

    def _of_project(self, path: str, project: projects.Table) -> Origin:
        extras, groups = self._execution.extras, self._execution.groups
        if not projects.is_package(project):
            declared = projects.declared_by_project(project, path, extras, groups)
            return self._declared(path, declared)
        lines = projects.group_lines(project, path, groups)
        found = self._declared(path, projects.Declared(lines))
        found.wanted.local[posixpath.dirname(path) or "."] = tuple(sorted(extras))
        return found

    def _declared(self, path: str, declared: projects.Declared) -> Origin:
        """Paths in it are relative to the root by now."""
        wanted = read_lines(declared.lines, replace(self.code, working_dir="."))
        wanted.default_index = declared.wanted.default_index
        wanted.extra_indexes += declared.wanted.extra_indexes
        return Origin(path, wanted, requires_python=declared.requires_python)

    def _script(self) -> str:
        entry = self._execution.entry_point
        return posixpath.normpath(posixpath.join(self._working_dir, entry)) if entry else ""

    def _downwards(self) -> list[str]:
        """Folders from the root down to the script's."""
        is_file = self._script() and not self._execution.entry_point.startswith("-")
        folder = posixpath.dirname(self._script()) if is_file else self._working_dir
        return _parents(_inside(folder))[::-1]

    def _looked_for_locks(self) -> list[str]:
        names = LOCKS.get(self._manager, ()) if self._manager else tuple(MANAGER_OF)
        paths = [posixpath.join(folder, name) for folder in self.upwards() for name in names]
        reads_headers = self._manager in _READ_HEADERS and self._script().endswith(".py")
        return [f"a header in {self._script()}", *paths] if reads_headers else paths

    def _nothing_found(self, looked_for: list[str]) -> PreparationFailed:
        asked = self._execution.packages_from
        manager = f" that {self._manager} reads" if self._manager else ""
        return environment_failed(
            f"packages_from is {asked!r} and the code has nothing of that kind{manager}; looked "
            f"for {', '.join(looked_for) or 'nothing'}; add one, or set packages_from to another "
            f"of {', '.join(FROM)}",
            field="execution.packages_from",
            value=asked,
        )


def _inside(folder: str) -> str:
    """``folder`` relative to the root; the root itself where it would be outside."""
    normal = posixpath.normpath(folder or ".")
    return "." if normal.startswith(("..", "/")) else normal


def _parents(folder: str) -> list[str]:
    found: list[str] = []
    while folder not in ("", "."):
        found.append(folder)
        folder = posixpath.dirname(folder)
    return [*found, ""]


def _at(name: str) -> Callable[[str], str]:
    return lambda folder: posixpath.join(folder, name)
