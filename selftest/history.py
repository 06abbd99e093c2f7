"""What happened, from every witness: the side log, the process table, the users, the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dray.runtime.errors import NotFound, ServerUnreachable
from dray.runtime.models import AgentRecord, Attempt, AuditEntry, Task
from dray.sdk.client import Client
from dray.selftest.liveness import Life
from dray.selftest.nemesis import Fault
from dray.selftest.plans import Plan
from dray.selftest.script import STREAMS
from dray.selftest.sidelog import Fact
from dray.selftest.users import PROJECT, Orders

#: How long agents and coordinators may take to answer after the last fault.
_SETTLE_S = 30.0
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Story:
    """One accepted task as the server tells it.

    Attributes:
        task: None when the server does not know it.
        console: bytes by epoch and stream.
    """

    plan: Plan
    task: Task | None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    audit: list[AuditEntry] = field(default_factory=list[AuditEntry])
    console: dict[tuple[int, str], bytes] = field(default_factory=dict[tuple[int, str], bytes])


@dataclass(frozen=True)
class Scene:
    """What was found when everything should have come to rest.

    Attributes:
        alive: processes of attempts that were still there.
        busy: agents and what they say they run.
        waiting: queues and how many tasks wait in them.
        silent: coordinators and agents that do not answer, and what is said of them.
        integrity: what is wrong with the store; None: it was not looked at.
    """

    alive: list[str] = field(default_factory=list[str])
    busy: list[str] = field(default_factory=list[str])
    waiting: list[str] = field(default_factory=list[str])
    silent: list[str] = field(default_factory=list[str])
    integrity: list[str] | None = None

    @property
    def is_calm(self) -> bool:
        """Whether nothing is left to wait for."""
        return not (self.alive or self.busy or self.waiting or self.silent)


@dataclass(frozen=True)
class History:
    """All the judge knows."""

    stories: dict[str, Story] = field(default_factory=dict[str, Story])
    facts: list[Fact] = field(default_factory=list[Fact])
    lives: list[Life] = field(default_factory=list[Life])
    orders: Orders = field(default_factory=Orders)
    faults: list[Fault] = field(default_factory=list[Fault])
    scene: Scene = field(default_factory=Scene)

    def of_attempt(self, task_id: str, epoch: int, what: str) -> list[Fact]:
        """The facts of a kind that an attempt wrote down itself."""
        return [f for f in self.facts if f.key == (task_id, epoch) and f.what == what]


def stories(client: Client, orders: Orders) -> dict[str, Story]:
    """Every accepted task, read from the server."""
    return {task_id: _story(client, task_id, plan) for task_id, plan in orders.plans.items()}


def scene(client: Client, living: Callable[[], list[str]]) -> Scene:
    """Wait until all is at rest, within bounds; what was seen last."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        seen = _look(client, living)
        if seen.is_calm or time.monotonic() > deadline:
            return seen
        time.sleep(_LOOK_EVERY_S)


def _story(client: Client, task_id: str, plan: Plan) -> Story:
    try:
        task = client.get_task(task_id)
    except NotFound:
        return Story(plan, None)
    attempts = client.attempts(task_id)
    console = {
        (attempt.epoch, stream): _console(client, task_id, attempt.epoch, stream)
        for attempt in attempts
        for stream in STREAMS
    }
    return Story(plan, task, attempts, _audit(client, task_id), console)


def _audit(client: Client, task_id: str) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    cursor: str | None = None
    while True:
        page = client.history(task_id, cursor=cursor)
        entries += page.items
        cursor = page.next_cursor
        if cursor is None:
            return entries


def _console(client: Client, task_id: str, epoch: int, stream: str) -> bytes:
    try:
        return b"".join(client.console_raw(task_id, epoch=epoch, stream=stream))
    except NotFound:
        return b""


def _is_well(agent: AgentRecord) -> bool:
    """Ready, or out of service and saying why."""
    return agent.state == "ready" or (agent.state == "drained" and agent.reason != "")


def _look(client: Client, living: Callable[[], list[str]]) -> Scene:
    try:
        agents, queues = client.list_agents(), client.list_queues()
        components = client.server_info().components
        running = client.list_tasks(project=PROJECT, state=["running"]).items
    except ServerUnreachable as exc:
        return Scene(alive=living(), silent=[f"gateway: {exc.message}"])
    silent = [f"{c.name}: {c.state}" for c in components if c.state != "alive"]
    silent += [f"agent {a.name}: {a.state} {a.reason}".strip() for a in agents if not _is_well(a)]
    busy = [f"agent {a.name} runs {n[:8]}" for a in agents for n in a.task_ids]
    busy += [f"task {t.id[:8]} is running ({t.phase})" for t in running]
    waiting = [f"{q.n_pending} in queue {q.name}" for q in queues if q.n_pending]
    return Scene(living(), busy, waiting, silent)
