"""What every way to make an environment offers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from dray.envbuilder.place import Place
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.interpreters import Interpreter
from dray.envbuilder.tools.log import LogWriter


class Builder(Protocol):
    """Makes environments of one manager; holds no state between two of them."""

    async def interpreter(self, spec: EnvironmentSpec, place: Place) -> Interpreter:
        """What the environment of ``spec`` will run on; its version is exact and in the key.

        Most builders look among what ``place`` has; one that brings its own Python says which.

        Raises:
            PreparationFailed: there is none of that version; the message lists what there is.
        """
        ...

    async def build(
        self,
        spec: EnvironmentSpec,
        interpreter: Interpreter,
        folder: Path,
        log: LogWriter,
        place: Place,
    ) -> None:
        """Make the environment of ``spec`` in ``folder``, which does not exist yet.

        Every tool is run by ``place.run``, so that it runs in the container the task asks for.

        Afterwards ``folder/bin/python`` is an interpreter of exactly ``interpreter``'s version that
        sees the requirements, and goes on to do so when the folder is renamed. Bytecode is left
        for later. Cancelling stops the installer; the caller removes the folder.

        Raises:
            PreparationFailed: with the installer's last lines as evidence.
        """
        ...
