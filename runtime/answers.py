"""What the HTTP API answers beyond the models: pages, frame replies, console pieces, series."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dray.runtime.causes import Cause
from dray.runtime.models import Task
from dray.runtime.states import Phase, State

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of a list.

    Attributes:
        next_cursor: give it back to get what follows; None at the end.
    """

    items: list[T]
    next_cursor: str | None = None


@dataclass(frozen=True)
class Enqueued:
    """A task that now waits in a queue.

    Attributes:
        queue_served: whether some agent takes tasks from that queue.
        warning: a sentence for people when nobody does; else empty.
    """

    task: Task
    queue_served: bool = True
    warning: str = ""


@dataclass(frozen=True)
class Started:
    """A run started by hand and its lease.

    Attributes:
        token: bearer token that may write for this attempt only.
    """

    task: Task
    epoch: int
    token: str
    lease_ttl_s: float


@dataclass(frozen=True)
class FrameReply:
    """What the gateway says to a frame or a renewal.

    Attributes:
        offsets: bytes it holds of each stream.
        stop: why the attempt shall end, once somebody asked for it.
        lease_ttl_s: the lease runs this long from now.
    """

    offsets: dict[str, int] = field(default_factory=dict[str, int])
    phase: Phase | None = None
    stop: Cause | None = None
    lease_ttl_s: float = 30.0
    state: State = State.RUNNING


@dataclass(frozen=True)
class Why:
    """Why a task is where it is, in one sentence."""

    state: State
    reason: str


@dataclass(frozen=True)
class ConsolePiece:
    """Console text that was written at one time.

    Attributes:
        seq: grows over all streams and attempts of a task; a place to go on from.
        offset: of the text's first byte in its stream.
        missing: bytes right before ``offset`` that were written and are not stored.
    """

    seq: int
    epoch: int
    stream: str
    offset: int
    at: float
    text: str
    missing: int = 0


@dataclass(frozen=True)
class ConsolePage:
    """Some pieces of a console.

    Attributes:
        next: give it as ``after`` to get what follows.
        closed: nothing will follow.
    """

    pieces: list[ConsolePiece]
    next: int = 0
    closed: bool = False


@dataclass(frozen=True)
class Series:
    """Points of one scalar series, thinned by the server to what was asked for."""

    iterations: list[int] = field(default_factory=list[int])
    values: list[float] = field(default_factory=list[float])
    times: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class PointsPage:
    """Some points of one series in order of arrival; a value that is not finite is None.

    Attributes:
        times: seconds since the epoch.
        next_cursor: give it back to get what follows; None at the end.
    """

    iterations: list[int] = field(default_factory=list[int])
    values: list[float | None] = field(default_factory=list[float | None])
    times: list[float] = field(default_factory=list[float])
    next_cursor: str | None = None


@dataclass(frozen=True)
class Plot:
    """A reported table, matrix or figure.

    Attributes:
        type: says how to read ``data`` (``plotly``, ``table``, ``confusion_matrix``).
    """

    title: str
    series: str
    iteration: int
    type: str
    data: Any = None
    at: float = 0.0


@dataclass(frozen=True)
class Media:
    """A debug sample: a file beside an iteration of a series.

    Attributes:
        seq: orders the samples of a task by arrival.
        sha256: of its bytes.
        uri: where its bytes lie; empty: they are the server's blob ``sha256``.
        at: when it was reported, in seconds since the epoch.
    """

    seq: int
    title: str
    series: str
    iteration: int
    filename: str = ""
    content_type: str = ""
    sha256: str = ""
    n_bytes: int = 0
    uri: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class Component:
    """One part of a running cluster: an actor and the process it lives in.

    Attributes:
        state: ``alive`` or what is wrong with it.
        restarts: how often it was started again.
    """

    name: str
    state: str
    pid: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class Storage:
    """What the disk of the server still takes.

    Attributes:
        level: ``plenty``, ``no_blobs``, ``no_console``, or ``state_only`` on a full disk.
        note: what is withheld and how to end it; empty with plenty.
    """

    level: str = "plenty"
    free_bytes: int = 0
    note: str = ""


@dataclass(frozen=True)
class ServerInfo:
    """The server as it describes itself.

    Attributes:
        refused_stale_writes: since its start: writes of attempts that were over, all refused.
        storage: what its disk still takes.
    """

    version: str
    home: str = ""
    url: str = ""
    started_at: float = 0.0
    refused_stale_writes: int = 0
    components: list[Component] = field(default_factory=list[Component])
    storage: Storage = field(default_factory=Storage)


@dataclass(frozen=True)
class CheckResult:
    """What one check of a store came to.

    Attributes:
        promise: what must be true, in one sentence.
        n_violations: how often it is not.
        violations: the first of them, each with what it is about (mostly a task's id).
    """

    name: str
    promise: str
    ok: bool
    n_violations: int = 0
    violations: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class IntegrityReport:
    """What all checks of a store came to.

    Attributes:
        deep: whether every blob was read.
    """

    home: str
    ok: bool
    deep: bool
    seconds: float
    checks: list[CheckResult] = field(default_factory=list[CheckResult])


@dataclass(frozen=True)
class BackupReport:
    """A backup that was read to its end, unpacked and checked.

    Attributes:
        made_at: the moment it shows.
        dray: version of the program that made it.
        integrity: of the store in it.
    """

    file: str
    made_at: float
    dray: str
    n_bytes: int
    n_blobs: int
    n_streams: int
    integrity: IntegrityReport


@dataclass(frozen=True)
class RestoreReport:
    """A backup that has become a data folder.

    Attributes:
        n_closed: attempts that were open in it and are closed as lost workers.
        kept: where the old data folder's files are; empty where there were none.
    """

    home: str
    backup: BackupReport
    n_closed: int = 0
    kept: str = ""
