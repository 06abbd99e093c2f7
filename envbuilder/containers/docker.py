"""Docker, with its daemon as root or rootless."""

from __future__ import annotations

from dray.envbuilder.containers.client import ask
from dray.envbuilder.containers.oci import OciEngine


class DockerEngine(OciEngine):
    """See :class:`dray.envbuilder.containers.engine.Engine`."""

    name = "docker"

    async def _find_rootless(self) -> bool:
        asked = await ask(self.name, ["info", "--format", "{{json .SecurityOptions}}"])
        if asked.code != 0:
            raise self._failed("does not say how it is set up", asked.tail)
        return "name=rootless" in asked.stdout

    def _gpus(self, gpus: tuple[str, ...]) -> list[str]:
        # The quotes are Docker's: the value is a line of CSV, and the list one field of it.
        return [f'--gpus="device={",".join(gpus)}"']
