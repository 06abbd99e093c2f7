"""Reports for a task that does not run in this process: each call sends what it says."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dray.runtime.spool import SpoolWriter
from dray.sdk.session import BLOBS_FOLDER

if TYPE_CHECKING:
    from dray.sdk.client import Client


class OutsideRun:
    """A task as a logger sees it, whose records go straight to the server.

    Args:
        task: JSON of ``models.Task``.
        client: gives the server, when something is reported.
    """

    def __init__(self, task: dict[str, Any], client: Callable[[], Client]) -> None:
        self.task = task
        self.initial_iteration = int(task.get("initial_iteration") or 0)
        self._client = client
        self.writer = _Sender(self._send)
        #: Samples lie here until the call that reports them has sent them.
        self.spool = tempfile.mkdtemp(prefix="dray-reports-")
        weakref.finalize(self, shutil.rmtree, self.spool, ignore_errors=True)
        # As ``Session`` has them.
        self.logger: Any = None
        self.media_uri = ""
        self.media_history: int | None = None
        self.is_remote = False

    def record(self, kind: str, **members: Any) -> None:
        """Send one record, after the bytes that it names."""
        if kind == "media" and members.get("sha256"):
            self._upload(Path(self.spool, BLOBS_FOLDER, members["sha256"]), members)
        self.writer.append(kind, **members)

    def _send(self, line: bytes) -> None:
        self._client().report(str(self.task["id"]), line)

    def _upload(self, blob: Path, members: dict[str, Any]) -> None:
        from dray.sdk.storage import places

        if members["uri"]:
            places.place_of(members["uri"]).upload(blob, members["uri"])
        elif self._client().missing_blobs([members["sha256"]]):
            self._client().put_blob(blob, sha256=members["sha256"])
        blob.unlink(missing_ok=True)


class _Sender(SpoolWriter):
    """Makes the lines that a spool would have, and gives them away."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        super().__init__(os.devnull)
        self._send = send

    def _write(self, line: bytes) -> None:
        self._send(line)
