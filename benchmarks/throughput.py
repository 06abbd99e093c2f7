"""Two hundred tasks that do nothing on two slots, beside ``xargs`` and HyperQueue."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.cluster import N_CPUS, QUEUE, Cluster
from benchmarks.measure import Reading, Sample, in_turns, in_words, ratio
from benchmarks.stand import Stand
from benchmarks.starts import child_environment

N_TASKS = 200
N_ROUNDS = 3


def measure(stand: Stand) -> list[Reading]:
    """All in turns, so that each has the machine to itself; the short one before each other."""
    cluster = stand.cluster
    snapshot = cluster.snapshot("")
    python = cluster.python_of(cluster.warm_up(snapshot, N_CPUS))
    script = stand.script("noop.py", "")

    def xargs() -> float:
        return _by_xargs(python, script)

    def dray() -> float:
        return _by_dray(cluster, snapshot)

    if importlib.util.find_spec("hyperqueue") is None:
        floor, by_dray = in_turns(N_ROUNDS, xargs, dray, n_warm_ups=0)
        return [_reading("throughput-200-noop", by_dray, floor)]
    before, by_dray, after, by_hyperqueue = in_turns(
        N_ROUNDS,
        xargs,
        dray,
        xargs,
        lambda: _by_hyperqueue(stand.folder, python, script),
        n_warm_ups=0,
    )
    floor = Sample(before.values + after.values)
    return [
        _reading("throughput-200-noop", by_dray, floor),
        _reading("throughput-200-noop-hyperqueue", by_hyperqueue, floor),
    ]


def _reading(name: str, sample: Sample, by_xargs: Sample) -> Reading:
    against = f"xargs -P{N_CPUS} {in_words(by_xargs.median)}/s"
    return Reading(name, sample, against, ratio(sample, by_xargs))


def _by_dray(cluster: Cluster, snapshot: str) -> float:
    ids = [cluster.draft(snapshot).id for _ in range(N_TASKS)]
    began = time.time()
    for task_id in ids:
        cluster.client.enqueue(task_id, QUEUE)
    ended = [cluster.completed(task_id).ended_at or 0.0 for task_id in reversed(ids)]
    return N_TASKS / (max(ended) - began)


def _by_xargs(python: Path, script: Path) -> float:
    numbers = "".join(f"{n}\n" for n in range(N_TASKS))
    began = time.time()
    subprocess.run(
        ["xargs", f"-P{N_CPUS}", "-n1", str(python), str(script)],
        input=numbers,
        text=True,
        env=child_environment(),
        check=True,
    )
    return N_TASKS / (time.time() - began)


def _by_hyperqueue(folder: Path, python: Path, script: Path) -> float:
    """In a process of its own, whose server and worker go with it."""
    command = [sys.executable, str(Path(__file__).with_name("hyperqueue_round.py"))]
    finished = subprocess.run(
        [*command, str(N_TASKS), str(N_CPUS), str(python), str(script)],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return N_TASKS / float(finished.stdout.splitlines()[-1])  # its server speaks first
