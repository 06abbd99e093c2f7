"""From a spec to a ready environment: found whole, or built under a lock while others wait."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path

from dray.envbuilder.builders import builder_of
from dray.envbuilder.builders.base import Builder
from dray.envbuilder.cache import contents
from dray.envbuilder.cache import environment as envs
from dray.envbuilder.cache.environment import Environment, Ready
from dray.envbuilder.cache.limits import CacheLimits
from dray.envbuilder.cache.making import Plan, make
from dray.envbuilder.cache.progress import Follower, RememberingLog
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.place import NODE, Place
from dray.envbuilder.spec import EnvironmentSpec, environment_key
from dray.envbuilder.tools.locks import READ_ONLY, FileLock, pauses, try_lock
from dray.envbuilder.tools.log import LogWriter, say
from dray.envbuilder.tools.process import finish_in_thread, within
from dray.runtime.paths import NodePaths


async def ensure_environment(
    spec: EnvironmentSpec,
    node: NodePaths,
    log: LogWriter,
    *,
    place: Place = NODE,
    builder: Builder | None = None,
    limits: CacheLimits | None = None,
) -> Environment:
    """The environment of ``spec``, kept from eviction until its ``release()``.

    A finished one is handed out without starting a process or a thread; once in a boot of the
    machine all its files are compared first. Otherwise one caller of the node builds it, and the
    others wait and read what it says. Safe to cancel: the installer is stopped, what it made is
    removed and the lock is free.

    ``place`` is where it is built and used. ``builder`` makes it if it must be made; the default is
    the one that ``spec.manager`` names. ``limits.build_s`` is for everything together, waiting for
    another's build included.

    Raises:
        PreparationFailed: of kind ``environment_failed``.
    """
    began = time.monotonic()
    maker = builder or builder_of(spec.manager)
    interpreter = await maker.interpreter(spec, place)
    key = environment_key(spec, interpreter, place.mark)
    heard = RememberingLog(log)
    plan = Plan(spec, interpreter, key, node, heard, maker, place, limits or CacheLimits())
    claim = await _claim(plan, heard)
    reused = not claim.built
    seconds = time.monotonic() - began
    if reused:
        say(log, f"environment {key[:12]} is ready ({seconds * 1000:.1f} ms)")
    return envs.environment_of(
        node,
        claim.slot,
        # What leads to the same key need not be what led to its build.
        replace(claim.ready, origin=spec.origin),
        claim.lock,
        reused=reused,
        seconds=seconds,
    )


@dataclass(frozen=True)
class _Claim:
    """A finished environment and the shared lock that keeps it."""

    slot: str
    ready: Ready
    lock: FileLock
    built: bool


async def _claim(plan: Plan, heard: RememberingLog) -> _Claim:
    """The finished environment; what goes wrong on the way has its type afterwards."""
    try:
        return _claim_at_once(plan) or await within(plan.limits.build_s, _claim_or_build(plan))
    except TimeoutError as exc:
        raise environment_failed(
            f"environment {plan.key[:12]} was not ready after {plan.limits.build_s:g} s "
            "(environment_build_limit_s); look in its last lines for a package that is compiled "
            "or an index that does not answer",
            heard.tail or str(exc),
        ) from exc
    except OSError as exc:
        hint = ""
        if exc.errno in READ_ONLY:
            hint = "; set DRAY_CACHE to a folder that agents of this node can write to"
        raise environment_failed(f"environment {plan.key[:12]}: {exc}{hint}", str(exc)) from exc


def _claim_at_once(plan: Plan) -> _Claim | None:
    """The environment if it is there and nothing about it needs a closer look."""
    slot = envs.slot_of(plan.key, 0)
    lock = envs.refer(plan.node, slot)
    if lock is None:
        return None
    folder = envs.folder_of(plan.node, slot)
    ready = envs.read_ready(folder)
    if ready and contents.is_checked(folder) and not envs.changed_packages(folder, ready):
        envs.touch(folder)
        return _Claim(slot, ready, lock, built=False)
    lock.release()
    return None


async def _claim_or_build(plan: Plan) -> _Claim:
    """Claim it as soon as it is there; build it as soon as nobody else does."""
    n = 0
    slot = plan.key
    follower = Follower(envs.log_of(plan.node, slot), plan.log)
    told = False
    try:
        for pause in pauses():
            claim = await _claim_ready(plan, slot) or await _build_if_free(plan, slot)
            if claim is not None:
                return claim
            if _is_used_though_broken(plan, slot):
                n += 1
                slot = envs.slot_of(plan.key, n)
                follower.close()
                follower = Follower(envs.log_of(plan.node, slot), plan.log)
                continue
            if not told:
                say(plan.log, "another task is building this environment; waiting for it")
                told = True
            follower.look()
            await asyncio.sleep(pause)
    finally:
        follower.close()
    raise AssertionError("pauses() goes on for ever")


async def _claim_ready(plan: Plan, slot: str) -> _Claim | None:
    lock = envs.refer(plan.node, slot)
    if lock is None:
        return None
    try:
        ready = await _whole(plan, envs.folder_of(plan.node, slot))
    except BaseException:
        lock.release()
        raise
    if ready is None:
        lock.release()
        return None
    envs.touch(envs.folder_of(plan.node, slot))
    return _Claim(slot, ready, lock, built=False)


async def _whole(plan: Plan, folder: Path) -> Ready | None:
    """Its marker, once all of it is seen to be as it was built; else it is marked as broken."""
    ready = envs.read_ready(folder)
    if ready is None:
        return None
    problem = envs.changed_packages(folder, ready)
    if not problem and not contents.is_checked(folder):
        problem = await finish_in_thread(asyncio.to_thread(contents.difference, folder))
    if not problem:
        contents.note_checked(folder)
        return ready
    say(plan.log, f"environment {plan.key[:12]} is not as it was built ({problem}): building anew")
    envs.mark_broken(folder, problem)
    return None


def _is_used_though_broken(plan: Plan, slot: str) -> bool:
    """Whether tasks run in what cannot be used any more: they keep it, others get a second one."""
    folder = envs.folder_of(plan.node, slot)
    if not folder.is_dir() or envs.read_ready(folder) is not None:
        return False
    lock = envs.refer(plan.node, slot)
    if lock is None:
        return False  # it is being built or removed
    lock.release()
    return True


async def _build_if_free(plan: Plan, slot: str) -> _Claim | None:
    lock = try_lock(envs.lock_of(plan.node, slot), shared=False)
    if lock is None:
        return None
    try:
        found = await _whole(plan, envs.folder_of(plan.node, slot))
        ready = found or await make(plan, slot)
        if lock.share():
            return _Claim(slot, ready, lock, built=found is None)
    except BaseException:
        lock.release()
        raise
    lock.release()  # evicted in the instant between the two locks: start again
    return None
