"""What an environment costs: built for a new key, found again, found among many, started in."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from benchmarks.measure import Reading, in_turns, in_words, ratio
from benchmarks.stand import Stand
from benchmarks.starts import start_to_first_line
from dray.envbuilder.cache.build import ensure_environment
from dray.envbuilder.cache.environment import (
    folder_of,
    marker_of,
    python_of,
    read_ready,
    write_ready,
)
from dray.envbuilder.cache.inventory import list_environments
from dray.envbuilder.cache.limits import CacheLimits
from dray.envbuilder.launch.plan import launch_plan
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.interpreters import own_interpreter
from dray.envbuilder.tools.log import NoLog
from dray.envbuilder.tools.surroundings import agent_variables, installer_variables
from dray.envbuilder.tools.uv_program import uv_program
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths

N_COLD, N_WARM = 7, 60
#: Exact, as a captured run has them; together some 6,000 files.
REQUIREMENTS = ("numpy==2.2.6", "pandas==2.3.3", "scikit-learn==1.7.2")
BARE, LARGE = EnvironmentSpec(), EnvironmentSpec(requirements=REQUIREMENTS)
N_CACHED = 1000


def measure(stand: Stand) -> list[Reading]:
    """Build ours and by hand in turns, then find ours again beside a bare start."""
    return [_cold(stand), *_starts(stand), _lookup(stand)]


def _cold(stand: Stand) -> Reading:
    folders = (stand.folder / f"environments-{n}" for n in count())
    cold, by_hand, offline = in_turns(
        N_COLD,
        lambda: _built(NodePaths(next(folders))),
        lambda: _by_hand(next(folders)),
        lambda: _by_hand(next(folders), "--offline"),
    )
    return Reading(
        "cold-environment",
        cold,
        f"uv by hand {in_words(by_hand.median)} ms",
        ratio(cold, by_hand),
        note=(
            f"{', '.join(REQUIREMENTS)}; a user who knows that uv's cache suffices and says "
            f"--offline takes {in_words(offline.median)} ms, ratio {ratio(cold, offline):.2f}"
        ),
    )


def _starts(stand: Stand) -> list[Reading]:
    """A task from asking for its environment to its first line, with packages and without."""
    node = NodePaths(stand.folder / "warm")
    code = stand.folder / "code"
    code.mkdir()
    (code / "first.py").write_text("import time\nprint(time.time_ns(), flush=True)\n", "utf-8")
    for spec in (BARE, LARGE):
        asyncio.run(_ensured(spec, node))
    large, none, bare = in_turns(
        N_WARM,
        _started(LARGE, node, code, stand),
        _started(BARE, node, code, stand),
        stand.bare_start(),
    )
    added = large.minus(bare)
    return [
        Reading("warm-environment", added, f"bare start {in_words(bare.median)} ms"),
        Reading(
            "same-key-environment",
            large,
            f"a task without packages {in_words(none.median)} ms",
            ratio(large, none),
        ),
    ]


def _started(
    spec: EnvironmentSpec, node: NodePaths, code: Path, stand: Stand
) -> Callable[[], float]:
    """Milliseconds from asking to the first line, as an agent gets there."""
    execution = Execution(entry_point="first.py")
    ours = stand.child_code

    async def plan() -> tuple[list[str], dict[str, str]]:
        with await ensure_environment(spec, node, NoLog()) as environment:
            made = launch_plan(execution, environment, code, ours, {})
        return [made.argv[0], str(code / "first.py")], made.env

    async def timed() -> tuple[float, list[str], dict[str, str]]:
        began = time.perf_counter()  # an agent's loop is there already
        argv, env = await plan()
        return (time.perf_counter() - began) * 1e3, argv, env

    def start() -> float:
        asked, argv, env = asyncio.run(timed())
        return asked + start_to_first_line(argv, env)

    return start


def _lookup(stand: Stand) -> Reading:
    alone, many = NodePaths(stand.folder / "alone"), NodePaths(stand.folder / "many")
    for node in (alone, many):
        asyncio.run(_ensured(LARGE, node))
    _fill(many)
    found, beside = in_turns(N_WARM, lambda: _ensure(many), lambda: _ensure(alone))
    began = time.perf_counter()
    n_listed = len(list_environments(many, CacheLimits(), "here").environments)
    listing = (time.perf_counter() - began) * 1e3
    return Reading(
        "environment-lookup",
        found,
        f"in a cache that has it alone {in_words(beside.median)} ms",
        ratio(found, beside),
        note=f"listing all {n_listed:,} takes {in_words(listing)} ms",
    )


def _fill(node: NodePaths) -> None:
    """Make the environments of a node a thousand, each as a list and a look-up see it."""
    (made,) = node.environments.iterdir()
    ready = read_ready(made)
    assert ready is not None
    for n in range(N_CACHED - 1):
        folder = folder_of(node, f"{n:032x}")
        python_of(folder).parent.mkdir(parents=True)
        python_of(folder).symlink_to(own_interpreter().path)
        write_ready(folder, ready)
        os.utime(marker_of(folder), (n, n))


def _ensure(node: NodePaths) -> float:
    return asyncio.run(_ensured(LARGE, node))


def _built(node: NodePaths) -> float:
    milliseconds = asyncio.run(_ensured(LARGE, node))
    shutil.rmtree(node.root)
    return milliseconds


async def _ensured(spec: EnvironmentSpec, node: NodePaths) -> float:
    """Milliseconds from asking for an environment to having it."""
    began = time.perf_counter()
    environment = await ensure_environment(spec, node, NoLog())
    milliseconds = (time.perf_counter() - began) * 1e3
    environment.release()
    return milliseconds


def _by_hand(folder: Path, *options: str) -> float:
    """What a user types; into the same interpreter, from the same cache."""
    env, uv = installer_variables(agent_variables()), str(uv_program())
    folder.parent.mkdir(exist_ok=True)
    began = time.perf_counter()
    making = [uv, "venv", "--quiet", "--python", str(own_interpreter().path), str(folder)]
    subprocess.run(making, env=env, check=True)
    installing = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    subprocess.run([*installing, *options, *REQUIREMENTS], env=env, check=True)
    milliseconds = (time.perf_counter() - began) * 1e3
    shutil.rmtree(folder)
    return milliseconds
