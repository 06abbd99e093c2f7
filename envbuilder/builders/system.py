"""The Python of a container as it is: nothing is installed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dray.envbuilder.environment import python_of
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.interpreters import Interpreter
from dray.envbuilder.log import LogWriter, say
from dray.envbuilder.place import Place
from dray.envbuilder.spec import EnvironmentSpec


class SystemBuilder:
    """A folder with a link to the image's interpreter, which goes on to see its own packages."""

    async def interpreter(self, spec: EnvironmentSpec, place: Place) -> Interpreter:
        """See :class:`dray.envbuilder.builders.base.Builder`."""
        if not place.mark:
            raise environment_failed(
                "environment_manager is 'system', the Python of a container as it is, and the task "
                "names no container: give an image with task.set_base_docker(docker_image=...), or "
                "choose another manager",
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
        _ = place
        if spec.requirements:
            say(log, "the image's own packages are used; those of the task are not installed")
        # Without a pyvenv.cfg beside it, an interpreter follows the link to where it belongs.
        await asyncio.to_thread(_link, interpreter.path, python_of(folder))


def _link(interpreter: Path, link: Path) -> None:
    link.parent.mkdir(parents=True)
    link.symlink_to(interpreter)
