"""Which modules a script imports: its own beside it, and the rest by dotted name."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from dray.runtime.errors import InvalidInput

#: A larger file is data in Python's clothes; parsing it would only cost time.
SOURCE_LIMIT_BYTES = 2 << 20
#: Folders that hold installed packages, even when they lie inside the user's repository.
INSTALLED = frozenset({"site-packages", "dist-packages"})
_PATH_CALLS = frozenset({"append", "insert"})
#: Calls that import what their first argument names.
_IMPORT_CALLS = frozenset({"import_module", "__import__", "LazyLoader", "importorskip"})
#: Calls that need a module which nobody imports by name: method → what it looks for, in its order.
_NEEDED_BY_CALL = {
    "read_parquet": ("pyarrow", "fastparquet"),
    "to_parquet": ("pyarrow", "fastparquet"),
    "read_feather": ("pyarrow",),
    "to_feather": ("pyarrow",),
    "read_orc": ("pyarrow",),
    "read_excel": ("openpyxl",),
    "to_excel": ("openpyxl",),
    "read_hdf": ("tables",),
    "to_hdf": ("tables",),
    "to_markdown": ("tabulate",),
}
#: What a ``try`` catches around an import that the script can do without.
_CAUGHT = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


@dataclass
class Found:
    """What following a script's imports led to.

    Attributes:
        files: the script and the local modules it imports, in the order they were found.
        outside: dotted name of each imported module that is neither local nor standard library
            → the file that imports it first.
        optional: those of them that every file can do without: their absence is caught, or only
            a call names them.
    """

    files: list[Path] = field(default_factory=list[Path])
    outside: dict[str, Path] = field(default_factory=dict[str, Path])
    optional: set[str] = field(default_factory=set[str])

    def note(self, name: str, file: Path, *, is_optional: bool) -> None:
        """``file`` imports ``name`` from outside."""
        if is_optional and name not in self.outside:
            self.optional.add(name)
        elif not is_optional:
            self.optional.discard(name)
        self.outside.setdefault(name, file)


def follow(script: Path, root: Path, search: Iterable[Path] = ()) -> Found:
    """Everything ``script`` imports, through the local modules it imports.

    Args:
        script: where to begin.
        root: modules below it are local; everything else is somebody's package.
        search: folders imports are looked up in besides the script's own; those outside
            ``root`` or inside a folder of installed packages are left out.
    """
    folders = _local_folders([script.parent, *search], root)
    found, waiting, seen = Found(), [script], {script.resolve()}
    while waiting:
        file = waiting.pop(0)
        found.files.append(file)
        tree = _parsed(file)
        if tree is None:
            continue
        added = _local_folders(_added_to_path(tree, file, root), root)
        folders += [folder for folder in added if folder not in folders]
        for name, is_optional in _imported_names(tree, file, folders).items():
            local = _local_files(name, folders)
            if local is None and name.partition(".")[0] not in sys.stdlib_module_names:
                found.note(name, file, is_optional=is_optional)
            for path in local or ():
                if path.resolve() not in seen:
                    seen.add(path.resolve())
                    waiting.append(path)
    return found


def search_path(root: Path, path: Iterable[str] | None = None) -> list[Path]:
    """The folders of ``path`` (``sys.path``) that belong to the user's own code below ``root``."""
    entries = sys.path if path is None else path
    return _local_folders([Path(entry or os.curdir) for entry in entries], root)


def _local_folders(folders: Iterable[Path], root: Path) -> list[Path]:
    top = root.resolve()
    kept = {
        folder.resolve(): None
        for folder in folders
        if folder.is_dir()
        and folder.resolve().is_relative_to(top)
        and not INSTALLED.intersection(folder.resolve().parts)
    }
    return list(kept)


def _parsed(file: Path) -> ast.Module | None:
    try:
        if file.stat().st_size > SOURCE_LIMIT_BYTES:
            return None
        data = file.read_bytes()
        if file.suffix == ".ipynb":
            from dray.sdk.capture import notebook_file

            return ast.parse(notebook_file.as_script(data, file.name), str(file))
        return ast.parse(data, str(file))
    except (OSError, SyntaxError, ValueError, RecursionError, InvalidInput):
        return None  # what Python cannot parse, it cannot import either


def _added_to_path(tree: ast.Module, file: Path, root: Path) -> Iterator[Path]:
    """Folders that ``sys.path.insert`` and ``append`` name, as far as their text says.

    Where the text starts from is not evaluated: the file's folder and those above it are tried.
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr not in _PATH_CALLS or ast.unparse(node.func.value) != "sys.path":
            continue
        texts = [
            part.value.strip("/\\")
            for argument in node.args
            for part in ast.walk(argument)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        for base in file.resolve().parents:
            yield base.joinpath(*texts)
            if base == root.resolve():
                break


def _imported_names(tree: ast.Module, file: Path, folders: list[Path]) -> dict[str, bool]:
    """Imported names, in order; True where the file can do without."""
    names: dict[str, bool] = {}
    for name, is_optional in _walk([tree], _package_of(file, folders), is_optional=False):
        names[name] = names.get(name, True) and is_optional
    return names


def _walk(
    nodes: Iterable[ast.AST], package: str, *, is_optional: bool
) -> Iterator[tuple[str, bool]]:
    """Names imported anywhere in ``nodes``, but for what only type checkers read."""
    for node in nodes:
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            yield from _walk(node.orelse, package, is_optional=is_optional)
        elif isinstance(node, ast.Try) and _catches_absence(node):
            yield from _walk(node.body, package, is_optional=True)
            others = (*node.handlers, *node.orelse, *node.finalbody)
            yield from _walk(others, package, is_optional=is_optional)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, is_optional) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((name, is_optional) for name in _from_names(node, package))
        else:
            if isinstance(node, ast.Call):
                yield from ((name, True) for name in _names_of_call(node))
            yield from _walk(ast.iter_child_nodes(node), package, is_optional=is_optional)


def _catches_absence(node: ast.Try) -> bool:
    kinds = [handler.type for handler in node.handlers]
    return any(kind is None or _CAUGHT & _last_names(kind) for kind in kinds)


def _last_names(kind: ast.expr) -> set[str]:
    parts = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return {part.attr if isinstance(part, ast.Attribute) else ast.unparse(part) for part in parts}


def _names_of_call(call: ast.Call) -> Iterator[str]:
    """Modules that a call imports or needs, as far as its text says."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    first = call.args[0] if call.args else None
    if name in _IMPORT_CALLS and isinstance(first, ast.Constant) and isinstance(first.value, str):
        if all(part.isidentifier() for part in first.value.split(".")):
            yield first.value
    elif name in _NEEDED_BY_CALL:
        here = (needed for needed in _NEEDED_BY_CALL[name] if find_spec(needed) is not None)
        yield from islice(here, 1)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _from_names(node: ast.ImportFrom, package: str) -> Iterator[str]:
    base = node.module or ""
    if node.level:
        parts = package.split(".") if package else []
        kept = parts[: len(parts) - node.level + 1]
        base = ".".join([*kept, base] if base else kept)
        if not base:
            return
    yield base
    # ``from a import b``: b may be a module of package a.
    yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _package_of(file: Path, folders: list[Path]) -> str:
    for folder in sorted(folders, key=lambda f: len(f.parts), reverse=True):
        if file.resolve().is_relative_to(folder):
            return ".".join(file.resolve().parent.relative_to(folder).parts)
    return ""


def _local_files(name: str, folders: list[Path]) -> list[Path] | None:
    """The files importing ``name`` runs, package ``__init__`` files first; None if not local."""
    for folder in folders:
        files: list[Path] = []
        at = folder
        for part in name.split("."):
            init, module = at / part / "__init__.py", at / f"{part}.py"
            if init.is_file():
                files.append(init)
            elif module.is_file():
                files.append(module)
                break
            elif not (at / part).is_dir():
                break
            at = at / part
        else:
            # A folder without ``__init__`` is a namespace package: local, though no file of it
            # is run by the import itself.
            return files
        if files:
            return files
    return None
