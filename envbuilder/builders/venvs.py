"""A bare virtual environment that can be renamed, for installers to fill."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dray.envbuilder.failures import environment_failed
from dray.envbuilder.place import Place
from dray.envbuilder.tools.interpreters import Interpreter
from dray.envbuilder.tools.log import LogWriter
from dray.envbuilder.tools.uv_config import without_config
from dray.envbuilder.tools.uv_program import uv_program


async def make_venv(
    interpreter: Interpreter,
    folder: Path,
    env: Mapping[str, str],
    log: LogWriter,
    place: Place,
) -> None:
    """Make an environment without packages in ``folder``, of exactly ``interpreter``.

    By uv, whoever fills it: it takes milliseconds, and works where Debian left ``ensurepip`` out.

    Raises:
        PreparationFailed: with uv's last lines as evidence.
    """
    # Relocatable: the scripts find their interpreter beside themselves, so that the folder
    # can be renamed into place.
    options = ["--quiet", "--relocatable", "--no-project", "--prompt", "dray"]
    finished = await place.run(
        [uv_program(), "venv", *options, "--python", interpreter.path, folder],
        env=without_config(env),
        cwd=folder.parent,
        log=log,
    )
    if finished.code != 0:
        raise environment_failed(
            f"uv could not make an environment for Python {interpreter.version}", finished.tail
        )
