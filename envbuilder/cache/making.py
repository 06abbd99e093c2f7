"""Build one environment aside, see that it starts, say what is in it, rename it into place."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dray.envbuilder.builders.base import Builder
from dray.envbuilder.cache import contents, installed
from dray.envbuilder.cache import environment as envs
from dray.envbuilder.cache.environment import Ready
from dray.envbuilder.cache.eviction import remove_leftovers
from dray.envbuilder.cache.limits import CacheLimits
from dray.envbuilder.cache.progress import SharedLog
from dray.envbuilder.cache.records import damaged
from dray.envbuilder.cache.room import evidence_of, is_full, keep_reserve, make_room, no_room
from dray.envbuilder.cache.uv_cache import forget, why_copied
from dray.envbuilder.failures import environment_failed, redact, without_credentials
from dray.envbuilder.place import Place
from dray.envbuilder.spec import EnvironmentSpec, covered
from dray.envbuilder.tools.interpreters import Interpreter, matches
from dray.envbuilder.tools.log import LogWriter, say
from dray.envbuilder.tools.process import finish_in_thread
from dray.envbuilder.tools.surroundings import agent_variables, installer_variables
from dray.runtime.errors import PreparationFailed
from dray.runtime.paths import NodePaths

#: What an environment may need that fills a disk; doubled with each try.
_ROOM_BYTES = 1 << 30


@dataclass(frozen=True)
class Plan:
    """What one caller wants, and how it is made if it is not there."""

    spec: EnvironmentSpec
    interpreter: Interpreter
    key: str
    node: NodePaths
    log: LogWriter
    builder: Builder
    place: Place
    limits: CacheLimits


async def make(plan: Plan, slot: str) -> Ready:
    """Build ``slot``, whose lock the caller holds exclusively; others may follow what is said.

    A disk that fills up meanwhile costs unused environments, then one more try.

    Raises:
        PreparationFailed: with the installer's last lines; nothing of it stays.
        OSError: the cache cannot be written to.
    """
    await asyncio.to_thread(plan.node.environments.mkdir, parents=True, exist_ok=True)
    await finish_in_thread(asyncio.to_thread(remove_leftovers, plan.node, slot))
    shared = SharedLog(plan.log, envs.log_of(plan.node, slot))
    try:
        await keep_reserve(plan.node, plan.limits, shared)
        return await _make_with_room(plan, slot, shared)
    except PreparationFailed as exc:
        say(shared, f"environment {plan.key[:12]} could not be built: {exc.message}")
        raise
    finally:
        shared.close()


async def _make_with_room(plan: Plan, slot: str, log: LogWriter) -> Ready:
    """Build; once the disk is full, again with twice the room, as long as room can be made."""
    wanted_bytes = max(plan.limits.reserve_bytes, _ROOM_BYTES)
    while True:
        try:
            return await _make(plan, slot, log)
        except (PreparationFailed, OSError) as exc:
            if not is_full(exc):
                raise
            wanted_bytes *= 2
            if not await make_room(plan.node, wanted_bytes, log):
                raise no_room(plan.node, "it ran full", evidence_of(exc)) from exc


async def _make(plan: Plan, slot: str, log: LogWriter) -> Ready:
    began = time.monotonic()
    n_lines = len(plan.spec.requirements)
    say(
        log,
        f"building environment {plan.key[:12]} with {plan.spec.manager}: Python "
        f"{plan.interpreter.version}, {n_lines} requirement{'' if n_lines == 1 else 's'}"
        + (f" of {plan.spec.origin}" if plan.spec.origin != "task" else ""),
    )
    if copied := why_copied(plan.spec, plan.node):
        say(log, copied)
    aside = plan.node.environments / f"{envs.BUILDING}{slot}-{os.getpid()}"
    try:
        made = await _install(plan, aside, log)
        ready = Ready(
            python=made.python,
            cache_tag=plan.interpreter.cache_tag,
            manager=plan.spec.manager,
            installed=made.installed,
            n_bytes=made.n_bytes,
            seconds=time.monotonic() - began,
            platform=plan.interpreter.platform,
            origin=plan.spec.origin,
            torch_backend=plan.spec.torch_backend,
            place=plan.place.mark,
            created_at=time.time(),
            packages=made.packages,
            distributions=made.distributions,
        )
        await finish_in_thread(asyncio.to_thread(_put_in_place, plan, slot, aside, ready))
    except BaseException:
        await finish_in_thread(asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True))
        raise
    say(log, f"environment {plan.key[:12]} is built ({ready.seconds:.1f} s)")
    return ready


@dataclass(frozen=True)
class _Made:
    """What an environment turned out to be."""

    python: str
    installed: list[str]
    packages: list[str]
    distributions: list[str]
    n_bytes: int


async def _install(plan: Plan, aside: Path, log: LogWriter) -> _Made:
    """Build into ``aside`` and look at it; damage in the installer's cache is mended once."""
    # What was changed in place may be of the same size.
    was_broken = envs.problem_of(envs.folder_of(plan.node, plan.key)).exists()
    await plan.builder.build(plan.spec, plan.interpreter, aside, log, plan.place)
    made, bad = await _look(plan, aside, by_hash=was_broken)
    if not bad:
        return made
    say(log, f"damaged in uv's cache, fetching it again: {', '.join(bad)}")
    await forget(bad, plan.place)
    await finish_in_thread(asyncio.to_thread(shutil.rmtree, aside))
    await plan.builder.build(plan.spec, plan.interpreter, aside, log, plan.place)
    made, bad = await _look(plan, aside, by_hash=was_broken)
    if bad:
        say(log, f"not as their own lists of files say, used as they are: {', '.join(bad)}")
    return made


async def _look(plan: Plan, folder: Path, *, by_hash: bool) -> tuple[_Made, list[str]]:
    """Ask the interpreter and look at the files at once; and which packages are damaged."""
    looking = asyncio.ensure_future(
        finish_in_thread(asyncio.to_thread(_look_at_files, plan, folder, by_hash))
    )
    try:
        facts = await _verify(plan, folder)
        n_bytes, bad = await looking
    finally:
        looking.cancel()
        await asyncio.wait({looking})
    own = [Path(path) for path in facts["folders"]]
    packages = [path for path in own if path.is_relative_to(folder)]
    made = _Made(
        python=facts["version"],
        installed=[
            _as_given(redact(without_credentials(x)), plan.spec, folder) for x in facts["installed"]
        ],
        packages=[path.relative_to(folder).as_posix() for path in packages],
        distributions=contents.distributions(packages),
        n_bytes=n_bytes,
    )
    return made, bad


def _look_at_files(plan: Plan, folder: Path, by_hash: bool) -> tuple[int, list[str]]:
    files = contents.files_of(folder)
    contents.write_listing(folder, files)
    # The others change files as they install them, or do not link them.
    bad = damaged(folder, files, by_hash=by_hash) if plan.spec.manager == "uv" else []
    return files.n_bytes, bad


async def _verify(plan: Plan, folder: Path) -> dict[str, Any]:
    """What the interpreter says of itself and its packages; it is thereby known to start."""
    finished = await plan.place.run(
        [envs.python_of(folder), "-I", "-c", _questions()],
        env=installer_variables(agent_variables()),
        keep_stdout=True,
    )
    try:
        facts: dict[str, Any] = json.loads(finished.stdout)
        version = facts["version"]
    except (ValueError, TypeError, KeyError) as exc:
        raise environment_failed(
            f"the interpreter of environment {plan.key[:12]} does not start with the packages "
            f"installed (exit code {finished.code})",
            finished.tail,
        ) from exc
    # A builder that brings its own Python may know no more of it than the minor release.
    if not matches(version, plan.interpreter.version):
        raise environment_failed(
            f"{plan.spec.manager} made an environment with Python {version} where "
            f"{plan.interpreter.version} was asked for"
        )
    return facts


@cache
def _questions() -> str:
    """The script as text: where the interpreter is, our files need not be."""
    return Path(installed.__file__).read_text("utf-8")


def _as_given(line: str, spec: EnvironmentSpec, folder: Path) -> str:
    """A package of the task's own code as a path in it, not of the copy that was built from."""
    _, at, url = line.partition(f" @ file://{folder}/")
    # The copy is one folder of the environment in the making.
    inside = unquote(url.partition("#")[0]).rstrip("/").partition("/")[2] or "."
    for package in spec.local if at else ():
        if package.path == inside:
            return package.requirement
    return line


def _put_in_place(plan: Plan, slot: str, aside: Path, ready: Ready) -> None:
    """Mark and rename; what stands there is unusable, or it would have been claimed."""
    parts = covered(plan.spec, plan.interpreter, plan.place.mark)
    envs.covered_of(aside).write_text(redact(json.dumps(parts, indent=1)), "utf-8")
    envs.write_ready(aside, ready)
    folder = envs.folder_of(plan.node, slot)
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)
