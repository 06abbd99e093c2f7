"""A container as a place: the same tools, the same paths, another system around them."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dray.envbuilder.containers.arguments import Checked, Mount
from dray.envbuilder.containers.bench import Bench, attached, make_pipe, write_private
from dray.envbuilder.containers.box import Box
from dray.envbuilder.containers.client import client_variables
from dray.envbuilder.containers.engine import LABEL_CACHE, LABEL_HOLDER, ContainerRun
from dray.envbuilder.containers.images import Image
from dray.envbuilder.containers.pythons import managed_folders, managed_pythons
from dray.envbuilder.containers.script import start_script
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.launch.plan import LaunchPlan
from dray.envbuilder.tools.interpreters import (
    OLDEST,
    Interpreter,
    check_request,
    describe,
    matches,
    version_order,
)
from dray.envbuilder.tools.log import LogWriter
from dray.envbuilder.tools.process import Finished, finish_in_thread
from dray.envbuilder.tools.surroundings import agent_variables
from dray.runtime.paths import AttemptPaths, NodePaths

#: Folders of a node's cache that tools in a container work on; the others they do not see.
_WORKED_ON = ("environments", "childcode", "caches")
#: Of the node's tools, those that mean another place in a container.
_NODES_OWN = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "PYENV_ROOT", "SSH_AUTH_SOCK")
#: Whose values are files of the node that tools read: certificates, logins, wheels.
_FILES = re.compile(r"(PIP|UV|SSL|CURL|REQUESTS)_\w+|NETRC|GIT_SSL_CAINFO")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Occupant:
    """The attempt that a container is for.

    Attributes:
        paths: its folders.
        holder: the lock file that its agent holds as long as the attempt is under way.
        gpus: that Ray gave to its agent.
        memory_bytes: limit; 0: none.
    """

    task_id: str
    epoch: int
    agent: str
    node_name: str
    paths: AttemptPaths
    holder: Path
    gpus: tuple[str, ...] = ()
    memory_bytes: int = 0


@dataclass
class ContainerPlace:
    """See :class:`dray.envbuilder.place.Place`.

    Attributes:
        occupant: None where an environment is made that no attempt waits for yet.
        own_pythons: take the image's own Pythons alone, not those that uv has on the node.
        folders: of the node, that the task may read.
        box: the task's container, once ``launch`` was called.
    """

    bench: Bench
    image: Image
    arguments: Checked = field(default_factory=Checked)
    occupant: Occupant | None = None
    own_pythons: bool = False
    folders: tuple[str, ...] = ()
    box: Box | None = None

    @property
    def mark(self) -> str:
        """See :class:`dray.envbuilder.place.Place`: the image's content, whatever its name."""
        return self.image.id

    def variables(self) -> Mapping[str, str]:
        """What a process inherits in this place: the image's variables, with what the task gave."""
        agent = agent_variables()
        names = (*_PROXIES, *(name.lower() for name in _PROXIES))
        variables = {name: agent[name] for name in names if name in agent}
        variables.update(self.image.variables)
        if os.getuid() != 0 and self.occupant is not None:
            home = str(self.occupant.paths.root / "home")
            name = agent.get("USER", "dray")
            variables.update(HOME=home, USER=name, LOGNAME=name)
        return {**variables, **self.arguments.variables}

    async def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        log: LogWriter | None = None,
        keep_stdout: bool = False,
    ) -> Finished:
        """See :class:`dray.envbuilder.place.Place`: in a container that is gone afterwards."""
        words = [str(word) for word in argv]
        variables = self._tool_variables(env)
        mounts, hidden = await finish_in_thread(
            asyncio.to_thread(self._tool_mounts, words, variables)
        )
        network = Checked(network=self.arguments.network)
        job = ContainerRun("", self.image.run, Path(), mounts, hidden, arguments=network)
        return await self.bench.run(
            job,
            words,
            env=variables,
            cwd=cwd or Path("/"),
            log=log,
            keep_stdout=keep_stdout,
        )

    async def find_interpreter(self, request: str) -> Interpreter:
        """See :class:`dray.envbuilder.place.Place`: the image's own first, then uv's.

        Nothing asked for is the image's own, where it has one that is new enough.
        """
        check_request(request)
        usable = [p for p in self.image.pythons if version_order(p.version)[:2] >= OLDEST]
        found = next((p for p in usable if matches(p.version, request)), None)
        if found is not None:
            return found
        managed: dict[str, Path] = {}
        if self.image.has_glibc and not self.own_pythons:
            managed = await managed_pythons()
        for version in sorted(managed, key=version_order, reverse=True):
            if matches(version, request):
                return await describe(managed[version], self.run)
        here = sorted({p.version for p in usable} | set(managed), key=version_order, reverse=True)
        raise self._no_python(request, here)

    def launch(self, plan: LaunchPlan) -> LaunchPlan:
        """See :class:`dray.envbuilder.place.Place`: the engine's client, in the foreground.

        Writes files, so it is for a thread.
        """
        occupant = self.occupant
        if occupant is None:
            raise RuntimeError("a container without an attempt is for tools")
        if occupant.memory_bytes and self.arguments.value("--memory") is not None:
            raise environment_failed(
                "execution.container.arguments: --memory is given, and the task's resources say "
                "memory_bytes; give one of them",
                field="execution.container.arguments",
                value="--memory",
            )
        folder = occupant.paths.root / "container"
        name = f"dray-{occupant.task_id[:8]}-{occupant.epoch}"
        run = ContainerRun(
            name=name,
            image=self.image.run,
            script=folder / "start.sh",
            mounts=self._task_mounts(plan, occupant),
            labels=self._labels(occupant),
            gpus=occupant.gpus,
            memory_bytes=occupant.memory_bytes,
            arguments=self.arguments,
            kept=True,
        )
        env = self._task_variables(plan, occupant)
        watches = self.bench.engine.keeps_containers
        script = start_script(plan.argv, env, plan.cwd, folder / "started", watches=watches)
        command = attached(self.bench.engine, self.bench.engine.command(run), self.bench.node)
        self._lay_out(run, script, occupant)
        self.box = Box(self.bench.engine, name, folder / "started", occupant.memory_bytes)
        client = client_variables()
        client["DRAY_SPOOL"] = plan.env["DRAY_SPOOL"]  # by which lost processes are found
        return replace(plan, argv=command, env=client)

    def _lay_out(self, run: ContainerRun, script: str, occupant: Occupant) -> None:
        make_pipe(self.bench.node)
        run.script.parent.mkdir(mode=0o700)
        write_private(run.script, script)
        (occupant.paths.root / "home").mkdir(exist_ok=True, mode=0o700)

    def _labels(self, occupant: Occupant) -> dict[str, str]:
        return {
            "dray.task": occupant.task_id,
            "dray.epoch": str(occupant.epoch),
            "dray.agent": occupant.agent,
            "dray.node": occupant.node_name,
            LABEL_CACHE: str(self.bench.node.root),
            LABEL_HOLDER: str(occupant.holder),
        }

    def _task_variables(self, plan: LaunchPlan, occupant: Occupant) -> dict[str, str]:
        env = dict(plan.env)
        gpus = occupant.gpus
        if gpus and self.bench.engine.keeps_containers and all(gpu.isdigit() for gpu in gpus):
            # The engine shows these alone, and CUDA counts what it sees.
            env["CUDA_VISIBLE_DEVICES"] = ",".join(str(n) for n in range(len(gpus)))
        more = [self.arguments.variables.get("PYTHONPATH", "")]
        if self.own_pythons:
            more.append(self.image.variables.get("PYTHONPATH", ""))
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [env.get("PYTHONPATH", ""), *more]))
        return env

    def _task_mounts(self, plan: LaunchPlan, occupant: Occupant) -> tuple[Mount, ...]:
        """What a task sees of its node: its own folder, its environment, Dray's code for it."""
        node = self.bench.node
        own = str(occupant.paths.root)
        readable = [str(node.childcode), plan.env["VIRTUAL_ENV"], *self.folders]
        if not self.own_pythons:
            readable += managed_folders()
        mounts = [Mount(own, own, read_only=False)]
        mounts += [Mount(path, path) for path in dict.fromkeys(readable) if os.path.isdir(path)]
        for mount in self.arguments.mounts:
            if _overlap(mount.target, str(node.root)):
                raise environment_failed(
                    f"execution.container.arguments: --volume to {mount.target} would cover what "
                    f"Dray mounts below {node.root}; choose another path inside",
                    field="execution.container.arguments",
                    value=mount.target,
                )
            mounts.append(mount)
        return tuple(mounts)

    def _tool_variables(self, env: Mapping[str, str]) -> dict[str, str]:
        """What an installer may see, with homes and caches that the container can write to."""
        caches, agent = _caches(self.bench.node, self.image), agent_variables()
        kept = {
            name: value
            for name, value in env.items()
            if value != agent.get(name) or not (name in _NODES_OWN or name.startswith("XDG_"))
        }
        path = self.image.variables.get("PATH", "")
        if "PATH" in kept:  # a builder added to it, or took away
            nodes_own = agent.get("PATH", "").split(os.pathsep)
            added = [f for f in kept["PATH"].split(os.pathsep) if f not in nodes_own]
            path = os.pathsep.join([*added, path])
        return {
            "HOME": str(caches / "home"),
            "XDG_CACHE_HOME": str(caches),
            **kept,
            "PATH": path,
            "UV_CACHE_DIR": str(caches / "uv"),
            "PIP_CACHE_DIR": str(caches / "pip"),
        }

    def _tool_mounts(
        self, argv: Sequence[str], env: Mapping[str, str]
    ) -> tuple[tuple[Mount, ...], tuple[Path, ...]]:
        """For installers: the cache's environments and installers' caches in one mount.

        One, because hard links do not go from one mount to another.
        """
        node, inside = self.bench.node, {str(python.path) for python in self.image.pythons}
        for name in ("environments", "childcode"):
            (node.root / name).mkdir(parents=True, exist_ok=True)
        (_caches(node, self.image) / "home").mkdir(parents=True, exist_ok=True)
        if self.bench.engine.keeps_containers:
            shown = [str(node.root)]
            folders = [Path(e.path) for e in os.scandir(node.root) if e.is_dir()]
            hidden = tuple(f for f in sorted(folders) if f.name not in _WORKED_ON)
        else:
            shown, hidden = [str(node.root / name) for name in _WORKED_ON], ()
        mounts = [Mount(path, path, read_only=False) for path in shown]
        if self.occupant is not None and self.occupant.paths.code.is_dir():
            code = str(self.occupant.paths.code)
            mounts.append(Mount(code, code, read_only=False))
        files = [value for name, value in env.items() if _FILES.fullmatch(name)]
        readable = [*managed_folders(), *_words(files), *argv]
        for path in dict.fromkeys(readable):
            if not path.startswith("/") or path in inside or not os.path.exists(path):
                continue
            above = [mount.source for mount in mounts[1:] if _is_below(path, mount.source)]
            is_hidden = any(_is_below(path, str(folder)) for folder in hidden)
            if not above and (is_hidden or not _is_below(path, mounts[0].source)):
                mounts.append(Mount(path, path))
        return tuple(mounts), hidden

    def _no_python(self, request: str, here: list[str]) -> Exception:
        if self.own_pythons or not self.image.has_glibc:
            way = "take an image that has it"
            if not self.image.has_glibc:
                way += f" (this one is built on {self.image.libc}, where uv's Pythons do not run)"
        else:
            way = f"take an image that has it, or run `uv python install {request or '3.11'}` there"
        wanted = f"Python {request}" if request else "A Python of 3.10 or newer"
        return environment_failed(
            f"{wanted} was asked for and is not in image {self.image.reference!r}; there is "
            f"{', '.join(here) or 'none'}; {way}, or set execution.python_version",
            field="execution.python_version",
            value=request,
            found=here,
        )


def _caches(node: NodePaths, image: Image) -> Path:
    """Where installers keep what they download or build; apart by libc, which it depends on."""
    return node.root / "caches" / image.libc


def _words(values: Sequence[str]) -> list[str]:
    return [word for value in values for word in value.split()]


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _overlap(one: str, other: str) -> bool:
    return _is_below(one, other) or _is_below(other, one)
