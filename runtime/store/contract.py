"""What callers hand to the store and get back from it, where a model is not enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dray.runtime import answers
from dray.runtime.answers import ConsolePage, ConsolePiece, Media, Page, Plot
from dray.runtime.causes import Cause
from dray.runtime.machine import Head
from dray.runtime.models import ConfigObject, Parameter, QueueEntry, Task, TaskType
from dray.runtime.states import Phase, State
from dray.runtime.tokens import TaskScope

#: What is also answered over the wire has its one home in ``runtime.answers``.
__all__ = [
    "Assignment",
    "By",
    "Change",
    "ClaimRequest",
    "CloneRequest",
    "ConsolePage",
    "ConsolePiece",
    "FrameReply",
    "Media",
    "OpenAttempt",
    "Page",
    "Plot",
    "RawConsole",
    "ScalarSeries",
    "StoredReply",
    "TaskEdit",
    "TaskQuery",
    "TaskSearch",
    "TextLine",
]


@dataclass(frozen=True)
class By:
    """Who did it, and by which request; kept in the audit.

    Attributes:
        attempt: the attempt it is written for, by its token: once that is over, the write is
            refused (see ``store.fencing``).
    """

    who: str
    request_id: str = ""
    attempt: TaskScope | None = None


@dataclass(frozen=True)
class Change:
    """What one command did to a task; equal heads mean that it stood already.

    Attributes:
        entry: its place in its queue, when the task is pending now.
    """

    before: Head
    after: Head
    entry: QueueEntry | None = None


@dataclass(frozen=True)
class TaskQuery:
    """Which tasks, in which order.

    Attributes:
        project: full name; its sub-projects are included.
        name: part of the name, any case.
        states: any of them; the same holds for ``types``.
        tags: all of them.
        search: part of name, comment or id.
        order: ``created_at``, ``updated_at`` or ``name``; ``-`` in front: descending.
    """

    project: str | None = None
    name: str | None = None
    name_exact: str | None = None
    states: list[State] = field(default_factory=list[State])
    types: list[TaskType] = field(default_factory=list[TaskType])
    tags: list[str] = field(default_factory=list[str])
    queue: str | None = None
    parent_id: str | None = None
    owner: str | None = None
    search: str | None = None
    order: str = "-created_at"
    limit: int = 50
    cursor: str | None = None


class Include(str, Enum):
    """How much of each task a search answers."""

    IDS = "ids"
    TASKS = "tasks"
    WHOLE = "whole"


@dataclass(frozen=True)
class TaskSearch:
    """A search in the words of ClearML's programs; see ``store.task_filter``.

    Attributes:
        filter: name → value, as ``task_filter`` has it.
        limit: tasks in one page.
        include: only ids, tasks as lists have them, or also diffs and metrics.
    """

    filter: dict[str, Any] = field(default_factory=dict[str, Any])
    limit: int = 100
    cursor: str | None = None
    include: Include = Include.TASKS


@dataclass(frozen=True)
class TaskEdit:
    """What to change; a member that is None stays as it is.

    Attributes:
        properties: merged; a value of None deletes the property.
        parameters: merged, unless ``replace_parameters``; None as a value deletes.
        configuration: merged; None as a value deletes.
        execution: members of ``runtime.execution.Execution`` to change, ``resources`` merged
            likewise.
            Changing repository, commit, branch or diff drops the snapshot.
        policy: members of ``models.Policy`` to change.
        output_uri: short for ``execution.output_uri``.
        parent_id: empty for none.
        labels: all of them; number of each class by its name.
    """

    name: str | None = None
    project: str | None = None
    comment: str | None = None
    tags: list[str] | None = None
    system_tags: list[str] | None = None
    parent_id: str | None = None
    labels: dict[str, int] | None = None
    publish_on_completion: bool | None = None
    properties: dict[str, str | None] | None = None
    type: TaskType | None = None
    parameters: dict[str, Parameter | None] | None = None
    replace_parameters: bool = False
    configuration: dict[str, ConfigObject | None] | None = None
    execution: dict[str, Any] | None = None
    policy: dict[str, Any] | None = None
    priority: int | None = None
    output_uri: str | None = None


@dataclass(frozen=True)
class CloneRequest:
    """How a clone differs from its source; None: as the source, or the default name.

    Attributes:
        packages: ``requested``: it asks for what its source asks for; ``resolved``: it installs
            exactly what an agent built for its source last.
    """

    id: str | None = None
    name: str | None = None
    project: str | None = None
    comment: str | None = None
    tags: list[str] | None = None
    parent_id: str | None = None
    packages: str = "requested"


@dataclass(frozen=True)
class ClaimRequest:
    """Who wants to run which task.

    Attributes:
        claim_id: made by the caller; the same one is answered again.
    """

    task_id: str
    agent: str
    node: str
    claim_id: str
    lease_ttl_s: float


@dataclass(frozen=True)
class Assignment:
    """A task and the right to run it as attempt ``epoch``."""

    task: Task
    epoch: int
    claim_id: str
    lease_ttl_s: float


@dataclass(frozen=True)
class OpenAttempt:
    """A running task as whoever watches leases sees it.

    Attributes:
        kind: ``local`` for a run started by hand, else ``agent``.
        stop: why it is to end, once somebody asked.
    """

    task_id: str
    epoch: int
    agent: str
    phase: Phase
    lease_expires_at: float
    kind: str
    node: str = ""
    queue: str = ""
    owner: str = ""
    claimed_at: float = 0.0
    stop: Cause | None = None


@dataclass(frozen=True)
class FrameReply(answers.FrameReply):
    """What a shipper is told after a frame, and what only the server needs to know.

    Attributes:
        change: what the frame did to the task's head.
        n_console_bytes: console bytes that were new.
    """

    change: Change | None = None
    n_console_bytes: int = 0


@dataclass(frozen=True)
class RawConsole:
    """One stream as a file: its first ``n_bytes`` bytes are what the process wrote."""

    path: str
    n_bytes: int


@dataclass(frozen=True)
class ScalarSeries:
    """Points of one series by iteration; a value that is not a finite number is None."""

    iterations: list[int]
    values: list[float | None]
    times: list[float]


@dataclass(frozen=True)
class TextLine:
    """One line of ``report_text``."""

    seq: int
    epoch: int
    at: float
    level: str
    message: str


@dataclass(frozen=True)
class StoredReply:
    """What a request with this idempotency key was answered.

    Attributes:
        fingerprint: of the request, so that the key is not used for another one.
    """

    fingerprint: str
    status: int
    body: str
