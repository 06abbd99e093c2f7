"""The attempt this process belongs to: found in the environment, recorded to its spool.

Part of the child's path: the standard library only, little of it, no network, no threads.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable

from dray.runtime.errors import InvalidInput
from dray.runtime.spool import SpoolWriter
from dray.sdk.light import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Names below the spool's folder, as ``runtime.paths.SpoolPaths`` has them (a test compares):
#: that module brings dataclasses, which cost more to import than all of this.
TASK_FILE = "task.json"
ATTEMPT_FILE = "attempt.json"
RECORDS_FILE = "records.jsonl"
BLOBS_FOLDER = "blobs"

#: How the attempt came to be, as ``attempt.json`` says.
AGENT = "agent"
LOCAL = "local"
#: By hand, with the values of a stored task, as an agent would run it.
SIMULATED = "simulated"
#: By hand, as an agent ran it, in a folder that ``dray task reproduce`` made.
REPRODUCED = "reproduced"

_VARIABLES = ("DRAY_TASK_ID", "DRAY_EPOCH", "DRAY_SPOOL", "DRAY_MASTER_PID")


class Session:
    """One attempt as seen from inside its process tree.

    Attributes:
        spool: folder of the attempt's records.
        task: JSON of ``models.Task`` as the attempt began, kept up with what is recorded here.
        attempt: JSON of ``attempt.json``; its ``origin`` tells an agent's run from a local one.
        master_pid: the process that began the attempt; it alone states the end.
        initial_iteration: added to every iteration that is reported.
    """

    def __init__(self, spool: str, master_pid: int) -> None:
        self.spool = spool
        self.task = _read(os.path.join(spool, TASK_FILE))
        #: Parameters the task had as the attempt began, by flat name.
        self.given_parameters = dict(
            cast("dict[str, dict[str, str]]", self.task.get("parameters") or {})
        )
        self.attempt = _read(os.path.join(spool, ATTEMPT_FILE), missing_is_empty=True)
        self.master_pid = master_pid
        self.initial_iteration = int(self.task.get("initial_iteration") or 0)
        self.writer = SpoolWriter(os.path.join(spool, RECORDS_FILE))
        #: What the logger of the run keeps: itself, and where and how many debug samples go.
        self.logger: Any = None
        self.media_uri = ""
        self.media_history: int | None = None
        #: What ``get_last_iteration`` knows: bytes of records it has read, the highest there, and
        #: the highest of earlier attempts once the server was asked.
        self.n_looked_at = 0
        self.last_iteration = 0
        self.last_iteration_before: int | None = None
        #: Whether model files that frameworks save are kept, where no address for them is said.
        self.keeps_models = False
        #: Outcome that a ``mark_*`` call stated; nothing states another one after it.
        self.marked = ""
        #: State the task is in once ``close()`` has ended its run; empty while it goes on.
        self.ended = ""
        #: Finds what is known of the code, in the process that began a run by hand.
        self.capture: Callable[[], dict[str, Any]] | None = None
        #: Members of the execution that this process stated itself.
        self.stated: set[str] = set()

    @property
    def task_id(self) -> str:
        """Id of the task."""
        return str(self.task["id"])

    @property
    def epoch(self) -> int:
        """Number of the attempt."""
        return int(self.attempt.get("epoch") or 0)

    @property
    def is_remote(self) -> bool:
        """Whether an agent runs this."""
        return self.attempt.get("origin", AGENT) != LOCAL

    @property
    def is_offline(self) -> bool:
        """Whether no server knew of this run when it began."""
        if self.attempt.get("origin") == REPRODUCED:
            return not self.attempt.get("url")  # it may look at the task, and not change it
        return not self.is_remote and not self.epoch

    def execution(self) -> dict[str, Any]:
        """What runs: code, packages, arguments; reads the code where nobody has done so yet."""
        standing = cast("dict[str, Any]", self.task.setdefault("execution", {}))
        if self.is_remote:
            return standing
        if self.capture is not None:
            found, self.capture = self.capture(), None
        else:
            found = _read(os.path.join(self.spool, "captured.json"), missing_is_empty=True)
        standing.update({k: v for k, v in found.items() if k not in self.stated})
        self.stated.update(found)
        return standing

    @property
    def is_master(self) -> bool:
        """Whether this process began the attempt, as opposed to its children."""
        return self.master_pid == os.getpid()

    def record(self, kind: str, **members: Any) -> None:
        """Append one record."""
        self.writer.append(kind, **members)

    def parameters(self, section: str) -> dict[str, dict[str, str]]:
        """Parameters of one section by name, as members of ``models.Parameter``.

        Those the task had as the attempt began, which win over the code's own under an agent;
        not those that were recorded since.
        """
        prefix = f"{section}/"
        return {
            name[len(prefix) :]: members
            for name, members in self.given_parameters.items()
            if name.startswith(prefix)
        }

    def put_parameters(self, values: dict[str, dict[str, str]]) -> None:
        """Record parameters by flat name; those that stand already are not said again."""
        stored = cast("dict[str, dict[str, str]]", self.task.setdefault("parameters", {}))
        news = {name: value for name, value in values.items() if stored.get(name) != value}
        if news:
            stored.update(news)
            self.record("parameters", values=news)

    def drop_parameters(self, names: Iterable[str]) -> None:
        """Record that parameters are gone, by flat name."""
        stored = cast("dict[str, dict[str, str]]", self.task.setdefault("parameters", {}))
        gone = [name for name in names if stored.pop(name, None) is not None]
        if gone:
            self.record("parameters", values=dict.fromkeys(gone))

    def count_from(self, iteration: int) -> None:
        """Add ``iteration`` to every one reported from now on, here and in new processes."""
        self.task["initial_iteration"] = self.initial_iteration = iteration
        path = os.path.join(self.spool, TASK_FILE)
        # The file as the attempt began, not ``self.task``: a process that joins is to find the
        # parameters that were stored then.
        write_file(path, {**_read(path), "initial_iteration": iteration})

    def mark(self, outcome: str, reason: str) -> None:
        """State the end, whatever the process exits with: ``complete``, ``fail``, ``abort``."""
        self.marked = outcome
        self.record("final", marked=outcome, reason=reason)

    def variables(self) -> dict[str, str]:
        """What tells a process which attempt it belongs to."""
        return {
            "DRAY_TASK_ID": self.task_id,
            "DRAY_EPOCH": str(self.epoch),
            "DRAY_SPOOL": self.spool,
            "DRAY_MASTER_PID": str(self.master_pid),
        }

    def export(self) -> None:
        """Tell the processes this one starts which attempt they belong to."""
        os.environ.update(self.variables())


_current: Session | None = None


def current() -> Session | None:
    """The attempt of this process: begun here, inherited, or named by the environment."""
    return _current or attach()


def attach() -> Session | None:
    """Join the attempt the environment names; None when it names none.

    Raises:
        InvalidInput: it names a spool that is not there.
    """
    task_id, spool = os.environ.get("DRAY_TASK_ID"), os.environ.get("DRAY_SPOOL")
    if not task_id or not spool:
        return None
    # The first process of an agent's run to come here is its master; those it starts inherit
    # the variable.
    master = os.environ.setdefault("DRAY_MASTER_PID", str(os.getpid()))
    session = Session(spool, int(master) if master.isdigit() else os.getpid())
    if session.task_id != task_id:
        raise InvalidInput(
            f"DRAY_TASK_ID is {task_id} but {spool} holds task {session.task_id}; "
            "unset both to start a run of its own",
            field="DRAY_TASK_ID",
            value=task_id,
        )
    adopt(session)
    return session


def adopt(session: Session) -> None:
    """Make ``session`` the attempt of this process."""
    global _current
    _current = session


def leave() -> None:
    """Belong to no attempt any more; processes started from now on do not either."""
    global _current
    if _current is not None:
        _current.writer.close()
    _current = None
    for name in _VARIABLES:
        os.environ.pop(name, None)


def write_file(path: str, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the whole new one."""
    aside = f"{path}.{os.getpid()}.part"
    with open(aside, "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.replace(aside, path)


def say(message: str) -> None:
    """One line for the user, on stderr; silent where there is none."""
    stream = sys.stderr
    if stream is not None:  # pyright: ignore[reportUnnecessaryComparison]  (pythonw has none)
        stream.write(f"dray: {message}\n")
        stream.flush()


def now() -> float:
    """Seconds since the Unix epoch."""
    return time.time()


def _read(path: str, *, missing_is_empty: bool = False) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            return cast("dict[str, Any]", json.load(file))
    except FileNotFoundError as exc:
        if missing_is_empty:
            return {}
        raise InvalidInput(
            f"{path} is not there; DRAY_SPOOL must name the spool of a run", field="DRAY_SPOOL"
        ) from exc
