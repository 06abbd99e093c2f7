"""The agents a scheduler minds: started, adopted after a restart, watched, retired, lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import anyio
from anyio.abc import TaskGroup

from dray.actors import handles
from dray.actors.agent import AgentActor
from dray.actors.handles import ActorOptions, Handle
from dray.actors.insisting import insist
from dray.actors.orders import AgentFacts, AttemptEnd
from dray.runtime.clock import Clock
from dray.runtime.config import Settings
from dray.runtime.ids import new_id
from dray.runtime.models import AgentRecord
from dray.runtime.policy import SERVICES_SLOTS, AgentView, StartAgent

log = logging.getLogger("dray.scheduler")

#: A worker process of Ray starts in about a second; a busy node may take many times that.
START_TIMEOUT_S = 90.0
#: How long a failed start holds its place, so that it is not tried again at once.
START_RETRY_S = 5.0
#: An agent that failed so many different tasks in a row by its own fault takes no more.
DRAIN_AFTER = 3
#: How long an agent whose attempt was given up has to show that it does not hang.
DOUBT_S = 10.0


@dataclass
class Member:
    """One agent of the fleet.

    Attributes:
        running: (task id, epoch) of its open attempts.
        failed: tasks it failed in a row by its own fault.
        gone: set once it is gone or let go. It stays in the plan's view, taking no work, until
            the store knows of the end of each of its attempts: what they held is not free before.
    """

    record: AgentRecord
    node_id: str
    handle: Handle
    ready: bool = False
    idle_since: float = 0.0
    running: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    failed: set[str] = field(default_factory=set[str])
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def view(self) -> AgentView:
        """This agent as the plan sees it."""
        return AgentView(
            name=self.record.name,
            kind=self.record.kind,
            resources=self.record.resources,
            node_id=self.node_id,
            ready=self.ready,
            slots=self.record.slots,
            n_running=len(self.running),
            idle_since=self.idle_since,
            queues=tuple(self.record.queues),
            drained=self._drained,
        )

    @property
    def _drained(self) -> str:
        if self.gone.is_set():
            return "it is gone"
        return self.record.reason if self.record.state == "drained" else ""


class Fleet:
    """All agents by name; changes are written to the store before they are acted on.

    Args:
        wake: called when something changed that a plan depends on.
    """

    def __init__(
        self, settings: Settings, clock: Clock, tasks: TaskGroup, wake: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._tasks = tasks
        self._wake = wake
        self._members: dict[str, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def get(self, name: str) -> Member | None:
        """The agent of that name, while it is there."""
        member = self._members.get(name)
        return None if member is None or member.gone.is_set() else member

    def views(self) -> tuple[AgentView, ...]:
        """Every agent as the plan sees it."""
        return tuple(member.view() for member in self._members.values())

    async def start(self, wanted: StartAgent) -> None:
        """Create an agent; it counts as starting at once and is ready when it answers."""
        record = AgentRecord(
            name=f"{wanted.kind}-{wanted.resources.label()}-{new_id()[:6]}",
            kind=wanted.kind,
            resources=wanted.resources,
            slots=SERVICES_SLOTS if wanted.kind == "services" else 1,
            node_id=wanted.node_id,
            created_at=self._clock.now(),
        )
        await self._store(record)
        options = ActorOptions(
            name=handles.agent_actor_name(record.name),
            restarts=False,
            node_id=wanted.node_id,
            resources=wanted.resources,
        )
        try:
            handle = await asyncio.to_thread(
                handles.get_or_create, AgentActor, options, record.name, self._settings
            )
        except (ValueError, TypeError) as exc:  # amounts that Ray holds in other portions (TPU)
            log.warning("Ray refuses agent %s: %s", record.name, exc)
            await self._remove(record.name)
            return
        self._enlist(Member(record, wanted.node_id, handle))

    async def adopt(self, record: AgentRecord) -> Member | None:
        """Take over an agent the store knows; None when its actor is gone."""
        handle = handles.find(handles.agent_actor_name(record.name))
        if handle is None:
            await self._remove(record.name)
            return None
        member = Member(record, record.node_id, handle)
        self._enlist(member)
        return member

    async def retire(self, name: str, reason: str) -> None:
        """Let an idle agent go; what it held is free once its process has ended."""
        member = self.get(name)
        if member is None:
            return
        log.info("retiring %s: %s", name, reason)
        self._let_go(member)
        # In this order: an actor the store does not know would hold its resources for ever.
        handles.kill(handles.agent_actor_name(name))
        await self._remove(name)

    async def drain(self, member: Member, reason: str) -> None:
        """Give an agent no more work, though it goes on to hold what it holds."""
        log.error("draining %s: %s", member.record.name, reason)
        member.record = replace(member.record, state="drained", reason=reason)
        await self._store(member.record)
        self._wake()

    async def resume(self, member: Member) -> None:
        """Give a drained agent work again."""
        member.failed.clear()
        member.record = replace(member.record, state="ready", reason="")
        await self._store(member.record)
        self._wake()

    async def judge(self, member: Member, task_id: str, end: AttemptEnd) -> None:
        """Drain an agent whose processes do not die, or that fails one task after the other."""
        if end.stuck_pids:
            pids = ", ".join(map(str, end.stuck_pids))
            reason = f"processes {pids} of task {task_id[:8]} outlived KILL and may hold its GPUs"
            await self.drain(member, reason)
        elif not end.worker_failed:
            member.failed.clear()
        else:
            member.failed.add(task_id)
            if len(member.failed) >= DRAIN_AFTER:
                ids = ", ".join(sorted(one[:8] for one in member.failed))
                await self.drain(member, f"it failed {len(member.failed)} tasks in a row: {ids}")

    async def doubt(self, member: Member) -> None:
        """End an agent that hangs; one that was only cut off from the server goes on."""
        try:
            with anyio.fail_after(DOUBT_S):
                await member.handle.facts.remote()
        except TimeoutError:
            if not member.gone.is_set():
                await self.give_up(member, f"it did not answer for {DOUBT_S:g} s")
        except handles.ActorTrouble as exc:
            log.info("agent %s: %s", member.record.name, handles.first_line(exc))

    async def give_up(self, member: Member, evidence: str) -> None:
        """End an agent that is in a state nobody knows."""
        log.error("ending %s: %s", member.record.name, evidence)
        await self._drop(member)

    def _enlist(self, member: Member) -> None:
        self._members[member.record.name] = member
        self._tasks.start_soon(self._mind, member, name=f"mind {member.record.name}")

    async def _mind(self, member: Member) -> None:
        """Wait until an agent is ready, then until it is gone; tell the store of both."""
        try:
            with anyio.fail_after(START_TIMEOUT_S):
                facts: AgentFacts = await member.handle.facts.remote()
        except (TimeoutError, *handles.ActorTrouble) as exc:
            log.warning("agent %s did not start: %s", member.record.name, handles.first_line(exc))
            await anyio.sleep(START_RETRY_S)
            await self._drop(member)
            return
        member.node_id, member.ready = facts.node_id, True
        member.idle_since = self._clock.monotonic()
        member.record = replace(
            member.record,
            state="drained" if member.record.state == "drained" else "ready",
            node=facts.node,
            node_id=facts.node_id,
            last_seen_at=self._clock.now(),
        )
        await self._store(member.record)
        self._wake()
        evidence = await self._until_gone(member)
        if not member.gone.is_set():
            log.warning("agent %s is gone: %s", member.record.name, evidence)
            await self._drop(member)

    async def _until_gone(self, member: Member) -> str:
        while True:
            try:
                await member.handle.watch.remote()
            except handles.ActorGone as exc:
                return handles.first_line(exc)
            except handles.ActorTrouble:
                await anyio.sleep(0.2)

    def settle(self, member: Member, key: tuple[str, int]) -> None:
        """The store knows of the end of an attempt."""
        member.running.discard(key)
        member.idle_since = self._clock.monotonic()
        if member.gone.is_set():
            self._let_go(member)

    def _let_go(self, member: Member) -> None:
        member.gone.set()
        if not member.running:
            self._members.pop(member.record.name, None)

    async def _drop(self, member: Member) -> None:
        self._let_go(member)
        handles.kill(handles.agent_actor_name(member.record.name))
        await self._remove(member.record.name)
        self._wake()

    async def _store(self, record: AgentRecord) -> None:
        await insist(
            f"storing agent {record.name}", lambda: handles.gateway().put_agent.remote(record)
        )

    async def _remove(self, name: str) -> None:
        await insist(f"removing agent {name}", lambda: handles.gateway().remove_agent.remote(name))
