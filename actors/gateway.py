"""GatewayActor: owns the store and serves the HTTP API from the same event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import defaultdict

import anyio
import uvicorn

from dray.actors import handles
from dray.actors.ahead_desk import AheadDesk
from dray.actors.handles import ActorOptions
from dray.actors.leases import SYSTEM, LeaseWatch
from dray.actors.lifetime import log_to, run_for_life
from dray.actors.node_caches import NodeCaches
from dray.actors.orders import (
    AheadOrder,
    ClaimIntent,
    ClusterState,
    Health,
    OpenOrder,
    QueueDelta,
    Refusal,
    WorkOrder,
)
from dray.actors.queue import QueueActor
from dray.actors.watchdog import HANG_SHARE, Watchdog
from dray.api.app import create_app
from dray.api.hub import Hub
from dray.runtime import tokens
from dray.runtime.answers import Component
from dray.runtime.clock import SteadyClock, monotonic_origin
from dray.runtime.config import Settings
from dray.runtime.environments import EnvironmentBuilt, EnvironmentRequest
from dray.runtime.models import AgentRecord, Queue, QueueEntry, Task
from dray.runtime.ordering import Key
from dray.runtime.paths import HomePaths
from dray.runtime.states import Phase, State
from dray.runtime.store import Change, ClaimRequest, OpenAttempt, Store
from dray.runtime.store.reserve import Limits

log = logging.getLogger("dray.gateway")

#: Removals alone wake nobody: they are gathered this long and told together.
REMOVALS_S = 0.05
#: A component that takes longer to answer is shown as silent.
COMPONENT_TIMEOUT_S = 2.0


class _Server(uvicorn.Server):
    """A uvicorn server that says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()


class GatewayActor:
    """The only process that opens the database; thin: parse, authorise, call the store, answer.

    Owns: the store.
    Rebuilt from: its files, whenever it starts.
    Guarantees: what it acknowledged is durable; every method may be called again; whoever
    depends on a change is told after its commit, and can read the same from the store.
    """

    async def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._url = settings.advertised_url or url
        self._home = HomePaths(settings.home)
        log_to(self._home.logs, handles.GATEWAY)
        self._clock = SteadyClock()
        self._token = tokens.read_or_create(self._home.token)
        self._hub = Hub()
        self._deltas: defaultdict[str, QueueDelta] = defaultdict(QueueDelta)
        #: Set by arrivals, which are told at once, and by whatever else there is to tell.
        self._arrived = asyncio.Event()
        self._left = asyncio.Event()
        self._queue_actors: dict[str, handles.Handle] = {}
        #: Of the scheduler that last read the state; empty until one spoke to this process.
        self._generation = ""
        self._claiming = asyncio.Lock()
        limits = Limits(settings.reserve_blobs_bytes, settings.reserve_console_bytes)
        self._store = await Store.open(self._home, self._clock, limits)
        self._store.subscribe(self._on_change)
        # Time during which this process was down counts against no lease.
        await self._store.attempts.extend_all()
        self._leases = LeaseWatch(self._store, self._clock, settings.lease_ttl_s)
        self.caches = NodeCaches()
        self._ahead = AheadDesk(self._store, settings, token=self._token, url=self._url)
        self._server = self._make_server()
        self._main = run_for_life(self._run(), "gateway")

    async def alive(self) -> Health:
        """That it does not hang."""
        return handles.own_health()

    async def ping(self) -> Health:
        """That it is there and serves HTTP."""
        await self._server.serving.wait()
        return await self.alive()

    async def ensure_queues(self, names: list[str]) -> None:
        """Create the queues that are missing, and an actor for each queue there is."""
        for name in names:
            await self._store.queues.ensure(name)
        queues = await self._store.queues.list()
        actors = await asyncio.gather(*(self._queue_actor(queue.name) for queue in queues))
        await asyncio.gather(*(actor.alive.remote() for actor in actors))

    async def depth(self, queue: str) -> int:
        """How many entries a queue has, for its actor."""
        return await self._store.queues.count(queue)

    async def pending(self, queue: str, after: Key | None, limit: int) -> list[QueueEntry]:
        """Entries of a queue in order, for its actor."""
        return await self._store.queues.pending(queue, limit, after)

    async def cluster_state(self, generation: str) -> ClusterState:
        """Agents, their open attempts and the queues, for a scheduler that has just started.

        From now on only claims of this generation of it count: one of an earlier scheduler that
        is still on its way would give an agent work that its successor knows nothing of.
        """
        async with self._claiming:
            self._generation = generation
            attempts = [a for a in await self._store.attempts.open() if a.kind == "agent"]
            queues = await self._store.queues.list()
            return ClusterState(
                agents=await self._store.agents.list(),
                orders=[OpenOrder(a.agent, await self._order_again(a)) for a in attempts],
                queues=[queue.name for queue in queues],
                static_queues=[queue.name for queue in queues if not queue.elastic],
            )

    async def claim(self, generation: str, intents: list[ClaimIntent]) -> list[WorkOrder | None]:
        """Pick, assign and lease, all in one transaction; None where the task is not pending."""
        async with self._claiming:
            self._generation = self._generation or generation
            if generation != self._generation:
                log.warning("a claim of a scheduler that has been replaced is refused")
                return [None] * len(intents)
            return await self._claim(intents)

    async def _claim(self, intents: list[ClaimIntent]) -> list[WorkOrder | None]:
        claimed_at, now = self._clock.monotonic(), self._clock.now()
        requests = [
            ClaimRequest(i.task_id, i.agent, i.node, i.claim_id, self._settings.lease_ttl_s)
            for i in intents
        ]
        assignments = await self._store.attempts.claim(requests, SYSTEM)
        defaults = {
            a.task.queue: await self._store.queues.defaults(a.task.queue)
            for a in assignments
            if a is not None
        }
        return [
            WorkOrder(
                task=a.task,
                epoch=a.epoch,
                claim_id=a.claim_id,
                token=tokens.mint_task_token(self._token, a.task.id, a.epoch),
                url=self._url,
                lease_ttl_s=a.lease_ttl_s,
                # The lease of a claim that was made before, and is answered again, is older.
                claimed_at=claimed_at if _is_claimed_since(a.task, now) else None,
                clock=monotonic_origin(),
                defaults=defaults[a.task.queue],
            )
            if a is not None
            else None
            for a in assignments
        ]

    async def ahead_orders(self, task_ids: list[str]) -> list[AheadOrder]:
        """What is to be built ahead for tasks that wait."""
        return await self._ahead.orders(task_ids)

    async def refuse(self, refusal: Refusal) -> None:
        """End tasks that wait and are certain to fail."""
        await self._ahead.refuse(refusal)
        handles.scheduler().withdraw.remote(list(refusal.claim_ids))

    async def prove_dead(self, task_id: str, epoch: int, evidence: str) -> None:
        """An attempt's processes are gone: requeued or failed, by the task's policy."""
        await self._leases.prove_dead(task_id, epoch, evidence)

    async def agent_gone(
        self, task_id: str, epoch: int, evidence: str, *, node_is_alive: bool
    ) -> None:
        """Ray says that an attempt's agent is gone, alone or with its node."""
        if node_is_alive:
            await self._leases.prove_dead(task_id, epoch, evidence, agent_died=True)
        else:
            await self._leases.lose_node(task_id, epoch, evidence)

    async def expire_leases(self) -> None:
        """Call silent attempts unreachable; give up those whose agent has fenced itself."""
        await self._leases.look()

    async def put_agent(self, record: AgentRecord) -> None:
        """Remember an agent."""
        await self._store.agents.put(record)

    async def remove_agent(self, name: str) -> None:
        """Forget an agent that is gone."""
        await self._store.agents.remove(name)

    async def stop(self) -> None:
        """Answer what is under way, close the store; the process may then be ended."""
        self._hub.close()  # ends long polls and followed consoles, which would be waited for
        self._server.should_exit = True
        await asyncio.wait([self._main])

    async def why(self, task_id: str) -> str:
        """One sentence: why a task is in the state it is in (``api.Orchestrator``)."""
        head = await self._store.tasks.head(task_id)
        if head.state is not State.PENDING:
            phase = f" ({head.phase})" if head.phase else ""
            return head.cause.message if head.cause else f"it is {head.state}{phase}"
        if head.not_before is not None and head.not_before > self._clock.now():
            wait_s = head.not_before - self._clock.now()
            retry = f"retry {head.n_retries} of {head.policy.retries}"
            return f"{retry} starts in {wait_s:.0f} s at the earliest"
        with anyio.move_on_after(5.0):
            before = await (await self._queue_actor(head.queue)).position.remote(task_id)
            reason: str = await handles.scheduler().why.remote(task_id)
            first = f"{before} tasks of queue {head.queue!r} come first" if before else ""
            if reason and first:
                return f"{reason}; {first}"
            return reason or first or "it has just been enqueued and is being placed"
        return "the scheduler does not answer; it is being restarted"

    async def queues_changed(self, queues: list[Queue]) -> None:
        """A queue was created or deleted (``api.Orchestrator``)."""
        for gone in set(self._queue_actors) - {queue.name for queue in queues}:
            del self._queue_actors[gone]
            handles.kill(handles.queue_actor_name(gone))
        static = [queue.name for queue in queues if not queue.elastic]
        handles.scheduler().queues_changed.remote(static)

    async def components(self) -> list[Component]:
        """Every actor of the control plane and how it is (``api.Orchestrator``)."""
        queues = await self._store.queues.list()
        actors = {"scheduler": handles.scheduler()}
        actors |= {f"queue {q.name}": await self._queue_actor(q.name) for q in queues}
        own = Component(handles.GATEWAY, "alive", handles.own_pid(), int(handles.own_restarts()))
        others = await asyncio.gather(*(_component(name, a) for name, a in actors.items()))
        return [own, *others]

    async def build_environment(self, request: EnvironmentRequest) -> EnvironmentBuilt:
        """Make an environment for somebody who waits for it (``api.Orchestrator``)."""
        order = await self._ahead.order_for(request.task_id, request.execution)
        return await self.caches.build(order, request.node)

    async def drain_agent(self, name: str, reason: str) -> bool:
        """Give an agent no more work (``api.Orchestrator``)."""
        return bool(await handles.scheduler().drain_agent.remote(name, reason))

    async def resume_agent(self, name: str) -> bool:
        """Give a drained agent work again (``api.Orchestrator``)."""
        return bool(await handles.scheduler().resume_agent.remote(name))

    async def stop_agent(self, name: str, by: str) -> bool:
        """End an agent, what it runs goes back to its queue (``api.Orchestrator``)."""
        return bool(await handles.scheduler().stop_agent.remote(name, by))

    async def _run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell_queues, name="tell queues")
            tasks.start_soon(self._note_serving, name="note serving")
            tasks.start_soon(self._watch_coordinators, name="watch coordinators")
            await self._server.serve()
            tasks.cancel_scope.cancel()
        await self._store.close()

    async def _watch_coordinators(self) -> None:
        """See to it that neither the scheduler nor a queue hangs."""
        dogs: dict[str, Watchdog] = {}
        while True:
            names = [handles.SCHEDULER, *map(handles.queue_actor_name, self._queue_actors)]
            dogs = {name: dogs.get(name) or self._watchdog(name) for name in names}
            async with anyio.create_task_group() as tasks:
                for dog in dogs.values():
                    tasks.start_soon(dog.look)
            await anyio.sleep(self._settings.lease_ttl_s * HANG_SHARE / 2)

    def _watchdog(self, name: str) -> Watchdog:
        return Watchdog(name, lambda: handles.find(name), self._settings.lease_ttl_s)

    def _make_server(self) -> _Server:
        app = create_app(
            self._store, self._settings, self, self._hub, token=self._token, clock=self._clock
        )
        config = uvicorn.Config(
            app,
            host=self._settings.host,
            port=self._settings.port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        return _Server(config)

    async def _note_serving(self) -> None:
        await self._server.serving.wait()
        if handles.own_restarts():
            await self._resync_queues()

    async def _resync_queues(self) -> None:
        """What was told just before the last process died may not have arrived."""
        for queue in await self._store.queues.list():
            (await self._queue_actor(queue.name)).resync.remote()

    async def _order_again(self, attempt: OpenAttempt) -> WorkOrder:
        task = await self._store.tasks.get(attempt.task_id)
        return WorkOrder(
            task=task,
            epoch=attempt.epoch,
            claim_id="",
            token=tokens.mint_task_token(self._token, attempt.task_id, attempt.epoch),
            url=self._url,
            lease_ttl_s=self._settings.lease_ttl_s,
            defaults=await self._store.queues.defaults(task.queue),
        )

    def _on_change(self, change: Change) -> None:
        """Push what a commit means to whoever waits for it."""
        before, after = change.before, change.after
        if before.state is State.PENDING and after.state is not State.PENDING:
            self._deltas[before.queue].remove(before.task_id)
            self._left.set()
            if after.state is not State.RUNNING:
                handles.scheduler().withdraw.remote([before.task_id])
        if change.entry is not None:
            self._deltas[change.entry.queue].add(change.entry)
            self._arrived.set()
            self._left.set()
        if before.phase is Phase.UNREACHABLE and after.state is not State.RUNNING:
            handles.scheduler().doubt.remote(before.agent)
        asked = after.phase is Phase.STOPPING and before.phase is not Phase.STOPPING
        if asked and after.cause is not None:
            agent = handles.find(handles.agent_actor_name(after.agent))
            if agent is not None:
                agent.stop.remote(after.task_id, after.epoch, after.cause)

    async def _tell_queues(self) -> None:
        """Tell queue actors what came and went: arrivals at once, removals gathered."""
        while True:
            await self._left.wait()
            with anyio.move_on_after(REMOVALS_S):
                await self._arrived.wait()
            self._arrived.clear()
            self._left.clear()
            deltas, self._deltas = self._deltas, defaultdict(QueueDelta)
            for queue, delta in deltas.items():
                # What leaves a queue that was deleted is no reason to make an actor for it.
                if delta.added or queue in self._queue_actors:
                    (await self._queue_actor(queue)).changed.remote(delta)

    async def _queue_actor(self, queue: str) -> handles.Handle:
        if queue not in self._queue_actors:
            options = ActorOptions(name=handles.queue_actor_name(queue), on_head=True)
            self._queue_actors[queue] = await asyncio.to_thread(
                handles.get_or_create, QueueActor, options, queue
            )
        return self._queue_actors[queue]


async def _component(name: str, actor: handles.Handle) -> Component:
    try:
        with anyio.fail_after(COMPONENT_TIMEOUT_S):
            health: Health = await actor.alive.remote()
    except (TimeoutError, *handles.ActorTrouble):
        return Component(name, "does not answer")
    return Component(name, "alive", health.pid, int(health.restarted))


def _is_claimed_since(task: Task, moment: float) -> bool:
    return task.attempt is not None and task.attempt.claimed_at >= moment
