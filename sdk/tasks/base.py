"""What every part of the ``Task`` facade stands on: its handle and who it is."""

from __future__ import annotations

from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.session import Session
from dray.sdk.tasks.handle import RunningHandle, ServerHandle

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.client import Client
    from dray.sdk.tasks.handle import Handle
    from dray.sdk.tasks.records import Record


class TaskBase:
    """Identity of a task; parts of the facade derive from it."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @property
    def id(self) -> str:
        """32 hexadecimal digits; a unique prefix names the task everywhere."""
        return str(self._data["id"])

    @property
    def task_id(self) -> str:
        """The same as ``id``."""
        return self.id

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._data["name"])

    @name.setter
    def name(self, value: str) -> None:
        self._handle.put_label(name=value)

    @property
    def project(self) -> str:
        """Id of its project; the project's name until a server knows of the task.

        Wherever a project is asked for, either will do.
        """
        return str(self._data.get("project_id") or self._data["project"])

    def get_project_name(self) -> str:
        """Full name of its project, nested by ``/``."""
        return str(self._data["project"])

    @property
    def task_type(self) -> str:
        """What it is for, such as ``training``."""
        return str(self._data.get("type") or "")

    @property
    def parent(self) -> str | None:
        """Id of the task it was made from; None when there is none."""
        return str(self._data.get("parent_id") or "") or None

    @property
    def data(self) -> Record:
        """Everything known of it here, a copy: members by attribute and by key.

        ClearML's names (``data.script.repository``, ``data.hyperparams``, ``data.last_metrics``)
        and those of ``dray.runtime.models.Task`` (``data["state"]``); see :meth:`export_task`.
        """
        from dray.sdk.tasks.records import data_of

        if isinstance(self._handle, ServerHandle):
            self._handle.complete()
        return data_of(self._data)

    @property
    def _data(self) -> dict[str, Any]:
        return self._handle.data

    @property
    def _attempt(self) -> Session | None:
        """The run, when this is the task of this process."""
        return self._handle.attempt if isinstance(self._handle, RunningHandle) else None

    @property
    def execution(self) -> dict[str, Any]:
        """What it runs, as JSON of ``Execution``; of the running task with its code."""
        attempt = self._attempt
        if attempt is not None:
            return attempt.execution()
        found: dict[str, Any] = self._data.get("execution") or {}
        return found

    def _put_code(self, members: dict[str, Any]) -> None:
        """Say what it runs; nothing happens in the run of an agent, where that is settled."""
        attempt = self._attempt
        if attempt is not None and attempt.is_remote:
            session.say("the code of a run cannot be changed under an agent; nothing was done")
        elif members:
            self._handle.put_execution(members)

    @property
    def attempt_here(self) -> Session | None:
        """The run, when this is the task of this process; for the SDK's own parts."""
        return self._attempt

    def server(self) -> Client:
        """The server the task is at; for the SDK's own parts."""
        return self._handle.client()

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Travel to another process by id: there it is the task that runs, or is asked for."""
        return _by_id, (self.id,)

    def reload(self) -> None:
        """Ask the server how the task is now."""
        self._handle.reload()

    def is_main_task(self) -> bool:
        """Whether this is the task of this process."""
        return self._attempt is not None

    def is_current_task(self) -> bool:
        """The same as :meth:`is_main_task`."""
        return self.is_main_task()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskBase) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Task(id={self.id[:8]!r}, name={self.name!r}, project={self.get_project_name()!r})"


def _by_id(task_id: str) -> Any:
    """The task of that id, in a process it was sent to."""
    from dray.sdk.task import Task
    from dray.sdk.tasks import start as task_start

    task_start.current()  # a process that gets its own task belongs to the run
    return Task.get_task(task_id)
