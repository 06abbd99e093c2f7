"""The part of ``Task`` about counting iterations, also where a task goes on after an end."""

from __future__ import annotations

import json
import os

from dray.runtime.errors import InvalidInput, ServerUnreachable
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.session import RECORDS_FILE, Session
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    from typing import Any

#: Titles of charts that are sampled from the machine, by the clock and not by iteration.
_SAMPLED = ":monitor:"


class TaskIterations(TaskBase):
    """Where iterations are counted from, and how far they came."""

    def get_initial_iteration(self) -> int:
        """What is added to every iteration this task reports; 0 unless it was continued."""
        attempt = self._attempt
        if attempt is not None:
            return attempt.initial_iteration
        self._handle.reload()
        return int(self._data.get("initial_iteration") or 0)

    def set_initial_iteration(self, offset: int = 0) -> int:
        """Add ``offset`` to every iteration this run reports from now on; returns it.

        Processes that are started after this count from it too. What continues the task later
        counts from the last iteration that was really reported, plus one.

        Raises:
            InvalidInput: no whole number of 0 or more, or the task does not run here.
        """
        attempt = self._attempt
        if attempt is None:
            raise InvalidInput(
                f"task {self.id[:8]} does not run in this process, and only a run can say what it "
                "counts from: call set_initial_iteration in its script",
                field="set_initial_iteration",
            )
        attempt.count_from(whole(offset, "set_initial_iteration"))
        return attempt.initial_iteration

    def get_last_iteration(self) -> int:
        """The highest iteration of any scalar of the script; 0 when it has reported none.

        Of the running task: what this run and its processes have reported, and what earlier
        attempts had, as far as the server can be asked for it.
        """
        attempt = self._attempt
        if attempt is None:
            self._handle.reload()
            return _highest(self._data.get("metrics") or {})
        return max(self._before(attempt), last_recorded(attempt), 0)

    def _before(self, attempt: Session) -> int:
        """The highest iteration of earlier attempts: asked for once, they change no more."""
        if attempt.last_iteration_before is None:
            if attempt.epoch <= 1:
                return 0
            try:
                task = self._handle.client().get_task(self.id)
            except ServerUnreachable:
                return attempt.initial_iteration - 1  # ask again next time
            from dray.runtime.codec import to_json

            attempt.last_iteration_before = _highest(to_json(task)["metrics"])
        return attempt.last_iteration_before


def whole(value: Any, field: str) -> int:
    """``value`` as a whole number of 0 or more.

    Raises:
        InvalidInput: it is none.
    """
    is_whole = hasattr(value, "__index__") and not isinstance(value, bool)
    number = value.__index__() if is_whole else -1
    if number < 0:
        raise InvalidInput(
            f"{field} {value!r} is no iteration: give a whole number of 0 or more",
            field=field,
            value=value,
        )
    return number


def _highest(metrics: dict[str, dict[str, Any]]) -> int:
    return max(
        (
            int(metric["last_iteration"])
            for title, series in metrics.items()
            if not title.startswith(_SAMPLED)
            for metric in series.values()
        ),
        default=0,
    )


def last_recorded(attempt: Session) -> int:
    """The highest iteration in the spool's records; each line is read once."""
    with open(os.path.join(attempt.spool, RECORDS_FILE), "rb") as file:
        file.seek(attempt.n_looked_at)
        for line in file:
            if not line.endswith(b"\n"):
                break  # it is being written
            attempt.n_looked_at += len(line)
            attempt.last_iteration = max(attempt.last_iteration, _iteration_of(line))
    return attempt.last_iteration


def _iteration_of(line: bytes) -> int:
    """The iteration in a line of the spool; 0 when it has none that counts."""
    if not line.startswith(b'{"k":"scalar"'):
        return 0
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:  # a full disk tore it
        return 0
    return 0 if str(record["title"]).startswith(_SAMPLED) else int(record["i"])
