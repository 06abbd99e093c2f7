"""The part of ``Task`` about what a run leaves behind: artifacts, console, scalars."""

from __future__ import annotations

import time
from collections.abc import Mapping

from dray.runtime.errors import InvalidInput, NotFound
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.logger import Logger
from dray.sdk.task_base import TaskBase

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.artifacts import Artifacts

#: Most points of a series the server gives at once.
ALL_POINTS = 100_000
#: Bytes of console asked for, for each report that is wanted.
_REPORT_BYTES = 64 << 10
#: How long an upload is waited for when the caller wants that.
_UPLOAD_WAIT_S = 600.0


class TaskOutputs(TaskBase):
    """Results of the run; reading them asks the server."""

    def get_logger(self) -> Logger:
        """What reports scalars, text and plots of the running task.

        Raises:
            InvalidInput: this is not the task of this process.
        """
        attempt = self._attempt
        if attempt is None:
            raise InvalidInput(
                f"task {self.id[:8]} does not run in this process, so nothing can be reported to "
                "it; read it with get_reported_scalars",
                field="task",
            )
        return Logger(attempt)

    @property
    def logger(self) -> Logger:
        """The same as :meth:`get_logger`."""
        return self.get_logger()

    def upload_artifact(
        self,
        name: str,
        artifact_object: Any,
        metadata: Mapping[str, Any] | None = None,
        delete_after_upload: bool = False,
        preview: str | None = None,
        wait_on_upload: bool = False,
    ) -> bool:
        """Keep an object, file or folder as a named output of the running task.

        It is copied into the spool before this returns; another process uploads it.

        Args:
            name: of the artifact; the same name again replaces it.
            artifact_object: an array (kept as ``npz``), a ``DataFrame`` (``csv.gz``), a dict or
                list (JSON, else a pickle), an image (PNG), a path of a file or folder (a zip), an
                address (registered only), text, or anything that can be pickled.
            metadata: facts to keep with it.
            delete_after_upload: a file given by its path is moved, not copied.
            preview: text to show instead of the one made of the object.
            wait_on_upload: return when the server has it; False when it did not get it in time.

        Raises:
            InvalidInput: this is not the task of this process, or the object cannot be kept.
        """
        attempt = self._attempt
        if attempt is None:
            raise InvalidInput(
                f"task {self.id[:8]} does not run in this process; only a run has outputs",
                field="task",
            )
        from dray.sdk import artifacts

        members = artifacts.store(
            attempt,
            name,
            artifact_object,
            metadata=metadata,
            preview=preview,
            may_move=delete_after_upload,
        )
        return not wait_on_upload or self._is_uploaded(name, str(members.get("sha256") or ""))

    @property
    def artifacts(self) -> Artifacts:
        """Artifacts by name: ``task.artifacts["model"].get()``."""
        from dray.sdk.artifacts import Artifact, Artifacts

        handle = self._handle
        stored: list[dict[str, Any]] = self._data.get("artifacts") or []
        return Artifacts(
            {a["name"]: Artifact(self.id, a, handle.client, handle.spool) for a in stored}
        )

    def get_reported_scalars(self, max_samples: int = 0) -> dict[str, dict[str, dict[str, Any]]]:
        """Scalars as ``{title: {series: {"name", "x", "y"}}}``.

        Args:
            max_samples: most points of a series; 0: all, up to 100,000.
        """
        wanted = max(2, max_samples) if max_samples else ALL_POINTS
        found = self._handle.client().scalars(self.id, max_points=wanted)
        return {
            title: {
                name: {"name": name, "x": points.iterations, "y": points.values}
                for name, points in series.items()
            }
            for title, series in found.items()
        }

    def get_last_scalar_metrics(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Summary of each series: ``{title: {series: {"last", "min", "max", …}}}``."""
        self._handle.reload()
        return self.data.get("metrics") or {}

    def get_reported_single_values(self) -> dict[str, float]:
        """Numbers of the summary, as ``report_single_value`` left them."""
        self._handle.reload()
        return dict(self._data.get("single_values") or {})

    def get_reported_single_value(self, name: str) -> float | None:
        """One number of the summary; None when there is none by that name."""
        return self.get_reported_single_values().get(name)

    def get_reported_console_output(self, number_of_reports: int = 1) -> list[str]:
        """The last reports of the console, oldest first, each as a terminal shows it.

        A report is what one stream brought at a time. Progress bars are one line in it, and a
        line in brackets says so where output is not stored.
        """
        from dray.runtime.console_text import lines_of_pieces

        wanted = max(1, number_of_reports)
        page = self._handle.client().console(self.id, tail_bytes=wanted * _REPORT_BYTES)
        return [
            "".join(f"{line.text}\n" for line in lines_of_pieces([piece]))
            for piece in page.pieces[-wanted:]
        ]

    def get_output_log_web_page(self) -> str:
        """Address of the task's page."""
        return f"{self._handle.client().url}/#/tasks/{self.id}"

    def _is_uploaded(self, name: str, sha256: str) -> bool:
        """Whether the server got the artifact within the time."""
        client = self._handle.client()
        deadline, pause = time.monotonic() + _UPLOAD_WAIT_S, 0.05
        while time.monotonic() < deadline:
            try:
                if client.artifact(self.id, name).sha256 == sha256:
                    return True
            except NotFound:
                pass  # its record is still on the way
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)
        session.say(f"warning: artifact {name!r} is not uploaded yet; its upload goes on")
        return False
