"""What requests carry where no domain model is it; each refuses members it does not know."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Annotated, Any, cast

from fastapi import Body
from pydantic import BeforeValidator, ConfigDict, Field

from dray.runtime.errors import InvalidInput
from dray.runtime.execution import Execution, RunDefaults
from dray.runtime.models import ConfigObject, Parameter, Policy, Task, TaskType
from dray.runtime.states import Event
from dray.runtime.store.contract import CloneRequest, TaskEdit, TaskSearch

_STRICT = ConfigDict(extra="forbid")
#: Nothing may be left out by being empty: everybody's empty claim would be the same claim.
_Told = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class NewTask:
    """The members of a task that its maker may set.

    Attributes:
        id: made by the caller (32 hexadecimal digits); empty: made by the server.
    """

    __pydantic_config__ = _STRICT

    name: str
    project: str
    id: str = ""
    type: TaskType = TaskType.TRAINING
    tags: list[str] = field(default_factory=list[str])
    system_tags: list[str] = field(default_factory=list[str])
    comment: str = ""
    parent_id: str = ""
    owner: str = ""
    priority: int = 0
    policy: Policy = field(default_factory=Policy)
    execution: Execution = field(default_factory=Execution)
    parameters: dict[str, Parameter] = field(default_factory=dict[str, Parameter])
    configuration: dict[str, ConfigObject] = field(default_factory=dict[str, ConfigObject])
    properties: dict[str, str] = field(default_factory=dict[str, str])
    runtime: dict[str, str] = field(default_factory=dict[str, str])
    labels: dict[str, int] = field(default_factory=dict[str, int])
    publish_on_completion: bool = False

    def task(self, id: str) -> Task:
        """A draft with these members."""
        given: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        given["id"] = id
        return Task(**given)


_SERVERS_MEMBERS = {f.name for f in fields(Task)} - {f.name for f in fields(NewTask)}


def _without_servers_members(body: Any) -> Any:
    """A task as it was read may be sent back as a new one: what the server says is left out."""
    left = {n: value for n, value in _members(body).items() if n not in _SERVERS_MEMBERS}
    return left if isinstance(body, dict) else body


def _members(body: object) -> dict[str, Any]:
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


@dataclass(frozen=True)
class EnqueueBody:
    """Where to; ``priority`` when it is to change."""

    __pydantic_config__ = _STRICT

    queue: str
    priority: int | None = None


@dataclass(frozen=True)
class AbortBody:
    """Why, for the task's cause."""

    __pydantic_config__ = _STRICT

    reason: str | None = None


@dataclass(frozen=True)
class DrainBody:
    """Why it is to take no more work, for whoever looks at it."""

    __pydantic_config__ = _STRICT

    reason: str


@dataclass(frozen=True)
class PruneBody:
    """Which environments are to go; those in use stay.

    Attributes:
        keys: these alone; empty: all.
        unused_for_s: only what was not used for so long.
    """

    __pydantic_config__ = _STRICT

    keys: list[str] = field(default_factory=list[str])
    unused_for_s: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True)
class BuildBody:
    """Whose environment is to be made, and where.

    Attributes:
        task_id: id or unique prefix of a task; empty: ``execution`` says it.
        node: name of a node; empty: the first there is.
    """

    __pydantic_config__ = _STRICT

    task_id: str = ""
    execution: Execution | None = None
    node: str = ""


class Outcome(str, Enum):
    """An end that can be stated by hand."""

    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"

    @property
    def event(self) -> Event:
        """The transition it asks for."""
        return {
            Outcome.COMPLETED: Event.COMPLETE,
            Outcome.FAILED: Event.FAIL,
            Outcome.ABORTED: Event.ABORT,
        }[self]


@dataclass(frozen=True)
class MarkBody:
    """How the task ended, and why."""

    __pydantic_config__ = _STRICT

    outcome: Outcome
    reason: str | None = None


@dataclass(frozen=True)
class StartBody:
    """Who runs the task by hand.

    Attributes:
        agent: ``local:HOST``.
        claim_id: made by the caller, so that a repeated start is answered again.
        initial_iteration: what the run adds to its iterations; null: one more than the last
            iteration reported, where the task goes on after an end.
    """

    __pydantic_config__ = _STRICT

    agent: _Told
    claim_id: _Told
    node: str = ""
    initial_iteration: Annotated[int, Field(ge=0)] | None = None


@dataclass(frozen=True)
class StreamEnd:
    """What one stream of a local run came to, as counted there."""

    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class HandOverBody:
    """A run started by hand that goes on in a queue.

    Attributes:
        execution: members of ``Execution`` to change for the new run.
        parameters: merged into the task's.
        policy: replaces the task's, once it is in the queue.
        receipt: streams of the local run by name.
    """

    __pydantic_config__ = _STRICT

    epoch: int
    queue: str
    execution: dict[str, Any] | None = None
    parameters: dict[str, Parameter] | None = None
    policy: Policy | None = None
    receipt: dict[str, StreamEnd] | None = None


@dataclass(frozen=True)
class RenewBody:
    """How long to wait for a request to stop; the server's ``heartbeat_s`` is the most."""

    __pydantic_config__ = _STRICT

    wait_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


@dataclass(frozen=True)
class BlobList:
    """Hashes to ask about."""

    __pydantic_config__ = _STRICT

    sha256: list[str]


@dataclass(frozen=True)
class MissingBlobs:
    """Those of the asked-for hashes that the server lacks."""

    missing: list[str]


@dataclass(frozen=True)
class NewArtifact:
    """An artifact that is added from outside a run; the members of ``models.Artifact``.

    Attributes:
        preview: at most 64 KiB.
    """

    __pydantic_config__ = _STRICT

    type: str
    filename: str = ""
    sha256: str = ""
    n_bytes: int = 0
    uri: str = ""
    preview: Annotated[str, Field(max_length=64 << 10)] = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    created_at: float = 0.0


@dataclass(frozen=True)
class PartialBlob:
    """How much of a blob is here.

    Attributes:
        done: it is whole, and kept.
    """

    n_bytes: int
    done: bool


@dataclass(frozen=True)
class NewQueue:
    """A queue to make.

    Attributes:
        elastic: agents are made for its tasks as needed.
        defaults: how its tasks run that do not say it themselves.
    """

    __pydantic_config__ = _STRICT

    name: str
    elastic: bool = True
    defaults: RunDefaults = field(default_factory=RunDefaults)


@dataclass(frozen=True)
class QueueEdit:
    """What to change of a queue.

    Attributes:
        defaults: members of ``execution.RunDefaults`` to change; those of ``container`` one by
            one. The rest stays.
    """

    __pydantic_config__ = _STRICT

    defaults: dict[str, Any]


@dataclass(frozen=True)
class NewProject:
    """A project to make; names nest by ``/``."""

    __pydantic_config__ = _STRICT

    name: str
    description: str = ""


@dataclass(frozen=True)
class ProjectEdit:
    """What to change of a project; a member that is None stays."""

    __pydantic_config__ = _STRICT

    name: str | None = None
    description: str | None = None


def _known_members(kind: type[Any]) -> BeforeValidator:
    """Refuse members of a store's dataclass that it does not have; they would do nothing."""
    names = {f.name for f in fields(kind)}

    def check(body: Any) -> Any:
        for name in sorted(set(_members(body)) - names):
            raise InvalidInput(
                f"there is no member {name!r} to set; there are {', '.join(sorted(names))}",
                field=name,
            )
        return body

    return BeforeValidator(check)


NewTaskBody = Annotated[NewTask, BeforeValidator(_without_servers_members), Body()]
EditBody = Annotated[TaskEdit, _known_members(TaskEdit), Body()]
SearchBody = Annotated[TaskSearch, _known_members(TaskSearch), Body()]
CloneBody = Annotated[CloneRequest, _known_members(CloneRequest), Body()]
OptionalAbort = Annotated[AbortBody | None, Body()]


def raw(media_type: str) -> dict[str, Any]:
    """How the API's description tells of a body that a route reads by itself."""
    content: dict[str, Any] = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {"requestBody": {"content": content, "required": True}}
