"""Which modules a script imports: its own beside it, and the rest by dotted name."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: A larger file is data in Python's clothes; parsing it would only cost time.
SOURCE_LIMIT_BYTES = 2 << 20
#: Folders that hold installed packages, even when they lie inside the user's repository.
INSTALLED = frozenset({"site-packages", "dist-packages"})
_PATH_CALLS = frozenset({"append", "insert"})


@dataclass
class Found:
    """What following a script's imports led to.

    Attributes:
        files: the script and the local modules it imports, in the order they were found.
        outside: dotted names of imported modules that are neither local nor standard library.
    """

    files: list[Path] = field(default_factory=list[Path])
    outside: set[str] = field(default_factory=set[str])


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
        for name in _imported_names(tree, file, folders):
            local = _local_files(name, folders)
            if not local and name.partition(".")[0] not in sys.stdlib_module_names:
                found.outside.add(name)
            for path in local:
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
        return ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError, RecursionError):
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


def _imported_names(tree: ast.Module, file: Path, folders: list[Path]) -> list[str]:
    package = _package_of(file, folders)
    return list(dict.fromkeys(_walk(tree, package)))


def _walk(node: ast.AST, package: str) -> Iterator[str]:
    """Names imported anywhere below ``node``, but for what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for other in child.orelse:
                yield from _walk(ast.Module([other], []), package)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from _from_names(child, package)
        else:
            yield from _walk(child, package)


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


def _local_files(name: str, folders: list[Path]) -> list[Path]:
    """The files importing ``name`` runs, package ``__init__`` files first; none if not local."""
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
    return []
