"""BuilderActor: makes environments on its node ahead of need, and answers for its cache."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import shutil
import signal
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import anyio

from dray.actors import ahead_process, handles
from dray.actors.lifetime import log_to, run_for_life
from dray.actors.orders import AheadOrder, AheadReport, Health
from dray.actors.yielding import stop_yielding
from dray.envbuilder.cache import eviction as cache
from dray.envbuilder.cache import inventory
from dray.envbuilder.cache.environment import BUILDING
from dray.envbuilder.cache.limits import limits_of
from dray.envbuilder.tools.locks import FileLock, try_lock
from dray.envbuilder.tools.process import finish_in_thread
from dray.runtime.config import Settings
from dray.runtime.environments import (
    EnvironmentBuilt,
    EnvironmentDetails,
    EnvironmentWhy,
    NodeEnvironments,
    Pruned,
)
from dray.runtime.errors import DrayError, PreparationFailed
from dray.runtime.ids import new_id
from dray.runtime.paths import NodePaths
from dray.runtime.process_tree import descendants
from dray.runtime.subprocesses import ChildProcess, Supervisor

T = TypeVar("T")

log = logging.getLogger("dray.builder")

#: Between two looks whether a task of this node has its environment built.
CALM_EVERY_S = 0.5
#: A node whose tasks are prepared without a pause is not waited for longer.
CALM_WITHIN_S = 600.0
#: From TERM to KILL: an installer is stopped, and what it made is removed.
STOP_GRACE_S = 10.0
#: Of what a build says, the end is kept.
LOG_BYTES = 16 << 10
#: Builds that a builder remembers, so that one that is asked for again is answered at once.
REMEMBERED = 256
#: The folder of what is built ahead, in the node's cache.
_FOLDER = "ahead"
#: In the folder of a builder, locked by it, so that the kernel tells when it is gone.
_LOCK = "lock"
#: Younger folders may be about to be locked.
_YOUNG_S = 60.0


@dataclass
class _Build:
    """One build, from its order to its report.

    Attributes:
        scope: of its work; cancelled when nobody wants it any more.
        wanted: a task of this node waits for it: it yields no more, and imports are not tried.
        process: that does it, once it has begun.
        output: what that found out.
        log: the end of what it said.
        began: monotonic time.
    """

    order: AheadOrder
    report: asyncio.Future[AheadReport]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    wanted: bool = False
    process: ChildProcess | None = None
    output: bytes = b""
    log: bytes = b""
    began: float = field(default_factory=time.monotonic)


class BuilderActor:
    """One a node, made when there is something to build or to ask; holds no CPU and no GPU.

    Owns: nothing but what is on the node's disk, under its locks; and the one process it builds
    in, which ends with it.
    Rebuilt from: nothing. It never restarts: whoever needs one makes another.
    Guarantees: one build at a time; nothing half-built is ever used, whenever it is killed.
    """

    async def __init__(self, settings: Settings) -> None:
        self._node = NodePaths(settings.cache)
        log_to(self._node.root / "logs", "builder")
        self._settings = settings
        self._name = platform.node()
        self._folder = self._node.root / _FOLDER / new_id()
        self._lock: FileLock | None = None
        self._supervisor = Supervisor()
        #: {content: build}, those that wait and the one that is under way.
        self._builds: dict[str, _Build] = {}
        #: {content: report}, least recently asked for first; verdicts are not remembered.
        self._reports: OrderedDict[str, AheadReport] = OrderedDict()
        self._one = asyncio.Lock()
        self._n_calls = 0
        self._idle_since = time.monotonic()
        await asyncio.to_thread(self._settle_in)
        self._main = run_for_life(self._run(), "builder")

    async def alive(self) -> Health:
        """That it does not hang."""
        return handles.own_health()

    async def build_ahead(self, order: AheadOrder) -> AheadReport:
        """Make a task's environment and look at its imports; asked again, wait for the same end."""
        known = self._reports.get(order.content)
        if known is not None:
            return known
        build = self._builds.get(order.content)
        if build is None:
            future = asyncio.get_running_loop().create_future()
            build = self._builds[order.content] = _Build(order, future)
            asyncio.create_task(self._see_through(build))  # noqa: RUF006 - its future is awaited
        return await asyncio.shield(build.report)

    async def wanted(self, content: str) -> None:
        """A task is being prepared here that needs this: it is not to wait for something idle."""
        build = self._builds.get(content)
        if build is None or build.wanted:
            return
        build.wanted = True
        if build.process is None:
            build.scope.cancel()  # its agent is the quicker one
        else:
            pid = build.process.pid
            build.process.send_signal(ahead_process.WANTED)
            await asyncio.to_thread(lambda: stop_yielding([pid, *descendants(pid)]))

    async def cancel(self, content: str) -> None:
        """Nobody wants this any more."""
        build = self._builds.get(content)
        if build is not None:
            build.scope.cancel()

    async def environments(self) -> NodeEnvironments:
        """What is in the node's cache."""
        with self._busy():
            return await asyncio.to_thread(
                inventory.list_environments, self._node, limits_of(self._settings), self._name
            )

    async def environment(self, key: str) -> EnvironmentDetails | DrayError:
        """One environment in full, or why not."""
        return await self._answer(
            lambda: inventory.environment_details(self._node, key, self._name)
        )

    async def why(self, key: str, against: str) -> EnvironmentWhy | DrayError:
        """What sets an environment apart, or why that cannot be said."""
        return await self._answer(lambda: inventory.why_environment(self._node, key, against))

    async def prune(self, keys: list[str], unused_for_s: float) -> Pruned:
        """Remove environments that nothing uses."""
        with self._busy():
            return await cache.prune(self._node, self._name, keys=keys, unused_for_s=unused_for_s)

    async def build(self, order: AheadOrder) -> EnvironmentBuilt | DrayError:
        """Make an environment because a person asks for it, or say why not."""
        with self._busy():
            began = time.monotonic()
            future = asyncio.get_running_loop().create_future()
            build = _Build(order, future, wanted=True)
            report = await self._work(build)
            told = [*([report.cause.message] if report.cause else []), *report.notes]
            said = "\n".join([build.log.decode("utf-8", "replace"), *told])
            if report.environment is None:
                message = told[0] if told else "it ended without a word"
                return PreparationFailed(message, kind="environment_failed", evidence=said)
            key = report.environment.key
            entry = await asyncio.to_thread(inventory.cached_environment, self._node, key)
            seconds = time.monotonic() - began
            return EnvironmentBuilt(self._name, entry, report.environment.reused, seconds, said)

    async def _answer(self, look: Callable[[], T]) -> T | DrayError:
        """What somebody asked for; errors come back as they are, not as traces of Ray's."""
        with self._busy():
            try:
                return await asyncio.to_thread(look)
            except DrayError as exc:
                return exc

    @contextlib.contextmanager
    def _busy(self) -> Generator[None]:
        self._n_calls += 1
        try:
            yield
        finally:
            self._n_calls -= 1
            self._idle_since = time.monotonic()

    async def _see_through(self, build: _Build) -> None:
        order = build.order
        last = AheadReport(notes=["it was given up: its task has its turn, or left its queue"])
        try:
            with self._busy(), build.scope:
                async with self._one:
                    await self._until_calm()
                    last = await self._work(build)
        except Exception as exc:  # a fault of ours must not leave whoever waits without an answer
            log.exception("the environment of task %s could not be seen to", order.task_id[:8])
            last = AheadReport(notes=[f"its builder failed: {exc!r}"])
        finally:
            del self._builds[order.content]
            self._tell(build, last)
        report = build.report.result()
        if report.environment is not None and report.cause is None:
            self._reports[order.content] = report
            while len(self._reports) > REMEMBERED:
                self._reports.popitem(last=False)

    def _keep(self, build: _Build, stream: str, data: bytes) -> None:
        """What the process of a build writes; its report is not for long what all of it is."""
        if stream != "stdout":
            build.log = (build.log + data)[-LOG_BYTES:]
            return
        build.output += data
        if data.endswith(b"\n"):
            report = ahead_process.report_of(build.output.decode("utf-8", "replace"))
            if report.looked_at:  # what it does from now on is for those who run there
                self._tell(build, report)

    def _tell(self, build: _Build, report: AheadReport) -> None:
        if not build.report.done():
            seconds = time.monotonic() - build.began
            build.report.set_result(replace(report, node=self._name, seconds=seconds))

    async def _work(self, build: _Build) -> AheadReport:
        """Do it in a process of its own; cancelling ends that with everything below it."""
        folder = self._folder / new_id()
        command = await finish_in_thread(asyncio.to_thread(self._lay, folder, build.order))
        try:
            build.process = process = await self._supervisor.spawn(
                command,
                cwd=folder,
                on_output=lambda stream, data: self._keep(build, stream, data),
            )
            try:
                status = await process.wait()
            except asyncio.CancelledError:
                with anyio.CancelScope(shield=True):
                    await process.stop(STOP_GRACE_S, signal.SIGTERM)
                raise
            report = ahead_process.report_of(build.output.decode("utf-8", "replace"))
            if status.exit_code != 0:
                tail = build.log.decode("utf-8", "replace")[-2000:]
                log.warning("building ahead ended with %s: %s", status, tail)
                what = f"building it ahead broke off ({status.exit_code or status.signal})"
                return replace(report, notes=[*report.notes, what])
            return report
        finally:
            build.process = None
            with anyio.CancelScope(shield=True):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _lay(self, folder: Path, order: AheadOrder) -> list[str]:
        folder.mkdir(mode=0o700)
        return ahead_process.command(folder, order, self._settings)

    async def _until_calm(self) -> None:
        """Wait while a task of this node has its environment built: that one comes first."""
        with anyio.move_on_after(CALM_WITHIN_S):
            # Locks of other processes are all there is to see, and flock tells nobody.
            while await asyncio.to_thread(self._is_building):  # noqa: ASYNC110
                await anyio.sleep(CALM_EVERY_S)

    def _is_building(self) -> bool:
        cache.remove_leftovers(self._node)  # what is left then has a living maker
        return any(f.name.startswith(BUILDING) for f in cache.folders(self._node))

    async def _run(self) -> None:
        """Live as long as there is something to do."""
        idle_s = self._settings.agent_idle_s
        rest_s = idle_s
        while rest_s > 0 or self._n_calls:
            await anyio.sleep(max(rest_s, 1.0))
            rest_s = self._idle_since + idle_s - time.monotonic()
        await self._supervisor.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        log.info("nothing to do for %g s: the next one who needs a builder makes one", idle_s)
        await asyncio.to_thread(handles.kill, handles.builder_actor_name(handles.own_node_id()))

    def _settle_in(self) -> None:
        """Make the folder of this builder; remove those of builders that are gone."""
        self._folder.mkdir(mode=0o700, parents=True)
        self._lock = try_lock(self._folder / _LOCK, shared=False)
        for folder in self._folder.parent.iterdir():
            with contextlib.suppress(FileNotFoundError):  # its builder has just removed it
                if time.time() - folder.stat().st_mtime < _YOUNG_S:
                    continue  # it may be about to be locked
                lock = try_lock(folder / _LOCK, shared=False)
                if lock is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    lock.release()
