"""Run tools in containers that are gone afterwards, whatever becomes of the caller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dray.envbuilder.containers.arguments import Mount
from dray.envbuilder.containers.client import absent, client_variables, is_unreachable, refused
from dray.envbuilder.containers.engine import LABEL_CACHE, LABEL_HOLDER, ContainerRun, Engine
from dray.envbuilder.containers.holders import own_holder
from dray.envbuilder.containers.script import start_script
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.tools.log import LogWriter
from dray.envbuilder.tools.process import Finished, finish_in_thread, run_tool
from dray.runtime.errors import DrayError, PreparationFailed
from dray.runtime.ids import new_id
from dray.runtime.paths import NodePaths

#: The client's standard input is a pipe that it opens itself for reading and writing, so that it
#: is open exactly as long as the client lives: its end is what a container's script waits for.
_ATTACH = 'exec "$@" <>"$0"'


def attached(engine: Engine, command: list[str], node: NodePaths) -> list[str]:
    """``command`` so that its container ends with it, however it ends."""
    if not engine.keeps_containers:
        return command
    return ["/bin/sh", "-c", _ATTACH, str(_pipe_of(node)), *command]


def _pipe_of(node: NodePaths) -> Path:
    return node.containers / "stdin"


def make_pipe(node: NodePaths) -> None:
    """Make the pipe that nobody ever writes into; one serves all clients. For a thread."""
    pipe = _pipe_of(node)
    node.containers.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkfifo(pipe, 0o600)
    if not stat.S_ISFIFO(pipe.stat().st_mode):
        raise environment_failed(f"{pipe} is no pipe; remove it, Dray makes it anew")


@dataclass(frozen=True)
class Bench:
    """Where tools run: an engine on a node."""

    engine: Engine
    node: NodePaths

    async def run(
        self,
        job: ContainerRun,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: LogWriter | None = None,
        keep_stdout: bool = False,
    ) -> Finished:
        """Run ``argv`` in the container of ``job`` to its end, as ``run_tool`` does on the node.

        Name, script and labels of ``job`` are made here. It is removed unless ``job.kept``, and
        always when this is cancelled or fails.

        Raises:
            PreparationFailed: the container could not be started; says which fault it was.
        """
        name = job.name or f"dray-tool-{new_id()[:12]}"
        folder = self.node.containers / "runs" / name
        run = replace(
            job,
            name=name,
            script=folder / "start.sh",
            mounts=(*job.mounts, Mount(str(folder), str(folder), read_only=False)),
            labels={**job.labels, LABEL_CACHE: str(self.node.root)},
        )
        is_left = True
        try:
            text = start_script(
                argv, env, cwd, folder / "started", watches=self.engine.keeps_containers
            )
            holder = await finish_in_thread(asyncio.to_thread(self._prepare, run, text))
            run = replace(run, labels={**run.labels, LABEL_HOLDER: str(holder)})
            command = attached(self.engine, self.engine.command(run), self.node)
            finished = await run_tool(
                command, env=client_variables(), log=log, keep_stdout=keep_stdout
            )
            is_started = await asyncio.to_thread((folder / "started").exists)
            is_left = run.kept and not is_started
            if not is_started:
                raise not_started(self.engine, finished.tail)
            return finished
        except FileNotFoundError as exc:
            raise absent(self.engine.name) from exc
        finally:
            if is_left:
                await remove_quietly(self.engine, name)
            await finish_in_thread(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    def _prepare(self, run: ContainerRun, text: str) -> Path:
        """Make the files; returns the lock file that keeps the container from being swept."""
        make_pipe(self.node)
        run.script.parent.mkdir(parents=True, mode=0o700)
        write_private(run.script, text)
        return own_holder(self.node)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its user may read, from its first byte on."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


async def remove_quietly(engine: Engine, name: str) -> bool:
    """Remove a container, also while the caller is being cancelled; False: it may be there yet."""
    if not engine.keeps_containers:
        return True
    removal = asyncio.ensure_future(engine.remove(name))
    try:
        await asyncio.shield(removal)
    except asyncio.CancelledError:
        await asyncio.wait({removal})
        raise
    except (DrayError, OSError):
        return False  # the sweep finds it by its labels
    return True


def not_started(engine: Engine, said: str) -> PreparationFailed:
    """The failure of a container that never came to its script, by what its engine said."""
    words = said.lower()
    if is_unreachable(said):
        return refused(engine.name, said)
    if "/bin/sh" in words and ("no such file" in words or "not found" in words):
        return environment_failed(
            "the image has no /bin/sh, which Dray starts tasks with; take one with a shell "
            "(distroless and scratch images have none)",
            said,
            field="execution.container.image",
        )
    if "container-init" in words or "docker-init" in words or "catatonit" in words:
        return environment_failed(
            f"{engine.name} has no init for containers on this node; install it (Debian: "
            "`apt-get install catatonit` for podman, tini for docker)",
            said,
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    what = next(
        (each for each in lines if "rror" in each), lines[-1] if lines else "it said nothing"
    )
    return environment_failed(
        f"{engine.name} could not start the container: {what}", said, field="execution.container"
    )
