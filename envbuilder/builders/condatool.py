"""Which program makes conda environments in a place, and how each of them is asked to."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.builders.programs import first_program
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.place import NODE, Place
from dray.envbuilder.tools.log import LogWriter, say
from dray.envbuilder.tools.uv_program import uv_program

#: Fastest first: micromamba starts in milliseconds, conda in seconds.
NAMES = ("micromamba", "mamba", "conda")
#: Where their installers put them, below the home folder and below the root.
_USUAL = (
    "~/.local/bin/micromamba",
    "~/micromamba/bin/micromamba",
    *(
        f"{root}/{name}/bin/{program}"
        for program in ("mamba", "conda")
        for root in ("~", "/opt")
        for name in ("miniforge3", "mambaforge", "miniconda3", "anaconda3", "conda")
    ),
)
#: py-rattler is the library that pixi is made of: it needs no installation of conda.
_RATTLER = "py-rattler>=0.28,<0.29"
_SCRIPT = Path(__file__).with_name("rattler_install.py")


@dataclass(frozen=True)
class Wanted:
    """What a tool is to make.

    Attributes:
        prefix: where; it does not exist yet.
        channels: secrets are filled in, so it may go into no argument.
        specs: match specs; empty with ``explicit``.
        explicit: URLs of all packages.
        subdir: platform as conda names it.
    """

    prefix: Path
    channels: Sequence[str]
    specs: Sequence[str]
    explicit: Sequence[str]
    subdir: str


@dataclass(frozen=True)
class CondaTool:
    """One program, found in a place.

    Attributes:
        name: ``micromamba``, ``mamba``, ``conda`` or ``rattler``.
        command: how it is started.
    """

    name: str
    command: tuple[str, ...]

    def request(self, wanted: Wanted) -> tuple[str, str]:
        """Name and text of the file that tells it what to make."""
        if self.name == "rattler":
            members = {**vars(wanted), "prefix": str(wanted.prefix)}
            return "request.json", json.dumps(members)
        if wanted.explicit:
            return "explicit.txt", "\n".join(["@EXPLICIT", *wanted.explicit, ""])
        # JSON is YAML.
        document = {"channels": list(wanted.channels), "dependencies": list(wanted.specs)}
        return "environment.yml", json.dumps(document)

    def create(self, wanted: Wanted, request: Path) -> list[str]:
        """The command that makes what ``request`` says."""
        if self.name == "rattler":
            return [*self.command, str(request)]
        # All of them know `create` with a list; a file with channels is for `env create`, but
        # for micromamba, whose `create` reads both.
        by_file = [] if self.name == "micromamba" or wanted.explicit else ["env"]
        options = ["--prefix", str(wanted.prefix), "--file", str(request)]
        return [*self.command, *by_file, "create", *options]


async def find_tool(
    agent: Mapping[str, str], env: Mapping[str, str], log: LogWriter, place: Place
) -> CondaTool:
    """The best program of ``place``: what its variables name, its path has, or uv can get.

    ``MAMBA_EXE`` and ``CONDA_EXE`` are what the programs themselves set in a shell.

    Raises:
        PreparationFailed: there is none; says what to install.
    """
    home = env.get("HOME", "/root")
    named = [agent[name] for name in ("MAMBA_EXE", "CONDA_EXE") if agent.get(name)]
    usual = [path.replace("~", home, 1) for path in _USUAL]
    found = await first_program([*named, *NAMES, *usual], env, place)
    if found is not None:
        name = next((name for name in NAMES if Path(found).name.startswith(name)), "conda")
        return CondaTool(name, (found,))
    if place is NODE and importlib.util.find_spec("rattler") is not None:
        return CondaTool("rattler", (sys.executable, str(_SCRIPT)))
    return await _rattler_by_uv(env, log, place)


async def _rattler_by_uv(env: Mapping[str, str], log: LogWriter, place: Place) -> CondaTool:
    """py-rattler in an environment of uv's cache, for nodes and images without any conda."""
    run = [uv_program(), "run", "--quiet", "--no-project", "--isolated", "--with", _RATTLER]
    say(log, "no micromamba, mamba or conda here; using py-rattler")
    # In a container our own script is not there, so it is handed over as text.
    script = _SCRIPT.read_text("utf-8")
    for options in (["--offline"], []):
        command = [*run, *options]
        finished = await place.run([*command, "python", "-c", "import rattler"], env=env, log=log)
        if finished.code == 0:
            return CondaTool("rattler", (*command, "python", "-c", script))
    raise environment_failed(
        "there is no micromamba, mamba or conda on this node, and uv could not get py-rattler; "
        "install micromamba there, or name a program in MAMBA_EXE where its agent is started",
        finished.tail,
    )
