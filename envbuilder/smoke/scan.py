"""What a script certainly imports, read from its source: no line of it is run.

For the Python of the environment that the script will have, whose syntax and modules count. It
imports the standard library only.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

#: Of a larger code base the rest is not looked at.
MAX_FILES = 500
MAX_FILE_BYTES = 2 << 20
#: Folders in which nobody keeps modules of their own.
_NOT_CODE = {"__pycache__", "node_modules", "venv", "site-packages"}
#: Who touches these decides at run time where modules come from.
_PATH_WORDS = {"path", "modules", "meta_path", "path_hooks"}
_PATH_NAMES = {"addsitedir", "__path__", "extend_path", "addpackage"}
_ENDINGS = {"exit", "quit", "_exit", "abort", "execv", "execve", "execvp", "execvpe", "execl"}


@dataclass(frozen=True)
class Request:
    """What to look at.

    Attributes:
        root: of the code.
        cwd: where it would run.
        entry: a script relative to ``cwd``, or ``-m package.module``.
        paths: further folders of the code to import from.
        provided: modules that the process will have besides what is installed.
    """

    root: str
    cwd: str
    entry: str
    paths: list[str] = field(default_factory=list[str])
    provided: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Finding:
    """Something that does not work.

    Attributes:
        kind: ``syntax``, ``local`` (a module that the code does not have), ``missing``, ``name``;
            these are certain; ``note``: it did not work here, and may where the task runs.
        file: of the code, relative to its root.
        module: that was to be imported.
        nearest: what was meant, perhaps.
        statement: the line as it stands there.
    """

    kind: str
    file: str
    line: int
    message: str
    module: str = ""
    nearest: str = ""
    statement: str = ""


@dataclass(frozen=True)
class Want:
    """An import of something that is not of the code."""

    module: str
    names: tuple[str, ...]
    file: str
    line: int
    statement: str


class Scan:
    """Reads the entry point and the files of the code it certainly imports.

    Attributes:
        wants: what they import from elsewhere, in order.
        findings: what cannot work.
        is_open: the code itself changes where modules come from, so a missing one may turn up.
        sets_variables: it sets environment variables, by which modules choose what they offer.
    """

    def __init__(self, request: Request) -> None:
        self.wants: list[Want] = []
        self.findings: list[Finding] = []
        self.is_open = False
        self.sets_variables = False
        self._root = Path(request.root)
        self._paths = [Path(request.cwd), *map(Path, request.paths)]
        self._provided = {*sys.stdlib_module_names, *request.provided}
        self._seen: set[Path] = set()
        self._waiting: list[tuple[Path, Path | None]] = []
        self._entry = ""
        entry = request.entry.strip()
        if entry.startswith("-m"):
            self._module(entry[2:].strip())
        else:
            script = Path(request.cwd, entry).resolve()
            self._paths[0] = script.parent
            self._entry = self.name_of(script)
            self._follow(script, None)

    def run(self) -> None:
        """Follow what is imported, first things first."""
        while self._waiting and len(self._seen) <= MAX_FILES:
            path, package = self._waiting.pop(0)
            self._read(path, package)
        if self.is_open:  # what is found now may not be what is found then
            self.findings = [
                each if each.file == self._entry else replace(each, kind="note")
                for each in self.findings
            ]

    def is_in_the_code(self, name: str) -> bool:
        """Whether a module of that name lies anywhere in the code, on the path or not."""
        for _, folders, files in os.walk(self._root):
            folders[:] = [f for f in folders if f not in _NOT_CODE and not f.startswith(".")]
            if name in folders or any(file.split(".")[0] == name for file in files):
                return True
        return False

    def _module(self, name: str) -> None:
        package, path = None, self._local(name.split(".")[0])
        if path is None:
            self.wants.append(Want(name, (), "", 0, f"python -m {name}"))
            return
        for part in name.split(".")[1:]:
            self._follow(path / "__init__.py", path)
            package, path = path, _below(path, part)
            if path is None:
                return  # the package may find it in its own way
        if path.is_dir():
            self._follow(path / "__init__.py", path)
            package, path = path, path / "__main__.py"
        self._follow(path, package)

    def _follow(self, path: Path, package: Path | None) -> None:
        if path.suffix == ".py" and path.is_file() and path not in self._seen:
            self._seen.add(path)
            self._waiting.append((path, package))

    def _read(self, path: Path, package: Path | None) -> None:
        if path.stat().st_size > MAX_FILE_BYTES:
            return
        source = path.read_bytes()
        try:
            tree = ast.parse(source, str(path))
        except SyntaxError as exc:
            text = (exc.text or "").strip()
            self._find("syntax", path, exc.lineno or 0, f"{exc.msg}", statement=text)
            return
        except (ValueError, RecursionError, MemoryError) as exc:
            self._find("note", path, 0, f"cannot be read: {exc!r}")
            return
        self.is_open = self.is_open or _changes_the_path(tree)
        self.sets_variables = self.sets_variables or _sets_variables(tree)
        lines = source.decode("utf-8", "replace").splitlines()
        for node in _certain(tree.body):
            line = lines[node.lineno - 1].strip() if node.lineno <= len(lines) else ""
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._import(alias.name, (), path, node.lineno, line)
            elif node.level:
                self._relative(node, path, package, line)
            elif node.module and node.module != "__future__":
                names = tuple(alias.name for alias in node.names)
                self._import(node.module, names, path, node.lineno, line)

    def _import(
        self, module: str, names: tuple[str, ...], file: Path, line: int, statement: str
    ) -> None:
        top, *parts = module.split(".")
        found = self._local(top)
        if found is not None:
            self._of_the_code(found, parts, names, file, line, statement)
        elif top not in self._provided:
            self.wants.append(Want(module, names, self.name_of(file), line, statement))

    def _relative(
        self, node: ast.ImportFrom, file: Path, package: Path | None, statement: str
    ) -> None:
        for _ in range(node.level - 1):
            package = package.parent if package is not None and package != self._root else None
        if package is None:
            return  # beyond the top of the package: for the interpreter to say
        names = tuple(alias.name for alias in node.names)
        parts = node.module.split(".") if node.module else []
        self._of_the_code(package, parts, names, file, node.lineno, statement)

    def _of_the_code(
        self,
        found: Path,
        parts: list[str],
        names: tuple[str, ...],
        file: Path,
        line: int,
        statement: str,
    ) -> None:
        package: Path | None = None
        for part in parts:
            self._follow(found / "__init__.py", found)
            below = _below(found, part)
            if below is None:
                self._not_in(found, part, file, line, statement)
                return
            package, found = found, below
        if not found.is_dir():
            self._follow(found, package)
            return
        self._follow(found / "__init__.py", found)
        bound = _bound_names(found / "__init__.py")
        for name in names:
            below = None if name in bound or "*" in bound else _below(found, name)
            if below is not None:
                path = below / "__init__.py" if below.is_dir() else below
                self._follow(path, below if below.is_dir() else found)

    def _not_in(self, package: Path, part: str, file: Path, line: int, statement: str) -> None:
        """A submodule that is not there: certain where the package is an ordinary one."""
        is_ordinary = package.is_file() or (package / "__init__.py").is_file()
        if is_ordinary and part not in _bound_names(package / "__init__.py"):
            name = f"{package.stem}.{part}"
            what = f"the code has no module {name!r}"
            near = difflib.get_close_matches(part, _modules_in(package), n=1)
            self._find("local", file, line, what, name, near[0] if near else "", statement)

    def _local(self, name: str) -> Path | None:
        """The module or package of the code by that name, in the order Python looks."""
        if name in sys.builtin_module_names:
            return None
        namespace: Path | None = None
        for folder in self._paths:
            found = _below(folder, name)
            if found is not None and (found.is_file() or (found / "__init__.py").is_file()):
                return found
            namespace = namespace or found
        # A folder without __init__.py comes after whatever is installed.
        return namespace if namespace is not None and not is_installed(name) else None

    def _find(
        self,
        kind: str,
        path: Path,
        line: int,
        message: str,
        module: str = "",
        nearest: str = "",
        statement: str = "",
    ) -> None:
        file = self.name_of(path)
        self.findings.append(Finding(kind, file, line, message, module, nearest, statement))

    def name_of(self, path: Path) -> str:
        """A file of the code as its user names it."""
        with contextlib.suppress(ValueError):
            return path.relative_to(self._root).as_posix()
        return str(path)


def _certain(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that are certainly reached: of the top level, before anything that ends it."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.Raise) or (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and _last_name(node.value.func) in _ENDINGS
        ):
            return


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _sets_variables(tree: ast.AST) -> bool:
    """Whether the code sets environment variables, by which modules choose what they offer."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            if _last_name(node.value) == "environ":
                return True
        elif isinstance(node, ast.Call):
            name = _last_name(node.func)
            of = _last_name(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            if name in {"putenv", "load_dotenv"} or (of == "environ" and name != "get"):
                return True
    return False


def _changes_the_path(tree: ast.AST) -> bool:
    """Whether the code says where modules come from, or installs some."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (
            node.attr in _PATH_NAMES
            or (node.attr in _PATH_WORDS and _last_name(node.value) == "sys")
        ):
            return True
        if isinstance(node, ast.Name) and node.id in _PATH_NAMES:
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "sys":
            return any(alias.name in _PATH_WORDS for alias in node.names)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = node.value.split()
            if "pip" in words and (len(words) == 1 or "install" in words):
                return True
    return False


def _below(folder: Path, name: str) -> Path | None:
    """The module or package ``name`` of a folder, whatever it is made of."""
    package, module = folder / name, folder / f"{name}.py"
    if (package / "__init__.py").is_file():
        return package
    if module.is_file():
        return module
    with contextlib.suppress(OSError):
        for entry in sorted(os.listdir(folder)):  # compiled, or about to be
            if entry.split(".")[0] == name and entry != name:
                return folder / entry
    return package if package.is_dir() else None


def _modules_in(package: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return [entry.split(".")[0] for entry in os.listdir(package)]
    return []


def _bound_names(path: Path) -> set[str]:
    """What a package binds itself, so that it need not be a module; ``*``: nobody knows."""
    try:
        tree = ast.parse(path.read_bytes())
    except FileNotFoundError:
        return set()
    except (OSError, SyntaxError, ValueError):
        return {"*"}
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(a.asname or a.name).split(".")[0] for a in node.names}
    return names | ({"*"} if names & {"__getattr__", "__path__", "extend_path"} else set())


def is_installed(name: str) -> bool:
    """Whether the environment has a module of that name at its top level."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return True
