"""What activating a conda environment sets, noted when it is built."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from dray.envbuilder.failures import environment_failed
from dray.envbuilder.launch.activation import variables_file
from dray.envbuilder.place import Place

#: Prints what is set once the packages' scripts ran, as JSON, by the environment's own Python.
_ACTIVATE = """
for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
    if [ -f "$script" ]; then . "$script" >&2; fi
done
exec "$CONDA_PREFIX/bin/python" -I -c 'import json, os; print(json.dumps(dict(os.environ)))'
"""
#: What a shell sets itself, and what whoever starts a task decides on.
_NOT_THEIRS = frozenset({"PATH", "PWD", "OLDPWD", "SHLVL", "_", "PYTHONPATH", "VIRTUAL_ENV"})


async def record_variables(
    home: Path, given: Mapping[str, str], env: Mapping[str, str], place: Place
) -> None:
    """Note what activating the conda environment at ``home`` sets, and ``given`` on top.

    Once, when it is built: scripts of packages (``etc/conda/activate.d``) may take long.

    Raises:
        PreparationFailed: a script of a package fails.
    """
    theirs = {"CONDA_PREFIX": str(home)}
    if await asyncio.to_thread(_has_scripts, home):
        theirs = await _set_by_scripts({**env, **theirs}, env, place)
    text = json.dumps({**theirs, **given})
    await asyncio.to_thread(variables_file(home).write_text, text, "utf-8")


def _has_scripts(home: Path) -> bool:
    return any((home / "etc" / "conda" / "activate.d").glob("*.sh"))


async def _set_by_scripts(
    before: Mapping[str, str], env: Mapping[str, str], place: Place
) -> dict[str, str]:
    finished = await place.run(["/bin/bash", "-c", _ACTIVATE], env=before, keep_stdout=True)
    try:
        after = cast("dict[str, str]", json.loads(finished.stdout))
    except ValueError as exc:
        raise environment_failed(
            "a script in etc/conda/activate.d of this environment fails", finished.tail
        ) from exc
    return {k: v for k, v in after.items() if env.get(k) != v and k not in _NOT_THEIRS}
