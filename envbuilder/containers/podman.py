"""Podman, as root or rootless."""

from __future__ import annotations

import os

from dray.envbuilder.containers.client import ask
from dray.envbuilder.containers.oci import OciEngine


class PodmanEngine(OciEngine):
    """See :class:`dray.envbuilder.containers.engine.Engine`."""

    name = "podman"
    at_once = ("--time=0",)
    empty = ",notmpcopyup"

    async def _find_rootless(self) -> bool:
        asked = await ask(self.name, ["info", "--format", "{{.Host.Security.Rootless}}"])
        if asked.code != 0:
            raise self._failed("does not say how it is set up", asked.tail)
        return asked.stdout.strip() == "true" or os.getuid() != 0

    def _gpus(self, gpus: tuple[str, ...]) -> list[str]:
        # By the Container Device Interface: `nvidia-ctk cdi generate` makes the names.
        return [f"--device=nvidia.com/gpu={gpu}" for gpu in gpus]
