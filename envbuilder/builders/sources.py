"""A copy of the code's own packages to install from, which an installer may write into."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dray.envbuilder.failures import environment_failed
from dray.envbuilder.spec import EnvironmentSpec

#: What no package is built from, and may be as large as the rest together.
_LEFT_OUT = shutil.ignore_patterns(".git", ".hg", ".venv", "__pycache__", "*.egg-info", ".tox")


def copy_sources(spec: EnvironmentSpec, target: Path) -> None:
    """Lay out ``spec.files`` and ``spec.local`` below ``target`` as they lie in the code.

    A copy, because an attempt's folder goes away, and builds leave files where they run.

    Raises:
        PreparationFailed: a package is not in the code.
    """
    target.mkdir(parents=True)
    for package in sorted(spec.local, key=lambda package: package.path):
        path = (spec.code or Path()) / package.path
        copy = target / package.path
        if path.is_dir():
            shutil.copytree(path, copy, symlinks=True, ignore=_LEFT_OUT, dirs_exist_ok=True)
        elif path.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        else:
            raise environment_failed(
                f"the local package {package.path!r} is not in the task's code; add it to the "
                "repository, or take its line out of the packages",
                field="execution.packages",
                value=package.path,
            )
    for file in spec.files:
        path = target / os.path.normpath(file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, "utf-8")
