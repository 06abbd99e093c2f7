"""What Dray asks of a container engine, and the values it does so with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dray.envbuilder.containers.arguments import Checked, Mount
from dray.envbuilder.tools.log import LogWriter

#: Which cache of a node a container belongs to, and so who may remove it.
LABEL_CACHE = "dray.cache"
#: A lock file: while somebody holds it, the container has its owner.
LABEL_HOLDER = "dray.holder"
#: On derived images: the key of what they were made from.
LABEL_DERIVED = "dray.derived"


@dataclass(frozen=True)
class ContainerRun:
    """One container: what it runs, and what of the node it sees.

    Attributes:
        name: unique on the node.
        image: as the engine names it exactly: an id, or the path of a file.
        script: what ``/bin/sh`` runs; mounted.
        mounts: files and folders, each at its own path or another.
        hidden: folders below a mount whose content it does not see.
        labels: ``{label: value}``.
        gpus: as Ray numbers them; a container sees these and no others.
        memory_bytes: limit; 0: none.
        arguments: what the task gave.
        is_root: run as root whoever the agent is, with nothing mounted that is another's.
        kept: is still there when it has ended, to be asked how, and to be made an image of.
    """

    name: str
    image: str
    script: Path
    mounts: tuple[Mount, ...] = ()
    hidden: tuple[Path, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    gpus: tuple[str, ...] = ()
    memory_bytes: int = 0
    arguments: Checked = field(default_factory=Checked)
    is_root: bool = False
    kept: bool = False


@dataclass(frozen=True)
class ImageFacts:
    """What an engine knows of an image it has.

    Attributes:
        id: of its content: another one whenever the image is another.
        run: how it is named to run exactly this.
        variables: that it sets.
        digest: by which a registry has it; the id where none does.
    """

    id: str
    run: str
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    digest: str = ""


@dataclass(frozen=True)
class ContainerState:
    """What an engine says of a container.

    Attributes:
        is_running: it has not ended.
        pid: of its first process on the node; 0: it has none.
        out_of_memory: the kernel killed something in it for want of memory.
        error: why it could not be started, in the engine's words.
    """

    is_running: bool
    pid: int = 0
    out_of_memory: bool = False
    error: str = ""


@dataclass(frozen=True)
class Found:
    """A container of ours, by its name and labels."""

    name: str
    labels: Mapping[str, str]


class Engine(Protocol):
    """Docker, Podman or Apptainer, by its command-line client.

    Every call but ``command`` raises PreparationFailed where the engine does not answer.
    """

    @property
    def name(self) -> str:
        """As the setting ``container_engine`` names it."""
        ...

    @property
    def keeps_containers(self) -> bool:
        """Whether a container is the engine's, outside the process tree of who started it."""
        ...

    async def check(self) -> None:
        """Return when the engine answers.

        Raises:
            PreparationFailed: it is not there, or refuses; says what to do.
        """
        ...

    def command(self, run: ContainerRun) -> list[str]:
        """The process that is ``run`` in the foreground: same output, same exit code."""
        ...

    async def image(self, reference: str) -> ImageFacts | None:
        """What is known of an image; None when it is not on this node."""
        ...

    async def pull(self, reference: str, log: LogWriter) -> None:
        """Bring an image here; progress goes to ``log``.

        Raises:
            PreparationFailed: there is no such image, or no way to it.
        """
        ...

    async def state(self, name: str) -> ContainerState | None:
        """What became of a container; None when there is none of that name."""
        ...

    async def remove(self, name: str) -> None:
        """Kill a container and remove it; nothing happens when there is none."""
        ...

    async def containers(self, label: str, value: str) -> list[Found]:
        """The containers with this label, running or not."""
        ...

    async def commit(self, container: str, tag: str, labels: Mapping[str, str]) -> None:
        """Make an image of what a container has become."""
        ...

    async def remove_image(self, tag: str) -> None:
        """Remove an image that nothing uses; nothing happens otherwise."""
        ...
