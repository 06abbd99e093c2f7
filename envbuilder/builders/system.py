"""The Python of a container image as it is: nothing is installed, all that it has is there."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

from dray.envbuilder.cache.environment import python_of
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.place import Place
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.interpreters import Interpreter
from dray.envbuilder.tools.log import LogWriter, say
from dray.envbuilder.tools.surroundings import agent_variables, installer_variables

#: The first program of those named that is of the version named first.
_FIND = """
wanted=$1; shift
for program; do
    version=$("$program" -I -c 'import platform; print(platform.python_version())' 2>/dev/null)
    [ "$version" = "$wanted" ] && command -v "$program" && exit 0
done
exit 1
"""


class SystemBuilder:
    """A program of one line that starts the image's own Python.

    A link would not do: Python would look for its packages beside the link, and a virtual
    environment on top would not see those of an image whose Python is in one itself.
    """

    async def interpreter(self, spec: EnvironmentSpec, place: Place) -> Interpreter:
        """See :class:`dray.envbuilder.builders.base.Builder`."""
        if not place.mark:
            raise environment_failed(
                "environment_manager is system, which is for containers: it runs a task on all "
                "that the image has installed; name an image "
                "(task.set_base_docker(docker_image=…)), or set environment_manager to uv",
                field="execution.environment_manager",
                value="system",
            )
        return await place.find_interpreter(spec.python)

    async def build(
        self,
        spec: EnvironmentSpec,
        interpreter: Interpreter,
        folder: Path,
        log: LogWriter,
        place: Place,
    ) -> None:
        """See :class:`dray.envbuilder.builders.base.Builder`."""
        if spec.requirements or spec.local:
            say(log, "environment_manager is system: the task's packages are not installed")
        minor = ".".join(interpreter.version.split(".")[:2])
        names = ["python3", "python", f"python{minor}", str(interpreter.path)]
        found = await place.run(
            ["/bin/sh", "-c", _FIND, "sh", interpreter.version, *names],
            env=installer_variables(agent_variables()),
            keep_stdout=True,
        )
        if found.code != 0:
            raise environment_failed(
                f"the image has no Python {interpreter.version} on its PATH", found.tail
            )
        await asyncio.to_thread(_write_starter, folder, found.stdout.strip())


def _write_starter(folder: Path, python: str) -> None:
    starter = python_of(folder)
    starter.parent.mkdir(parents=True)
    starter.write_text(f'#!/bin/sh\nexec {shlex.quote(python)} "$@"\n', "utf-8")
    starter.chmod(0o755)
