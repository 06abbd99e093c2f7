"""Environments made by uv: from its cache alone when that suffices, else from the indexes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from dray.envbuilder.environment import python_of
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.interpreters import Interpreter
from dray.envbuilder.log import LogWriter, NoLog, say
from dray.envbuilder.place import Place
from dray.envbuilder.process import Finished
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.surroundings import agent_variables, installer_variables
from dray.envbuilder.uvtool import uv_program


class UvBuilder:
    """``uv venv``, then ``uv pip install``: offline first, which takes a tenth of the time."""

    async def interpreter(self, spec: EnvironmentSpec, place: Place) -> Interpreter:
        """See :class:`dray.envbuilder.builders.base.Builder`."""
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
        env = _variables(spec, installer_variables(agent_variables()))
        await self._make_venv(interpreter, folder, env, log, place)
        if spec.requirements:
            await self._install(spec, folder, env, log, place)

    async def _make_venv(
        self,
        interpreter: Interpreter,
        folder: Path,
        env: Mapping[str, str],
        log: LogWriter,
        place: Place,
    ) -> None:
        # Relocatable: the scripts find their interpreter beside themselves, so that the folder
        # can be renamed into place.
        options = ["--quiet", "--relocatable", "--no-project", "--prompt", "dray"]
        finished = await place.run(
            [uv_program(), "venv", *options, "--python", interpreter.path, folder],
            env=env,
            cwd=folder.parent,
            log=log,
        )
        if finished.code != 0:
            raise environment_failed(
                f"uv could not make an environment for Python {interpreter.version}", finished.tail
            )

    async def _install(
        self,
        spec: EnvironmentSpec,
        folder: Path,
        env: Mapping[str, str],
        log: LogWriter,
        place: Place,
    ) -> None:
        listing = folder / "requirements.txt"
        text = "".join(f"{line}\n" for line in spec.requirements)
        await asyncio.to_thread(listing.write_text, text, "utf-8")
        # What uv says offline is of no use to anyone when the indexes are asked next.
        finished = await self._run_install(
            spec, folder, listing, env, NoLog(), place, ["--offline"]
        )
        if finished.code == 0:
            say(log, "every package came from the node's cache")
            log.write(finished.tail.encode())
            return
        say(log, "asking the package indexes")
        finished = await self._run_install(spec, folder, listing, env, log, place, [])
        if finished.code != 0:
            raise environment_failed(
                "uv could not install the packages of this task "
                f"({len(spec.requirements)} requirements); its last lines say why",
                finished.tail,
            )

    async def _run_install(
        self,
        spec: EnvironmentSpec,
        folder: Path,
        listing: Path,
        env: Mapping[str, str],
        log: LogWriter,
        place: Place,
        options: list[str],
    ) -> Finished:
        return await place.run(
            [
                *[uv_program(), "pip", "install", "--no-progress", "--no-compile-bytecode"],
                *["--python", python_of(folder), "--requirements", listing],
                *options,
                *spec.build_flags,
            ],
            env=env,
            cwd=folder,
            log=log,
        )


def _variables(spec: EnvironmentSpec, node: Mapping[str, str]) -> dict[str, str]:
    """The node's variables, with the indexes of ``spec`` in place of the node's own.

    Indexes travel as variables because arguments are visible to every user of the machine and
    a URL may carry a password. Several indexes are searched as pip does, best version of all:
    requirement lines are mostly captured from a pip environment that was made so. An operator who
    wants uv's stricter rule sets ``UV_INDEX_STRATEGY``.
    """
    env = dict(node)
    if spec.index_urls:
        for name in ("UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX"):
            env.pop(name, None)
        default, *extra = spec.index_urls
        env["UV_DEFAULT_INDEX"] = default
        if extra:
            env["UV_INDEX"] = " ".join(extra)
            env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return env
