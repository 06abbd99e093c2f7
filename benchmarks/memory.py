"""Memory of the idle control plane, beside that of Ray's own idle processes."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from benchmarks.cluster import Cluster
from benchmarks.measure import Reading, Sample, in_words
from benchmarks.stand import Stand

_SETTLE_S = 5.0
_AGENT = "ray::AgentActor"
_ACTORS = ("ray::GatewayActor", "ray::SchedulerActor", "ray::QueueActor", _AGENT)


def measure(stand: Stand) -> list[Reading]:
    """Add up the proportional set sizes of the processes below Ray's first one."""
    cluster = stand.cluster
    time.sleep(_SETTLE_S)
    ours, rays = _by_owner(cluster)
    agent, plane, head = ours.pop(_AGENT), sum(ours.values()), sum(rays.values())
    against = f"Ray's own processes {in_words(head)} MiB"
    note = f"{_in_order(ours)}; beside {_in_order(rays)}"
    return [
        Reading("idle-memory", Sample((plane,)), against, plane / head, note),
        Reading(
            "idle-memory-with-agent", Sample((plane + agent,)), against, (plane + agent) / head
        ),
    ]


def _by_owner(cluster: Cluster) -> tuple[dict[str, float], dict[str, float]]:
    """MiB by process name: our actors with all below them, and everything else."""
    ours: dict[str, float] = {}
    rays: dict[str, float] = {}
    taken: set[int] = set()
    head = psutil.Process(cluster.ray_pid)
    processes = [head, *head.children(recursive=True)]
    for process in processes:
        name = _name(process)
        if not name.startswith(_ACTORS):
            continue
        tree = [process, *process.children(recursive=True)]
        taken.update(one.pid for one in tree)
        if name == _AGENT and name in ours:
            continue  # one agent is what a cluster keeps warm
        ours[name] = ours.get(name, 0.0) + sum(_pss_mib(one.pid) for one in tree)
    for process in processes:
        if process.pid not in taken:
            name = _name(process)
            rays[name] = rays.get(name, 0.0) + _pss_mib(process.pid)
    return ours, rays


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    first = words[0] if words else process.name()
    if first.startswith("ray::"):
        return first.partition(".")[0].partition(" ")[0]
    scripts = [word for word in words if word.endswith((".py", "/ray"))]
    return Path(scripts[0] if scripts else first).name


def _pss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


def _in_order(mib_by_name: dict[str, float]) -> str:
    ordered = sorted(mib_by_name.items(), key=lambda item: -item[1])
    return ", ".join(f"{name.removeprefix('ray::')} {mib:.0f}" for name, mib in ordered)
