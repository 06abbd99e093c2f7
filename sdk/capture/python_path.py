"""Folders of the code that a script imports from besides its own: they have to be said again.

``pip install -e .`` and ``PYTHONPATH`` put them on a laptop's path; on another machine nobody does.
"""

from __future__ import annotations

import os
import sys

from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Modules that setuptools makes for editable installs which no single folder can stand for.
_EDITABLE = "__editable__"


def importable() -> list[str]:
    """What this process imports from: ``sys.path``, and above packages of editable installs."""
    return [*sys.path, *_editable_folders()]


def _editable_folders() -> list[str]:
    found: dict[str, None] = {}
    for name, module in list(sys.modules.items()):
        if not name.startswith(_EDITABLE):
            continue
        for package, place in getattr(module, "MAPPING", {}).items():
            parts = package.split(".")
            above = str(place)
            while parts and os.path.basename(above).removesuffix(".py") == parts.pop():
                above = os.path.dirname(above)
                if not parts:
                    found[above] = None
    return list(found)


def folders(root: Path, search: Iterable[Path], files: Iterable[Path], given: Path) -> list[str]:
    """Folders below ``root`` that some of ``files`` are imported from, relative to it.

    Args:
        search: where the script imports from, in order, all of it below ``root``.
        files: of the code, that the script imports.
        given: what the interpreter puts on the path by itself: the script's folder, or for a
            module the working directory.
    """
    top = root.resolve()
    used = [file.resolve() for file in files]
    return [
        folder.relative_to(top).as_posix()
        for folder in search
        if folder != given.resolve() and any(_is_import(file, folder) for file in used)
    ]


def _is_import(file: Path, folder: Path) -> bool:
    """Whether ``file`` may be imported from ``folder``: the names on the way can be written so."""
    if not file.is_relative_to(folder):
        return False
    *above, name = file.relative_to(folder).parts
    return all(part.isidentifier() for part in (*above, name.removesuffix(".py")))
