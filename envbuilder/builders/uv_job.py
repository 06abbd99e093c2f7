"""One run of uv for one environment: its variables, its indexes, offline first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dray.envbuilder.cache.environment import python_of
from dray.envbuilder.choice.torch import torch_variables
from dray.envbuilder.place import Place
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.log import LogWriter, NoLog, say
from dray.envbuilder.tools.process import Finished
from dray.envbuilder.tools.secrets import Secrets
from dray.envbuilder.tools.uv_program import uv_program

#: pip's words for what uv calls otherwise; None: uv does so anyway.
_FLAGS = {"--pre": "--prerelease=allow", "--trusted-host": "--allow-insecure-host"}
_NEEDLESS = ("--prefer-binary",)


@dataclass(frozen=True)
class UvJob:
    """What every run of uv for one environment has in common.

    Attributes:
        copy: of the task's project files and local packages.
        env: variables of uv; they hold secrets, which arguments must not.
    """

    spec: EnvironmentSpec
    folder: Path
    copy: Path
    env: Mapping[str, str]
    secrets: Secrets
    log: LogWriter
    place: Place

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return python_of(self.folder)

    async def offline_first(self, command: Sequence[str | Path], cwd: Path) -> Finished:
        """How ``command`` ended, tried with the node's cache alone before the network."""
        # What uv says offline is of no use to anyone when the indexes are asked next.
        finished = await self.run([*command, "--offline"], cwd, NoLog())
        if finished.code == 0:
            say(self.log, "every package came from the node's cache")
            self.log.write(finished.tail.encode())
            return finished
        say(self.log, "asking the package indexes")
        return await self.run(command, cwd, self.log)

    async def run(
        self, command: Sequence[str | Path], cwd: Path, log: LogWriter, *, keep_stdout: bool = False
    ) -> Finished:
        """Run uv's ``command`` to its end."""
        argv = [uv_program(), *command]
        return await self.place.run(argv, env=self.env, cwd=cwd, log=log, keep_stdout=keep_stdout)

    def flags(self) -> list[str]:
        """The installer options of the spec, in uv's words."""
        flags = (flag for flag in self.spec.build_flags if flag not in _NEEDLESS)
        return [_FLAGS.get(flag, flag) for flag in flags]


def uv_variables(
    spec: EnvironmentSpec, node: Mapping[str, str], secrets: Secrets, copy: Path
) -> dict[str, str]:
    """The node's variables, with the indexes and builds of ``spec`` in place of the node's own.

    Indexes travel as variables because arguments are visible to every user of the machine and
    a URL may carry a password. Several indexes are searched as pip does, best version of all:
    requirement lines are mostly captured from a pip environment that was made so. An operator who
    wants uv's stricter rule sets ``UV_INDEX_STRATEGY``.
    """
    env = {**node, "UV_PYTHON_DOWNLOADS": "never", **secrets.variables()}
    for name in ("UV_TORCH_BACKEND", "UV_CUDA_DRIVER_VERSION"):
        env.pop(name, None)
    env.update(torch_variables(spec.torch_backend))
    if spec.index_urls:
        default, *extra = (secrets.in_url(url) for url in spec.index_urls)
        if default:
            for name in ("UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX"):
                env.pop(name, None)
            env["UV_DEFAULT_INDEX"] = default
        if extra:
            env["UV_INDEX"] = " ".join([*extra, *filter(None, [env.get("UV_INDEX")])])
            env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    if spec.find_links:
        links = [
            str(copy / link[2:]) if link.startswith("./") else secrets.in_url(link)
            for link in spec.find_links
        ]
        env["UV_FIND_LINKS"] = ",".join([*links, *filter(None, [env.get("UV_FIND_LINKS")])])
    return env
