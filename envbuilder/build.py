"""From a spec to a ready environment: found, or built aside under a lock, verified and renamed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from dray.envbuilder import environment as envs
from dray.envbuilder.builders import builder_of
from dray.envbuilder.builders.base import Builder
from dray.envbuilder.cache import remove_leftovers, size_of
from dray.envbuilder.environment import Environment, Ready
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.interpreters import Interpreter, describe
from dray.envbuilder.locks import FileLock, pauses, try_lock
from dray.envbuilder.log import LogWriter, say
from dray.envbuilder.place import NODE, Place
from dray.envbuilder.process import finish_in_thread, within
from dray.envbuilder.spec import EnvironmentSpec, environment_key
from dray.envbuilder.surroundings import agent_variables, installer_variables
from dray.runtime.paths import NodePaths

#: Half an hour: a large stack compiled from source takes minutes, a hung index takes for ever.
BUILD_LIMIT_S = 1800.0

_LIST_INSTALLED = """
import json
from importlib.metadata import distributions
names = {"%s==%s" % (d.metadata["Name"], d.version) for d in distributions() if d.metadata["Name"]}
print(json.dumps(sorted(names, key=str.lower)))
"""


async def ensure_environment(
    spec: EnvironmentSpec,
    node: NodePaths,
    log: LogWriter,
    *,
    place: Place = NODE,
    builder: Builder | None = None,
    limit_s: float = BUILD_LIMIT_S,
) -> Environment:
    """The environment of ``spec``, kept from eviction until its ``release()``.

    A finished one is handed out without starting a process or a thread. Otherwise one caller of the
    node builds it and the others wait. Safe to cancel: the installer is stopped, what it made is
    removed and the lock is free.

    ``place`` is where it is built and used. ``builder`` makes it if it must be made; the default is
    the one that ``spec.manager`` names. ``limit_s`` is for everything together, waiting for
    another's build included.

    Raises:
        PreparationFailed: of kind ``environment_failed``.
    """
    began = time.monotonic()
    maker = builder or builder_of(spec.manager)
    interpreter = await maker.interpreter(spec, place)
    key = environment_key(spec, interpreter, place.mark)
    plan = _Plan(spec, interpreter, key, node, log, maker, place)
    claimed = await _claim(plan, limit_s)
    reused = not claimed.built
    seconds = time.monotonic() - began
    if reused:
        say(log, f"environment {plan.key[:12]} is ready ({seconds * 1000:.1f} ms)")
    return envs.environment_of(
        node, plan.key, claimed.ready, claimed.lock, reused=reused, seconds=seconds
    )


@dataclass(frozen=True)
class _Plan:
    spec: EnvironmentSpec
    interpreter: Interpreter
    key: str
    node: NodePaths
    log: LogWriter
    builder: Builder
    place: Place

    @property
    def folder(self) -> Path:
        return envs.folder_of(self.node, self.key)

    @property
    def lock_path(self) -> Path:
        return envs.lock_of(self.node, self.key)


@dataclass(frozen=True)
class _Claim:
    """A finished environment and the shared lock that keeps it."""

    ready: Ready
    lock: FileLock
    built: bool


async def _claim(plan: _Plan, limit_s: float) -> _Claim:
    """The finished environment; what goes wrong on the way has its type afterwards."""
    try:
        return _claim_ready(plan) or await within(limit_s, _claim_or_build(plan))
    except TimeoutError as exc:
        raise environment_failed(
            f"environment {plan.key[:12]} was not ready after {limit_s:g} s; look for a "
            "package that is compiled or an index that does not answer",
            str(exc),
        ) from exc
    except OSError as exc:
        raise environment_failed(f"environment {plan.key[:12]}: {exc}", str(exc)) from exc


def _claim_ready(plan: _Plan) -> _Claim | None:
    lock = try_lock(plan.lock_path, shared=True)
    if lock is None:
        return None
    ready = envs.read_ready(plan.folder)
    if ready is None:
        lock.release()
        return None
    envs.touch(plan.folder)
    return _Claim(ready, lock, built=False)


async def _claim_or_build(plan: _Plan) -> _Claim:
    """Claim it as soon as it is there; build it as soon as nobody else does."""
    told = False
    for pause in pauses():
        claimed = _claim_ready(plan) or await _build_if_free(plan)
        if claimed is not None:
            return claimed
        if not told:
            say(plan.log, "another task is building this environment; waiting for it")
            told = True
        await asyncio.sleep(pause)
    raise AssertionError("pauses() goes on for ever")


async def _build_if_free(plan: _Plan) -> _Claim | None:
    lock = try_lock(plan.lock_path, shared=False)
    if lock is None:
        return None
    try:
        found = envs.read_ready(plan.folder)
        ready = found or await _build(plan)
        if lock.share():
            return _Claim(ready, lock, built=found is None)
    except BaseException:
        lock.release()
        raise
    lock.release()  # evicted in the instant between the two locks: start again
    return None


async def _build(plan: _Plan) -> Ready:
    began = time.monotonic()
    say(
        plan.log,
        f"building environment {plan.key[:12]} with {plan.spec.manager}: Python "
        f"{plan.interpreter.version}, {len(plan.spec.requirements)} requirements",
    )
    await asyncio.to_thread(plan.node.environments.mkdir, parents=True, exist_ok=True)
    await finish_in_thread(asyncio.to_thread(remove_leftovers, plan.node, plan.key))
    aside = plan.node.environments / f"{envs.BUILDING}{plan.key}-{os.getpid()}"
    try:
        await plan.builder.build(plan.spec, plan.interpreter, aside, plan.log, plan.place)
        installed, n_bytes = await asyncio.gather(
            _verify(plan, aside), asyncio.to_thread(size_of, aside)
        )
        seconds = time.monotonic() - began
        ready = Ready(
            python=plan.interpreter.version,
            cache_tag=plan.interpreter.cache_tag,
            manager=plan.spec.manager,
            installed=installed,
            n_bytes=n_bytes,
            seconds=seconds,
        )
        await finish_in_thread(asyncio.to_thread(_put_in_place, aside, plan.folder, ready))
    except BaseException:
        await finish_in_thread(asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True))
        raise
    say(plan.log, f"environment {plan.key[:12]} is built ({seconds:.1f} s)")
    return ready


async def _verify(plan: _Plan, folder: Path) -> list[str]:
    """What is installed, told by the interpreter itself, which is thereby known to start."""
    python = envs.python_of(folder)
    made = await describe(python, plan.place.run)
    if made.version != plan.interpreter.version:
        raise environment_failed(
            f"{plan.spec.manager} made an environment with Python {made.version} where "
            f"{plan.interpreter.version} was asked for"
        )
    finished = await plan.place.run(
        [python, "-I", "-c", _LIST_INSTALLED],
        env=installer_variables(agent_variables()),
        keep_stdout=True,
    )
    try:
        return cast("list[str]", json.loads(finished.stdout))
    except ValueError as exc:
        raise environment_failed(
            f"the interpreter of environment {plan.key[:12]} does not start with the packages "
            f"installed (exit code {finished.code})",
            finished.tail,
        ) from exc


def _put_in_place(aside: Path, folder: Path, ready: Ready) -> None:
    """Mark and rename; what stands there is unusable, or it would have been claimed."""
    envs.write_ready(aside, ready)
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)
