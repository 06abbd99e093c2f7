"""One task that writes 100 MB/s to its console for 30 s: what the gateway and other tasks feel."""

from __future__ import annotations

import threading
import time

from benchmarks.cluster import N_CPUS, QUEUE, Cluster
from benchmarks.measure import Reading, Sample, in_words, quantile, ratio
from benchmarks.stand import Stand
from dray.runtime.models import Task
from dray.sdk.client import Client

N_BYTES = 3_000_000_000
BYTES_S = 100_000_000
_BLOCK_BYTES = 1_000_000
_IDLE_S = 5.0
#: Between two questions; many enough for a quantile, too few to be a load.
_EVERY_S = 0.05
#: What is kept of 3 GB is sent in ten seconds, on a machine that has nothing else to do.
_PATIENCE_S = 240.0

_FLOOD = f"""
import os, sys, time
block = (b"x" * 99 + b"\\n") * ({_BLOCK_BYTES} // 100)
began = time.monotonic()
for n in range({N_BYTES // _BLOCK_BYTES}):
    time.sleep(max(0.0, began + n * {_BLOCK_BYTES / BYTES_S} - time.monotonic()))
    left = memoryview(block)
    while left:
        left = left[os.write(1, left):]
sys.stderr.write(f"{{time.monotonic() - began:.1f}}")
"""


def measure(stand: Stand) -> list[Reading]:
    """The answers of an idle gateway, then those during the flood, with tasks that come and go."""
    cluster = stand.cluster
    noop, flood = cluster.snapshot(""), cluster.snapshot(_FLOOD)
    cluster.warm_up(noop, N_CPUS)
    idle: list[float] = []
    _ask_until(cluster, time.monotonic() + _IDLE_S, idle)
    task = cluster.draft(flood)
    cluster.client.enqueue(task.id, QUEUE)
    _await_output(cluster, task)
    during: list[float] = []
    over = threading.Event()
    asking = threading.Thread(target=_ask, args=(cluster, over, during))
    asking.start()
    others: list[float] = []
    try:
        while not _is_over(cluster, task):
            began = time.monotonic()
            other = cluster.draft(noop)
            cluster.client.enqueue(other.id, QUEUE)
            cluster.completed(other.id)
            others.append(time.monotonic() - began)
    finally:
        over.set()
        asking.join()
    return [_reading(cluster, cluster.completed(task.id), idle, during, others)]


def _reading(
    cluster: Cluster, task: Task, idle: list[float], during: list[float], others: list[float]
) -> Reading:
    if task.attempt is None:
        raise RuntimeError("the flood has no attempt")
    receipt = task.attempt.receipt["stdout"]
    if receipt.n_bytes != N_BYTES or not receipt.exact:
        raise RuntimeError(f"the receipt of the flood is not exact: {receipt}")
    seconds = b"".join(cluster.client.console_raw(task.id, stream="stderr")).decode()
    sample, at_rest = Sample(tuple(during)).times(1000), Sample(tuple(idle)).times(1000)
    note = (
        f"95 % under {in_words(quantile(sample.values, 0.95))} ms, the slowest "
        f"{in_words(max(sample.values))} ms; the 3 GB were written in {seconds} s; "
        f"{receipt.stored_bytes / 1e6:.0f} MB stored, {receipt.missing_bytes / 1e6:,.0f} MB in "
        f"{len(receipt.gaps)} gaps stated to the byte; beside it {len(others)} tasks that do "
        f"nothing came and went, each in {in_words(Sample(tuple(others)).median)} s"
    )
    against = f"idle {in_words(at_rest.median)} ms"
    return Reading("console-flood", sample, against, ratio(sample, at_rest), note)


def _await_output(cluster: Cluster, task: Task) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not cluster.client.console(task.id, limit_bytes=1).pieces:
        if time.monotonic() > deadline:
            raise RuntimeError("the flood did not begin")
        time.sleep(_EVERY_S)


def _is_over(cluster: Cluster, task: Task) -> bool:
    return cluster.client.get_task(task.id).ended_at is not None


def _ask(cluster: Cluster, over: threading.Event, seen: list[float]) -> None:
    while not over.is_set():
        _ask_until(cluster, time.monotonic() + 1.0, seen)


def _ask_until(cluster: Cluster, deadline: float, seen: list[float]) -> None:
    """How long each answer took, in seconds."""
    with Client(cluster.client.url, "") as client:
        while time.monotonic() < deadline:
            began = time.monotonic()
            client.healthz()
            seen.append(time.monotonic() - began)
            time.sleep(_EVERY_S)
