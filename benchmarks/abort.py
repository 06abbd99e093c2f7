"""From the request that aborts a running task to the end of its last process."""

from __future__ import annotations

import time

from benchmarks.cluster import QUEUE, Cluster
from benchmarks.measure import Reading, Sample, in_words
from benchmarks.stand import Stand
from dray.runtime.models import Policy, Task
from dray.runtime.states import State

N_ROUNDS = 10
GRACE_S = 2.0
_LOOK_EVERY_S = 0.001
_PATIENCE_S = 60.0
#: Three processes: the script, a child of it, and a daemon in a session of its own.
_TREE = """
import os, signal, sys, time
{first}
if os.fork() == 0:
    if os.fork() == 0: os.setsid()
    sys.stdout.write("%d\\n" % os.getpid()); sys.stdout.flush()
    time.sleep(600)
    os._exit(0)
sys.stdout.write("%d\\n" % os.getpid()); sys.stdout.flush()
time.sleep(600)
"""
_OBEYS = _TREE.format(first="pass")
_IGNORES = _TREE.format(
    first="for n in (signal.SIGINT, signal.SIGTERM): signal.signal(n, signal.SIG_IGN)"
)


def measure(stand: Stand) -> list[Reading]:
    """Trees that obey the first signal, and trees that ignore all but the last."""
    cluster = stand.cluster
    obeys, ignores = cluster.snapshot(_OBEYS), cluster.snapshot(_IGNORES)
    cluster.warm_up(cluster.snapshot("print(1)"), 1)
    obeying = Sample(tuple(_abort(cluster, obeys) for _ in range(N_ROUNDS)))
    ignoring = Sample(tuple(_abort(cluster, ignores) for _ in range(N_ROUNDS // 2)))
    grace = f"grace {in_words(GRACE_S * 1e3)} ms"
    return [
        Reading("abort-obeying", obeying, grace, note=_worst(obeying)),
        Reading("abort-ignoring", ignoring, grace, note=_worst(ignoring)),
    ]


def _abort(cluster: Cluster, snapshot: str) -> float:
    """Milliseconds from the request until the tree is gone."""
    draft = cluster.draft(snapshot)
    task = cluster.client.edit_task(draft.id, policy=Policy(stop_grace_s=GRACE_S))
    cluster.client.enqueue(task.id, QUEUE)
    pids = _pids(cluster, task)
    began = time.monotonic()
    cluster.client.abort(task.id)
    while any(map(_is_alive, pids)):
        if time.monotonic() - began > _PATIENCE_S:
            raise RuntimeError(f"task {task.id[:8]} has not ended after {_PATIENCE_S:g} s")
        time.sleep(_LOOK_EVERY_S)
    took_s = time.monotonic() - began
    ended = cluster.client.wait(task.id, timeout=_PATIENCE_S)
    if ended.state is not State.ABORTED:
        raise RuntimeError(f"task {task.id[:8]} is {ended.state}: {ended.cause}")
    return took_s * 1e3


def _pids(cluster: Cluster, task: Task) -> list[int]:
    """The processes of a task, once all three have said who they are."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        pieces = cluster.client.console(task.id, stream="stdout").pieces
        lines = "".join(piece.text for piece in pieces).splitlines()
        if len(lines) == 3:
            return [int(line) for line in lines]
        time.sleep(0.02)
    raise RuntimeError(f"task {task.id[:8]} did not start")


def _is_alive(pid: int) -> bool:
    """Whether it still runs; one that only waits to be buried does not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _worst(sample: Sample) -> str:
    return f"worst of {len(sample.values)}: {in_words(max(sample.values))} ms"
