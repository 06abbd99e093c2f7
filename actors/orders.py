"""What actors say to each other: work orders, facts about an agent, a component's health."""

from __future__ import annotations

from dataclasses import dataclass, field

from dray.runtime.causes import Cause
from dray.runtime.execution import EnvironmentReport, Execution, RunDefaults
from dray.runtime.models import AgentRecord, QueueEntry, Task


@dataclass(frozen=True)
class WorkOrder:
    """One attempt given to an agent; giving it twice has no effect.

    Attributes:
        token: scoped to this task; the agent and the child use nothing stronger.
        url: of the gateway, as agents reach it.
        lease_ttl_s: length of the lease the claim took.
        claimed_at: ``time.monotonic()`` where the claim was made, before it was; None in an order
            that is given again.
        clock: what that counts from, see ``clock.monotonic_origin``.
        defaults: of the queue the task was in.
    """

    task: Task
    epoch: int
    claim_id: str
    token: str
    url: str
    lease_ttl_s: float
    claimed_at: float | None = None
    clock: str = ""
    defaults: RunDefaults = field(default_factory=RunDefaults)

    def confirmed_at(self, clock: str) -> float | None:
        """When the server last confirmed the lease, for a holder with this clock.

        None where the clocks cannot be compared: it has to ask.
        """
        return self.claimed_at if clock and clock == self.clock else None


@dataclass(frozen=True)
class AttemptEnd:
    """What an agent says once an attempt is over, of which its cause is not a part.

    Attributes:
        untold: why the store could not be told of the end; empty when it has it or knows better.
        worker_failed: the agent's own part of the work failed (disk, fork, supervisor).
        stuck_pids: processes that outlived KILL and still hold what the agent holds.
    """

    untold: str = ""
    worker_failed: bool = False
    stuck_pids: list[int] = field(default_factory=list[int])


@dataclass(frozen=True)
class OpenOrder:
    """An open attempt as the store has it, for a scheduler that has just started."""

    agent: str
    order: WorkOrder


@dataclass(frozen=True)
class ClusterState:
    """What the store knows of agents and their open attempts."""

    agents: list[AgentRecord]
    orders: list[OpenOrder]
    queues: list[str]
    static_queues: list[str]


@dataclass(frozen=True)
class AgentFacts:
    """What an agent says of itself when it is ready."""

    pid: int
    node: str
    node_id: str
    gpus: list[str]


@dataclass(frozen=True)
class Health:
    """What a component answers to a ping."""

    pid: int
    restarted: bool
    node_id: str


@dataclass(frozen=True)
class ClaimIntent:
    """A claim the scheduler wants committed; ``claim_id`` makes repeating it harmless."""

    task_id: str
    agent: str
    node: str
    claim_id: str


@dataclass
class QueueDelta:
    """What came to a queue and what left it, as committed; a task's last step counts.

    Attributes:
        added: entries by task.
        removed: tasks that left; one that is also in ``added`` left before it came.
    """

    added: dict[str, QueueEntry] = field(default_factory=dict[str, QueueEntry])
    removed: set[str] = field(default_factory=set[str])

    def add(self, entry: QueueEntry) -> None:
        """A task came, or came to another place."""
        self.added[entry.task_id] = entry

    def remove(self, task_id: str) -> None:
        """A task left."""
        self.added.pop(task_id, None)
        self.removed.add(task_id)


@dataclass(frozen=True)
class AheadOrder:
    """What a builder needs to make the environment of a task that waits.

    Attributes:
        content: digest of what is built; tasks that are alike in it are built once.
        likeness: digest of what leads to the same environment most often.
        execution: of the task, with what its queue says.
        url: of the gateway, as nodes reach it.
        token: reads what the task needs; it may write nothing.
    """

    task_id: str
    content: str
    likeness: str
    execution: Execution
    url: str
    token: str


@dataclass(frozen=True)
class AheadReport:
    """What became of building ahead.

    Attributes:
        node: name of the node it was tried on.
        environment: what was built or found there; None: nothing.
        cause: why the task is certain to fail; None: nothing says so.
        notes: sentences about what did not work here, and may where the task runs.
        looked_at: nothing more will be found out.
        seconds: until then.
    """

    node: str = ""
    environment: EnvironmentReport | None = None
    cause: Cause | None = None
    notes: list[str] = field(default_factory=list[str])
    looked_at: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Refusal:
    """Tasks that wait and are certain to fail: they end now instead of when they have their turn.

    Attributes:
        claim_ids: one for each of the tasks, so that repeating it is harmless.
        content: that they are refused for; a task that was changed since is not.
        builder: name of who found it out, which their last attempt is ascribed to.
    """

    claim_ids: dict[str, str]
    content: str
    cause: Cause
    builder: str
    node: str
    environment: EnvironmentReport | None = None
