"""What Dray keeps: tasks, attempts, queues, agents, projects, artifacts.

Written once: the store fills these, FastAPI validates them at the edge, the SDK returns
them. Times are seconds since the Unix epoch (UTC). Every class is plain data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dray.runtime.causes import Cause
from dray.runtime.execution import EnvironmentReport, Execution, RunDefaults
from dray.runtime.resources import Resources
from dray.runtime.states import Phase, State


class TaskType(str, Enum):
    """What a task is for."""

    TRAINING = "training"
    TESTING = "testing"
    INFERENCE = "inference"
    DATA_PROCESSING = "data_processing"
    APPLICATION = "application"
    MONITOR = "monitor"
    CONTROLLER = "controller"
    OPTIMIZER = "optimizer"
    SERVICE = "service"
    QC = "qc"
    CUSTOM = "custom"

    def __str__(self) -> str:
        return self.value


class OnLost(str, Enum):
    """What happens to a task whose agent went silent or died."""

    REQUEUE = "requeue"
    WAIT = "wait"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Policy:
    """What may be done with a task when things go wrong.

    The two budgets are separate: a lost worker never uses up a retry, nor the other way round.

    Attributes:
        on_lost: ``requeue`` runs it again elsewhere once the old attempt is proved dead;
            ``wait`` leaves it unreachable until its agent comes back or is proved dead,
            and then fails it.
        max_requeues: how often a lost worker may send it back before it fails.
        quarantine_after: it fails for good once so many different agents died under it;
            0 never.
        retries: how often its own failure (exit code, signal, out of memory) is tried again.
        retry_delay_s: seconds before the first retry; each further one waits twice as long.
        max_run_time_s: seconds its process may run in one attempt; None for ever.
        stop_grace_s: seconds between the first signal and the next when it is stopped; None
            for the cluster's ``stop_grace_s``.
    """

    on_lost: OnLost = OnLost.REQUEUE
    max_requeues: int = 3
    quarantine_after: int = 3
    retries: int = 0
    retry_delay_s: float = 10.0
    max_run_time_s: float | None = None
    stop_grace_s: float | None = None


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter; its flat name is ``Section/name``.

    Attributes:
        value: as text; ``type`` says how the code that connected it read it.
        type: ``int``, ``float``, ``bool``, ``str``, ``list``, ``dict``, ``tuple``, ``none`` or
            empty.
        description: help text.
    """

    value: str
    type: str = ""
    description: str = ""


@dataclass(frozen=True)
class ConfigObject:
    """A named configuration text of a task."""

    text: str
    type: str = ""
    description: str = ""


@dataclass(frozen=True)
class Gap:
    """Bytes of a console stream that the process wrote and that are not stored."""

    offset: int
    n_bytes: int


@dataclass(frozen=True)
class StreamReceipt:
    """What one stream of an attempt came to.

    Attributes:
        n_bytes: bytes the process wrote, as counted where it ran.
        sha256: of those bytes, hexadecimal.
        stored_bytes: bytes the server holds.
        exact: whether what is stored is byte for byte what was written outside the gaps.
        missing_bytes: bytes in all gaps together; 0: there is none.
        gaps: the first hundred of them, by offset.
    """

    n_bytes: int
    sha256: str
    stored_bytes: int = 0
    exact: bool = False
    missing_bytes: int = 0
    gaps: list[Gap] = field(default_factory=list[Gap])


@dataclass(frozen=True)
class Attempt:
    """One go at running a task; at most one per task is open.

    Attributes:
        epoch: 1, 2, 3 …; every write of the attempt carries it.
        agent: name of the agent, or ``local:HOST`` for a run started by hand.
        node: host it runs on.
        lease_expires_at: when the server calls it unreachable; None once closed.
        unreachable_since: when its lease ran out, while it is unreachable.
        executing_at: when the process was started.
        first_output_at: when its first byte of console reached the server.
        receipt: streams by name (``stdout``, ``stderr``, ``prepare``), once closed.
    """

    task_id: str
    epoch: int
    agent: str
    node: str = ""
    claimed_at: float = 0.0
    lease_expires_at: float | None = None
    unreachable_since: float | None = None
    executing_at: float | None = None
    first_output_at: float | None = None
    ended_at: float | None = None
    cause: Cause | None = None
    environment: EnvironmentReport | None = None
    receipt: dict[str, StreamReceipt] = field(default_factory=dict[str, StreamReceipt])


@dataclass(frozen=True)
class Artifact:
    """A named output of a task.

    Attributes:
        type: how ``get`` rebuilds it: ``json``, ``text``, ``numpy``, ``pandas``, ``pickle``,
            ``file``, ``archive``, ``uri``.
        filename: name the bytes are saved under.
        sha256: of the bytes, and their address in the blob store; empty for ``uri``.
        uri: where the bytes are when they are not in the blob store.
        preview: text shown without fetching it, at most 64 KiB.
    """

    name: str
    type: str
    filename: str = ""
    sha256: str = ""
    n_bytes: int = 0
    uri: str = ""
    preview: str = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    created_at: float = 0.0


@dataclass(frozen=True)
class ModelRef:
    """A model as a task names it.

    Attributes:
        id: of the model.
        name: under which the task has it; one model may go by other names elsewhere.
    """

    id: str
    name: str


@dataclass(frozen=True)
class Metric:
    """Summary of one scalar series: what a table of tasks shows without reading history.

    All but ``n_points`` speaks of finite values alone.

    Attributes:
        first: the value that arrived first; None where an older version did not keep it.
        mean: of all values.
        min_iteration: at which ``min`` was seen first.
        max_iteration: at which ``max`` was seen first.
    """

    last: float
    last_iteration: int
    min: float
    max: float
    n_points: int
    first: float | None = None
    mean: float | None = None
    min_iteration: int | None = None
    max_iteration: int | None = None


@dataclass(frozen=True)
class Task:
    """A task with everything but its high-rate results.

    Attributes:
        project: full name, nested by ``/``.
        project_id: of that project.
        labels: number of each class by its name, for whoever reads the model's answers.
        publish_on_completion: it is published as soon as it is completed.
        execution: in lists without the text of its diff.
        parameters: by flat name ``Section/name``.
        properties: user properties by name; editable in every state.
        runtime: facts of the last run by name (host, python, dray, gpu …).
        owner: who created it.
        queue: name of the queue it waits in, or last was claimed from.
        priority: higher is sooner; 0 unless said.
        n_requeues: how often a lost worker sent it back since it was enqueued.
        n_retries: how often its own failure was tried again since it was enqueued.
        not_before: while pending: when its next retry may start.
        initial_iteration: what a run that continues this task adds to its iterations.
        models: ``input`` and ``output``: its models by the names it has for them, oldest first.
        attempt: the latest attempt, open or closed.
        metrics: title → series → summary; empty in lists.
        single_values: name → value, as ``report_single_value`` left them; empty in lists.
    """

    id: str
    name: str
    project: str
    type: TaskType = TaskType.TRAINING
    state: State = State.DRAFT
    phase: Phase | None = None
    cause: Cause | None = None
    tags: list[str] = field(default_factory=list[str])
    system_tags: list[str] = field(default_factory=list[str])
    comment: str = ""
    parent_id: str = ""
    owner: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    enqueued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    queue: str = ""
    priority: int = 0
    policy: Policy = field(default_factory=Policy)
    n_requeues: int = 0
    n_retries: int = 0
    not_before: float | None = None
    initial_iteration: int = 0
    epoch: int = 0
    project_id: str = ""
    labels: dict[str, int] = field(default_factory=dict[str, int])
    publish_on_completion: bool = False
    execution: Execution = field(default_factory=Execution)
    parameters: dict[str, Parameter] = field(default_factory=dict[str, Parameter])
    configuration: dict[str, ConfigObject] = field(default_factory=dict[str, ConfigObject])
    properties: dict[str, str] = field(default_factory=dict[str, str])
    runtime: dict[str, str] = field(default_factory=dict[str, str])
    progress: float | None = None
    artifacts: list[Artifact] = field(default_factory=list[Artifact])
    models: dict[str, list[ModelRef]] = field(default_factory=dict[str, list[ModelRef]])
    attempt: Attempt | None = None
    metrics: dict[str, dict[str, Metric]] = field(default_factory=dict[str, dict[str, Metric]])
    single_values: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class QueueEntry:
    """One pending task in a queue, in what the scheduler needs to place it."""

    task_id: str
    queue: str
    priority: int
    rank: int
    enqueued_at: float
    resources: Resources
    owner: str = ""
    not_before: float | None = None


@dataclass(frozen=True)
class Queue:
    """A named line of pending tasks.

    Attributes:
        elastic: agents are made for its tasks as needed; otherwise only agents started by
            hand take from it.
        n_pending: tasks waiting, derived.
        defaults: for its tasks; they come before the agent's own.
        served: whether some agent takes tasks from it, or would be made for it, derived.
    """

    id: str
    name: str
    created_at: float
    elastic: bool = True
    defaults: RunDefaults = field(default_factory=RunDefaults)
    n_pending: int = 0
    served: bool = False


@dataclass(frozen=True)
class AgentRecord:
    """What the store knows of an agent; whether it is busy is derived from its attempts.

    Attributes:
        kind: ``static``, ``elastic`` or ``services``.
        queues: queues a static agent serves, first first; elastic ones serve every elastic queue.
        slots: attempts it may run at once (1 unless ``services``).
        state: ``starting``, ``ready`` or ``drained``; ended ones are removed.
        reason: why it is drained, which is: holds what it holds, takes no more work.
        node_id: of Ray, the node it holds its resources on.
        task_ids: open attempts on it, derived.
    """

    name: str
    kind: str
    resources: Resources
    queues: list[str] = field(default_factory=list[str])
    slots: int = 1
    node: str = ""
    node_id: str = ""
    state: str = "starting"
    reason: str = ""
    created_at: float = 0.0
    last_seen_at: float = 0.0
    task_ids: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Project:
    """A folder of tasks; names nest by ``/``."""

    id: str
    name: str
    created_at: float
    description: str = ""
    n_tasks: int = 0


@dataclass(frozen=True)
class AuditEntry:
    """One thing that happened to a task, who did it and by which request."""

    seq: int
    at: float
    task_id: str
    event: str
    from_state: str
    to_state: str
    by: str
    epoch: int = 0
    request_id: str = ""
    cause: Cause | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])
