"""What Docker and Podman have in common: the same command line, but for some words."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, cast

from dray.envbuilder.containers.client import ask, follow
from dray.envbuilder.containers.engine import ContainerRun, ContainerState, Found, ImageFacts
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.tools.log import LogWriter
from dray.runtime.errors import PreparationFailed

#: Has the init of Docker pass signals on to the whole process group, as a terminal does.
_GROUP = "TINI_KILL_PROCESS_GROUP=1"


class OciEngine(ABC):
    """An engine that keeps containers and images itself, asked through its client.

    Attributes:
        name: of the engine and of its program.
        is_rootless: root in a container is the agent's user outside; known after ``check``.
    """

    name = "docker"
    keeps_containers = True
    #: Of ``rm``, not to wait for what was asked to end and does not.
    at_once: tuple[str, ...] = ()
    #: Of an empty folder that hides another: without a copy of what it hides.
    empty: str = ""

    def __init__(self) -> None:
        self.is_rootless: bool | None = None

    async def check(self) -> None:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        if self.is_rootless is None:
            self.is_rootless = await self._find_rootless()

    @abstractmethod
    async def _find_rootless(self) -> bool:
        """Whether root in a container is the user who started it."""

    @abstractmethod
    def _gpus(self, gpus: tuple[str, ...]) -> list[str]:
        """The options by which a container sees these GPUs."""

    def command(self, run: ContainerRun) -> list[str]:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        labels = [f"--label={name}={value}" for name, value in run.labels.items()]
        options = [
            *([] if run.kept else ["--rm"]),
            *["--interactive", "--init", "--pull=never", "--log-driver=none", "--workdir=/"],
            f"--name={run.name}",
            f"--network={run.arguments.network or 'host'}",
            f"--user={self._user(run)}",
            *["--security-opt=no-new-privileges", "--security-opt=label=disable"],
            *[f"--env={_GROUP}", *labels, *self._mounts(run)],
        ]
        if run.memory_bytes:
            options += [f"--memory={run.memory_bytes}", f"--memory-swap={run.memory_bytes}"]
        # Images for GPUs ask for all of them where the engine's default runtime is NVIDIA's.
        options += self._gpus(run.gpus) if run.gpus else ["--env=NVIDIA_VISIBLE_DEVICES=void"]
        for name, value in run.arguments.options:
            options.append(name if value is None else f"{name}={value}")
        return [self.name, "run", *options, "--entrypoint=/bin/sh", run.image, str(run.script)]

    def _user(self, run: ContainerRun) -> str:
        """What a container writes belongs to the agent's user."""
        if self.is_rootless or run.is_root:
            return "0:0"
        return run.arguments.user or f"{os.getuid()}:{os.getgid()}"

    def _mounts(self, run: ContainerRun) -> list[str]:
        options: list[str] = []
        for mount in run.mounts:
            fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
            if mount.read_only:
                fields.append("readonly")
            options.append(f"--mount={','.join(map(_csv, fields))}")
        options += [
            f"--mount=type=tmpfs,{_csv(f'target={folder}')}{self.empty}" for folder in run.hidden
        ]
        return options

    async def image(self, reference: str) -> ImageFacts | None:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        asked = ["image", "inspect", reference]
        finished = await ask(self.name, asked)
        if finished.code != 0:
            if _is_absent(finished.tail):
                return None
            raise self._failed(f"cannot tell what image {reference!r} is", finished.tail)
        facts = cast("list[dict[str, Any]]", json.loads(finished.stdout))[0]
        config: dict[str, Any] = facts.get("Config") or {}
        variables: list[str] = config.get("Env") or []
        pairs = (entry.partition("=") for entry in variables)
        digests: list[str] = facts.get("RepoDigests") or []
        image_id = str(facts["Id"])
        return ImageFacts(
            id=image_id if ":" in image_id else f"sha256:{image_id}",
            run=image_id,
            variables={name: value for name, _, value in pairs},
            digest=digests[0] if digests else image_id,
        )

    async def pull(self, reference: str, log: LogWriter) -> None:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        finished = await follow(self.name, ["pull", reference], log)
        if finished.code != 0:
            raise environment_failed(
                f"the image {reference!r} is not on this node and {self.name} could not pull it: "
                f"{_last_line(finished.tail)}; check its name, or log in to its registry there "
                f"(`{self.name} login`)",
                finished.tail,
                field="execution.container.image",
                value=reference,
            )

    async def state(self, name: str) -> ContainerState | None:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        asked = ["inspect", "--type", "container", "--format", "{{json .State}}", name]
        finished = await ask(self.name, asked)
        if finished.code != 0:
            if _is_absent(finished.tail):
                return None
            raise self._failed(f"cannot tell what became of container {name}", finished.tail)
        state: dict[str, Any] = json.loads(finished.stdout)
        return ContainerState(
            is_running=bool(state.get("Running")),
            pid=int(state.get("Pid") or 0),
            out_of_memory=bool(state.get("OOMKilled")),
            error=str(state.get("Error") or ""),
        )

    async def remove(self, name: str) -> None:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        finished = await ask(self.name, ["rm", "--force", "--volumes", *self.at_once, name])
        # Another one at it already, such as the engine itself, does the same.
        if finished.code != 0 and not _is_absent(finished.tail) and "already" not in finished.tail:
            raise self._failed(f"could not remove container {name}", finished.tail)

    async def containers(self, label: str, value: str) -> list[Found]:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        wanted = ["ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}={value}"]
        ids = (await ask(self.name, wanted)).stdout.split()
        if not ids:
            return []
        line = "{{.Name}} {{json .Config.Labels}}"
        asked = ["inspect", "--type", "container", "--format", line, *ids]
        finished = await ask(self.name, asked)  # those that have gone meanwhile have no line
        found: list[Found] = []
        for each in finished.stdout.splitlines():
            name, _, labels = each.partition(" ")
            if labels.startswith("{"):
                found.append(Found(name.lstrip("/"), json.loads(labels)))
        return found

    async def commit(self, container: str, tag: str, labels: Mapping[str, str]) -> None:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        changes = [f"--change=LABEL {name}={value}" for name, value in labels.items()]
        finished = await ask(self.name, ["commit", *changes, container, tag], limit_s=600.0)
        if finished.code != 0:
            raise self._failed("could not keep an image with the system packages", finished.tail)

    async def remove_image(self, tag: str) -> None:
        """See :class:`dray.envbuilder.containers.engine.Engine`."""
        await ask(self.name, ["rmi", tag])  # one that is in use stays, and goes another time

    def _failed(self, what: str, evidence: str) -> PreparationFailed:
        return environment_failed(f"{self.name} {what}: {_last_line(evidence)}", evidence)


def _csv(field: str) -> str:
    """One field of ``--mount``, in which paths may have commas."""
    return '"' + field.replace('"', '""') + '"' if "," in field or '"' in field else field


def _is_absent(said: str) -> bool:
    words = said.lower()
    return "no such" in words or "not known" in words or "not found" in words


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it did not say why"
