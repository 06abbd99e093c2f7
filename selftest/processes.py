"""Which process of a private cluster is what, from the process table alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from dray.selftest.cluster import Place

#: Ray names a process after the actor in it.
_KIND_BY_ACTOR = {
    "ray::GatewayActor": "gateway",
    "ray::SchedulerActor": "scheduler",
    "ray::QueueActor": "queue",
    "ray::AgentActor": "agent",
}
#: Everything that can be killed or stopped, in the order of the report.
KINDS = ("gateway", "scheduler", "queue", "agent", "supervisor", "keeper", "child")
#: In the command line of an agent's supervisor and, since they are forks of it, of its keepers.
_SUPERVISOR = "runtime.supervisor"
_KILL_WAIT_S = 5.0


@dataclass(frozen=True)
class Found:
    """One process.

    Attributes:
        kind: one of ``KINDS``.
        agent_pid: of the agent it belongs to, its own for an agent; 0 for coordinators.
        attempt: (task id, epoch) of a child.
    """

    kind: str
    pid: int
    agent_pid: int = 0
    attempt: tuple[str, int] | None = None


def find(ray_pid: int) -> list[Found]:
    """Every process below a Ray head that is worth a fault."""
    try:
        below = psutil.Process(ray_pid).children(recursive=True)
    except psutil.Error:
        return []
    kinds: dict[int, Found] = {}
    for process in below:  # parents come before their children
        found = _classify(process, kinds)
        if found is not None:
            kinds[found.pid] = found
    return list(kinds.values())


def _classify(process: psutil.Process, known: dict[int, Found]) -> Found | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        parent = known.get(process.ppid())
        command = process.cmdline()
        if parent is None:
            title = (command or [""])[0].split(".")[0].split("(")[0]
            kind = _KIND_BY_ACTOR.get(title)
            return Found(kind, process.pid, process.pid * (kind == "agent")) if kind else None
        is_ours = any(_SUPERVISOR in part for part in command)
        if parent.kind == "agent":
            return Found("supervisor", process.pid, parent.agent_pid) if is_ours else None
        if parent.kind == "supervisor":
            return Found("keeper", process.pid, parent.agent_pid)
        if parent.kind == "keeper" and not is_ours:  # else a fork that has not turned into it yet
            environ = process.environ()
            attempt = (environ["DRAY_TASK_ID"], int(environ["DRAY_EPOCH"]))
            return Found("child", process.pid, parent.agent_pid, attempt)
    except (psutil.Error, KeyError):
        return None  # it ended meanwhile
    return None


def ray_folder(ray_pid: int) -> Path | None:
    """Where a Ray head keeps its sockets and logs, as its command line says."""
    option = "--temp-dir="
    try:
        command = psutil.Process(ray_pid).cmdline()
    except psutil.Error:
        return None
    folders = [Path(part.removeprefix(option)) for part in command if part.startswith(option)]
    return folders[0] if folders else None


def of_attempts(place: Place) -> list[int]:
    """Every process that runs for an attempt of this place, wherever it hangs by now."""
    spools = str(place.node.root)
    return [p.pid for p in _all() if _variable(p, "DRAY_SPOOL").startswith(spools)]


def wake_all(place: Place) -> None:
    """Let every stopped process of this place go on."""
    for process in _of(place):
        _signal(process.pid, signal.SIGCONT)


def kill_all(place: Place) -> None:
    """End what is left of this place; it was told to end before."""
    left = list(_of(place))
    for process in left:
        _signal(process.pid, signal.SIGKILL)
    psutil.wait_procs(left, timeout=_KILL_WAIT_S)


def _of(place: Place) -> Iterator[psutil.Process]:
    """The processes that were given this place's folders; not us, who only know of them."""
    home, cache = str(place.home.root), str(place.node.root)
    for process in _all():
        ours = _variable(process, "DRAY_HOME") == home
        if ours or _variable(process, "DRAY_SPOOL").startswith(cache):
            yield process


def _all() -> Iterator[psutil.Process]:
    return (p for p in psutil.process_iter() if p.pid != os.getpid())


def _variable(process: psutil.Process, name: str) -> str:
    try:
        return process.environ().get(name, "")
    except (psutil.Error, OSError, ValueError):
        return ""  # it ended, or is another user's


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # it was faster
