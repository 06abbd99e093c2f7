"""The Pythons that uv has on a node: they run in any image that has glibc."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from dray.envbuilder.tools.process import run_tool
from dray.envbuilder.tools.surroundings import agent_variables, installer_variables
from dray.envbuilder.tools.uv_program import uv_program

_MANAGED = re.compile(r"(cpython|pypy)-(?P<version>\d+\.\d+\.\d+)-linux-[\w]+-gnu")
#: Where uv keeps its Pythons on this node, once it was asked.
_folders: list[str] = []


def managed_folders() -> list[str]:
    """Where these lie, as far as this process has looked for them."""
    return list(_folders)


async def managed_pythons() -> dict[str, Path]:
    """The Pythons that uv has installed on this node, by version."""
    finished = await run_tool(
        [uv_program(), "python", "dir"],
        env=installer_variables(agent_variables()),
        keep_stdout=True,
    )
    folder = Path(finished.stdout.strip())
    found = await asyncio.to_thread(_listed, folder)
    if found and str(folder) not in _folders:
        _folders.append(str(folder))
    return found


def _listed(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in folder.iterdir():
        named = _MANAGED.fullmatch(path.name)
        if named is not None and path.name.startswith("cpython"):
            python = path / "bin" / f"python{'.'.join(named['version'].split('.')[:2])}"
            if python.exists():
                found[named["version"]] = python
    return found
