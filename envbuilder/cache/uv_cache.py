"""The cache of uv, whose files are the environments' own where both are on one file system.

A hard link costs neither time nor disk. It also means that whoever writes into a file of an
environment writes into the cache: what was damaged so is fetched again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dray.envbuilder.place import Place
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.process import Finished
from dray.envbuilder.tools.surroundings import agent_variables, installer_variables
from dray.envbuilder.tools.uv_program import uv_program
from dray.runtime.paths import NodePaths


def why_copied(spec: EnvironmentSpec, node: NodePaths) -> str:
    """A sentence for the log where uv has to copy every file; empty where it can link them."""
    if spec.manager != "uv" or not spec.requirements:
        return ""
    cache = uv_cache(agent_variables())
    if _device(cache) == _device(node.environments):
        return ""
    return (
        f"packages are copied, not linked: uv's cache {cache} and {node.environments} are on two "
        "file systems; have UV_CACHE_DIR and DRAY_CACHE on one to build faster"
    )


async def forget(names: Sequence[str], place: Place) -> Finished:
    """Have uv fetch these packages again when they are asked for next."""
    return await place.run(
        [uv_program(), "cache", "clean", "--quiet", *names],
        env=installer_variables(agent_variables()),
    )


def uv_cache(variables: Mapping[str, str]) -> Path:
    """Where uv keeps what it downloaded, as uv itself decides it on Linux."""
    if named := variables.get("UV_CACHE_DIR"):
        return Path(named)
    home = Path(variables.get("HOME") or Path.home())
    base = Path(variables.get("XDG_CACHE_HOME") or "")
    return (base if base.is_absolute() else home / ".cache") / "uv"


def _device(path: Path) -> int:
    """The file system of ``path``, or of the nearest folder above it that is there."""
    for folder in (path, *path.parents):
        try:
            return os.stat(folder).st_dev
        except FileNotFoundError:
            continue
    return -1
