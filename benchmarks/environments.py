"""What an environment costs: built for a new key, and found again."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from itertools import count
from pathlib import Path

from benchmarks.measure import Reading, Sample, in_turns, in_words, ratio
from benchmarks.stand import Stand
from dray.envbuilder.build import ensure_environment
from dray.envbuilder.interpreters import own_interpreter
from dray.envbuilder.log import NoLog
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.surroundings import agent_variables, installer_variables
from dray.envbuilder.uvtool import uv_program
from dray.runtime.paths import NodePaths

N_COLD, N_WARM = 5, 60
#: Exact, as a captured run has them; together some 6,000 files.
REQUIREMENTS = ("numpy==2.2.6", "pandas==2.3.3", "scikit-learn==1.7.2")


def measure(stand: Stand) -> list[Reading]:
    """Build ours and by hand in turns, then find ours again beside a bare start."""
    folders = (stand.folder / f"environments-{n}" for n in count())
    cold, by_hand = in_turns(
        N_COLD,
        lambda: _ours(NodePaths(next(folders))),
        lambda: _by_hand(next(folders), []),
    )
    (offline,) = in_turns(2, lambda: _by_hand(next(folders), ["--offline"]), n_warm_ups=0)
    return [_cold(cold, by_hand, offline), _warm(stand)]


def _cold(cold: Sample, by_hand: Sample, offline: Sample) -> Reading:
    return Reading(
        "cold-environment",
        cold,
        f"uv by hand {in_words(by_hand.median)} ms",
        ratio(cold, by_hand),
        note=(
            f"{', '.join(REQUIREMENTS)}; a user who knows that uv's cache suffices and says "
            f"--offline takes {in_words(offline.median)} ms"
        ),
    )


def _warm(stand: Stand) -> Reading:
    node = NodePaths(stand.folder / "warm")
    _ours(node, keep=True)
    warm, bare = in_turns(N_WARM, lambda: _ours(node, keep=True), stand.bare_start())
    return Reading(
        "warm-environment", warm, f"bare start {in_words(bare.median)} ms", ratio(warm, bare)
    )


def _ours(node: NodePaths, *, keep: bool = False) -> float:
    async def ensure() -> float:
        spec = EnvironmentSpec(requirements=REQUIREMENTS)
        began = time.perf_counter()
        environment = await ensure_environment(spec, node, NoLog())
        milliseconds = (time.perf_counter() - began) * 1e3
        environment.release()
        return milliseconds

    milliseconds = asyncio.run(ensure())
    if not keep:
        shutil.rmtree(node.root)
    return milliseconds


def _by_hand(folder: Path, options: list[str]) -> float:
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
