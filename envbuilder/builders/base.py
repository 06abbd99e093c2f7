"""What every way to make an environment offers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from dray.envbuilder.interpreters import Interpreter
from dray.envbuilder.key import EnvironmentSpec
from dray.envbuilder.log import LogWriter


class Builder(Protocol):
    """Makes environments of one manager; holds no state between two of them."""

    async def build(
        self, spec: EnvironmentSpec, interpreter: Interpreter, folder: Path, log: LogWriter
    ) -> None:
        """Make the environment of ``spec`` in ``folder``, which does not exist yet.

        Afterwards ``folder/bin/python`` is an interpreter of exactly ``interpreter``'s version that
        sees the requirements, and goes on to do so when the folder is renamed. Bytecode is left
        for later. Cancelling stops the installer; the caller removes the folder.

        Raises:
            PreparationFailed: with the installer's last lines as evidence.
        """
        ...
