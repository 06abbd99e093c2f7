"""Apptainer: a container is a process like any other, and an image a file."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from dray.envbuilder.containers.client import ask, follow
from dray.envbuilder.containers.engine import ContainerRun, ContainerState, Found, ImageFacts
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.tools.log import LogWriter
from dray.envbuilder.tools.process import finish_in_thread
from dray.runtime.ids import new_id

#: Of the arguments for Docker, those that mean something here, and what they are called.
_OPTIONS = {"--hostname": "--hostname"}


class ApptainerEngine:
    """See :class:`dray.envbuilder.containers.engine.Engine`.

    Args:
        images: folder for image files, shared by the agents of a node.
    """

    name = "apptainer"
    keeps_containers = False

    def __init__(self, images: Path) -> None:
        self._images = images

    async def check(self) -> None:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        finished = await ask(self.name, ["--version"])
        if finished.code != 0:
            raise environment_failed(
                "apptainer does not start on this node; run `apptainer --version` there",
                finished.tail,
                field="container_engine",
            )

    def command(self, run: ContainerRun) -> list[str]:
        """See :class:`dray.envbuilder.containers.engine.Engine`.

        Raises:
            PreparationFailed: an argument that means nothing to Apptainer.
        """
        if run.arguments.network not in ("", "host"):
            raise _unknown("--network", run.arguments.network)
        options = ["--cleanenv", "--no-home", "--contain", "--writable-tmpfs", "--pwd=/"]
        if run.gpus:
            options.append("--nv")
        for mount in run.mounts:
            mode = "ro" if mount.read_only else "rw"
            options.append(f"--bind={mount.source}:{mount.target}:{mode}")
        for name, value in run.arguments.options:
            if name not in _OPTIONS:
                raise _unknown(name, value or "")
            options.append(f"{_OPTIONS[name]}={value}")
        return [self.name, "--silent", "exec", *options, run.image, "/bin/sh", str(run.script)]

    async def image(self, reference: str) -> ImageFacts | None:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        file = self._file(reference)
        if not await asyncio.to_thread(file.exists):
            return None
        digest = await finish_in_thread(asyncio.to_thread(_digest, file))
        return ImageFacts(id=digest, run=str(file), digest=digest)

    async def pull(self, reference: str, log: LogWriter) -> None:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        file = self._file(reference)
        if not file.is_relative_to(self._images):
            raise environment_failed(
                f"there is no image file {file} on this node",
                field="execution.container.image",
                value=reference,
            )
        await asyncio.to_thread(self._images.mkdir, parents=True, exist_ok=True)
        aside = self._images / f".{new_id()[:12]}.sif"
        try:
            finished = await follow(self.name, ["pull", str(aside), _address(reference)], log)
            if finished.code != 0:
                raise environment_failed(
                    f"the image {reference!r} is not on this node and apptainer could not pull it",
                    finished.tail,
                    field="execution.container.image",
                    value=reference,
                )
            await asyncio.to_thread(aside.replace, file)
        finally:
            await finish_in_thread(asyncio.to_thread(aside.unlink, missing_ok=True))

    async def state(self, name: str) -> ContainerState | None:
        """Nothing is left of a process that has ended."""
        _ = name

    async def remove(self, name: str) -> None:
        """Nothing: it ends with its process tree."""
        _ = name

    async def containers(self, label: str, value: str) -> list[Found]:
        """None: there is nothing outside of the agents' process trees."""
        _ = label, value
        return []

    async def commit(self, container: str, tag: str, labels: Mapping[str, str]) -> None:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        _ = container, tag, labels
        raise environment_failed(
            "system packages cannot be added to an image by apptainer; use an image that has them, "
            "or clear execution.system_packages",
            field="execution.system_packages",
        )

    async def remove_image(self, tag: str) -> None:
        """Nothing: it makes none."""
        _ = tag

    def _file(self, reference: str) -> Path:
        """A file of the node as it is, anything else where pulled images lie."""
        if reference.startswith("/"):
            return Path(reference)
        name = hashlib.sha256(_address(reference).encode()).hexdigest()[:24]
        return self._images / f"{name}.sif"


def _address(reference: str) -> str:
    return reference if "://" in reference else f"docker://{reference}"


#: ``{path: (size, time of change, digest)}`` of files that were read before.
_digests: dict[str, tuple[int, int, str]] = {}


def _digest(file: Path) -> str:
    """Of an image file, which may have gigabytes: read once as long as it does not change."""
    facts = os.stat(file)
    size, changed, digest = _digests.get(str(file), (-1, -1, ""))
    if (size, changed) != (facts.st_size, facts.st_mtime_ns):
        hashed = hashlib.sha256()
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                hashed.update(chunk)
        digest = f"sha256:{hashed.hexdigest()}"
        _digests[str(file)] = (facts.st_size, facts.st_mtime_ns, digest)
    return digest


def _unknown(name: str, value: str) -> Exception:
    return environment_failed(
        f"execution.container.arguments: {name} {value} means nothing to apptainer, which this "
        "node runs containers with; leave it out, or use docker or podman (container_engine)",
        field="execution.container.arguments",
        value=name,
    )
