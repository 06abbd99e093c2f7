"""Whether ``Task.init`` goes on with the last task of the same name instead of making another.

As ClearML users know it: a run that was tried a minute ago and left nothing of worth is
overwritten, so that a morning of debugging is one task and not forty.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dray.runtime.config import Settings
from dray.runtime.errors import IllegalTransition, NotEditable, NotFound
from dray.sdk.http.transport import Transport, quoted
from dray.sdk.session import now, write_file

#: States a task can be taken up again from.
_TAKEN_UP = ("draft", "completed", "failed", "aborted")
#: System tag of what was filed away.
ARCHIVED = "archived"
#: Names remembered; the oldest are forgotten.
_REMEMBERED = 500


@dataclass(frozen=True)
class Name:
    """What must be the same for a task to be taken up again."""

    url: str
    project: str
    name: str
    type: str

    @property
    def key(self) -> str:
        """As one text."""
        return json.dumps([self.url, self.project, self.name, self.type])


class LastTasks:
    """The last task of each name that was started here: a small file in the data folder."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home / "last-tasks.json"
        self._window_s = settings.reuse_window_h * 3600

    def find(self, name: Name) -> str:
        """Id of the last task of that name within the window; empty when there is none."""
        entry = self._read().get(name.key)
        if entry is None or now() - float(entry["at"]) > self._window_s:
            return ""
        return str(entry["id"])

    def remember(self, name: Name, task_id: str) -> None:
        """The last task of that name is ``task_id``."""
        known = {**self._read(), name.key: {"id": task_id, "at": now()}}
        newest = sorted(known.items(), key=lambda item: float(item[1]["at"]))[-_REMEMBERED:]
        with contextlib.suppress(OSError):  # without it, the next run is a new task
            Path(os.path.dirname(self._path)).mkdir(parents=True, exist_ok=True)
            write_file(str(self._path), dict(newest))

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            return cast("dict[str, dict[str, Any]]", json.loads(self._path.read_text("utf-8")))
        except (OSError, ValueError):
            return {}


def take_up(server: Transport, task_id: str, draft: dict[str, Any]) -> bool:
    """Make the task ``task_id`` a draft with the code of ``draft``, if it may be used again.

    It may not when it is published or archived, waits or runs, was ever in a queue, or has
    artifacts or output models.
    """
    path = f"/tasks/{quoted(task_id)}"
    try:
        task: dict[str, Any] = server.call("GET", path)
        same = all(task[key] == draft[key] for key in ("project", "name", "type"))
        if not same or task["state"] not in _TAKEN_UP or _is_kept(task):
            return False
        if task["state"] != "draft":
            server.call("POST", f"{path}/reset")
        changes = {key: draft.get(key, "") for key in ("execution", "tags", "comment")}
        nothing = {
            "parameters": {},
            "replace_parameters": True,
            "configuration": dict.fromkeys(task["configuration"]),
        }
        server.call("PATCH", path, {**changes, **nothing})
    except (NotFound, IllegalTransition, NotEditable):
        return False  # gone, or taken by somebody else meanwhile
    return True


def _is_kept(task: dict[str, Any]) -> bool:
    """Whether there is more to it than a try: somebody queued it, filed it, or has its files."""
    was_enqueued = bool(task["queue"]) or task["enqueued_at"] is not None
    has_files = bool(task["artifacts"] or task["models"].get("output"))
    return was_enqueued or has_files or ARCHIVED in task["system_tags"]
