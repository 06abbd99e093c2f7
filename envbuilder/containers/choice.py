"""Which engine a node has, and the place that a task's container is."""

from __future__ import annotations

import asyncio

from dray.envbuilder.containers.apptainer import ApptainerEngine
from dray.envbuilder.containers.arguments import Allowed, check_arguments
from dray.envbuilder.containers.bench import Bench
from dray.envbuilder.containers.client import absent, is_there
from dray.envbuilder.containers.docker import DockerEngine
from dray.envbuilder.containers.engine import Engine
from dray.envbuilder.containers.images import ready_image
from dray.envbuilder.containers.place import ContainerPlace, Occupant
from dray.envbuilder.containers.podman import PodmanEngine
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.tools.log import LogWriter, say
from dray.envbuilder.tools.process import within
from dray.runtime.config import Settings
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths

ENGINES = ("docker", "podman", "apptainer")


def engine_of(name: str, node: NodePaths) -> Engine:
    """The engine of this node: the one that ``name`` says, else the first that is there.

    Raises:
        PreparationFailed: there is none, or none of that name.
    """
    if name and name not in ENGINES:
        raise environment_failed(
            f"container_engine is {name!r}; give one of {', '.join(ENGINES)}",
            field="container_engine",
            value=name,
        )
    chosen = name or next(filter(is_there, ENGINES), "docker")
    if not is_there(chosen):
        raise absent(chosen)
    if chosen == "apptainer":
        return ApptainerEngine(node.containers / "images")
    return DockerEngine() if chosen == "docker" else PodmanEngine()


async def container_place(
    execution: Execution,
    settings: Settings,
    node: NodePaths,
    log: LogWriter,
    occupant: Occupant | None = None,
    folders: tuple[str, ...] = (),
) -> ContainerPlace:
    """The container that ``execution`` asks for, with its image on this node.

    Args:
        occupant: the attempt it is for; None where its environment is made ahead.
        folders: of the node, that the task may read.

    Raises:
        PreparationFailed: an argument that is not allowed, no engine, no such image.
    """
    allowed = Allowed.read(settings.container_allowed_arguments, settings.container_allowed_paths)
    asked = execution.container
    arguments = await asyncio.to_thread(check_arguments, asked.arguments, allowed)
    engine = await asyncio.to_thread(engine_of, settings.container_engine, node)
    bench = Bench(engine, node)
    limit_s = settings.environment_build_limit_s
    try:
        image = await within(
            limit_s,
            ready_image(bench, asked.image, arguments.pull, execution.system_packages, log),
        )
    except TimeoutError as exc:
        raise environment_failed(
            f"the image {asked.image!r} was not ready after {limit_s:g} s; look for a registry or "
            "a mirror that does not answer, or raise environment_build_limit_s",
            str(exc),
            field="execution.container.image",
            value=asked.image,
        ) from exc
    digest = image.digest.rpartition("@")[2].removeprefix("sha256:")[:12]
    say(log, f"running in a container of {asked.image} ({digest}) with {engine.name}")
    return ContainerPlace(
        bench,
        image,
        arguments,
        occupant,
        own_pythons=execution.environment_manager == "system",
        folders=folders,
    )
