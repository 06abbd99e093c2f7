"""The part of ``Task`` about named outputs: upload, read back, delete; registered tables."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping

from dray.runtime.errors import DrayError, InvalidInput, NotEditable, NotFound, WrongType
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.artifacts.artifact import Artifacts
    from dray.sdk.artifacts.formats import Wish

#: How long an upload is waited for when the caller wants that.
_UPLOAD_WAIT_S = 600.0


class TaskArtifacts(TaskBase):
    """Named outputs of a task."""

    @property
    def output_uri(self) -> str | None:
        """Where artifacts and models of the task go; None: the server's own store."""
        execution: dict[str, Any] = self._data.get("execution") or {}
        return str(execution.get("output_uri") or "") or None

    @output_uri.setter
    def output_uri(self, value: str | bool | os.PathLike[str] | None) -> None:
        """Change it for what is uploaded from now on.

        Args:
            value: a folder or an address fsspec knows (``s3://bucket/folder``, ``gs://``,
                ``az://``, ``file://``); True or False: the server's store.

        Raises:
            InvalidInput: an unknown scheme, a package that lacks, a folder that cannot be written.
        """
        from dray.sdk.storage import destinations

        attempt = self._attempt
        is_here = attempt is not None and not attempt.is_remote
        checked = destinations.checked(value, is_remote=not is_here)
        self._handle.put_execution({"output_uri": checked})

    def upload_artifact(
        self,
        name: str,
        artifact_object: Any = None,
        metadata: Mapping[str, Any] | None = None,
        delete_after_upload: bool = False,
        auto_pickle: bool | None = None,
        preview: Any = None,
        wait_on_upload: bool = False,
        extension_name: str | None = None,
        serialization_function: Callable[[Any], bytes | bytearray] | None = None,
        retries: int = 0,
        sort_keys: bool = True,
    ) -> bool:
        """Keep an object, file or folder as a named output of the task.

        Of the task of this process it is copied into the spool before this returns; another
        process uploads it, and tries until it has. To any other task that is not published it is
        uploaded by this call.

        Args:
            name: of the artifact; the same name again replaces it.
            artifact_object: an array (kept as ``.npz``, or ``.csv.gz``), a ``DataFrame``
                (``.csv.gz``, ``.parquet``, ``.feather``, ``.pickle``), an image (``.png``, or
                what Pillow writes), a dict, list or number (``.json`` or ``.yaml``), the path of
                a file (as it is), of a folder or with a wildcard in its last part (an archive),
                a list of ``Path`` (an archive), an address such as ``https://…`` or ``s3://…``
                (registered, not fetched), or text.
            metadata: facts to keep with it.
            delete_after_upload: a file given by its path is moved, not copied.
            auto_pickle: keep an object that is none of these as a pickle; None: as
                ``DRAY_AUTO_PICKLE`` says, which is no by default.
            preview: text to show instead of the one made of the object.
            wait_on_upload: return when the server has it; False when it did not get it in time.
            extension_name: the form to keep it in, as above; ``.pkl`` asks for a pickle.
            serialization_function: makes the bytes of the object, whatever it is; read it back
                with ``get(deserialization_function=…)``.
            retries: how often an upload to a task that does not run here is tried again; of the
                task of this process it is tried until it succeeds, whatever this says.
            sort_keys: of a dict.

        Raises:
            InvalidInput: the object cannot be kept so (WrongType: not without a pickle).
            NotEditable: the task is published.
        """
        from dray.runtime import config
        from dray.sdk.artifacts import artifact as artifacts
        from dray.sdk.artifacts import registered
        from dray.sdk.artifacts.formats import Wish

        if auto_pickle is None:
            auto_pickle = config.load().settings.auto_pickle
        wish = Wish(name, extension_name, serialization_function, auto_pickle, sort_keys)
        attempt = self._attempt
        if attempt is None:
            return self._upload_from_outside(
                wish, artifact_object, metadata, preview, delete_after_upload, retries
            )
        if name in registered.tables(attempt):
            raise InvalidInput(
                f"artifact {name!r} is a registered table; change it there, or call "
                "unregister_artifact first",
                field="name",
                value=name,
            )
        members = artifacts.store(
            attempt,
            artifact_object,
            wish,
            metadata=metadata,
            preview=preview,
            may_move=delete_after_upload,
        )
        if not wait_on_upload or attempt.is_offline:
            return True
        return self._is_uploaded(name, str(members.get("sha256") or ""))

    @property
    def artifacts(self) -> Artifacts:
        """Artifacts by name: ``task.artifacts["model"].get()``."""
        from dray.sdk.artifacts.artifact import Artifact, Artifacts

        handle = self._handle
        stored: list[dict[str, Any]] = self._data.get("artifacts") or []
        return Artifacts(
            {a["name"]: Artifact(self.id, a, handle.client, handle.spool) for a in stored}
        )

    def delete_artifacts(
        self,
        artifact_names: Iterable[str],
        raise_on_errors: bool = True,
        delete_from_storage: bool = True,
        silent_on_errors: bool = False,
    ) -> bool:
        """Delete artifacts by their names; True when all of them are gone.

        Args:
            artifact_names: a list; unknown ones are told.
            raise_on_errors: raise what goes wrong instead of returning False.
            delete_from_storage: also delete files that ``output_uri`` took elsewhere. Bytes in
                the server's store may be another task's too; they stay.
            silent_on_errors: do not print what goes wrong.

        Raises:
            WrongType: ``artifact_names`` is one text.
            NotFound: no artifact has that name.
            NotEditable: the task is published.
        """
        if isinstance(artifact_names, str):
            raise WrongType(
                f"artifact_names is the text {artifact_names!r}; it must be a list of names",
                field="artifact_names",
            )
        is_done = True
        for name in artifact_names:
            try:
                self._delete_one(name, delete_from_storage)
            except DrayError as exc:
                if raise_on_errors:
                    raise
                is_done = False
                if not silent_on_errors:
                    session.say(f"warning: artifact {name!r} is not deleted: {exc.message}")
        return is_done

    def register_artifact(
        self,
        name: str,
        artifact: Any,
        metadata: Mapping[str, Any] | None = None,
        uniqueness_columns: bool | Iterable[str] = True,
    ) -> None:
        """Keep a ``DataFrame`` as an artifact that follows its changes.

        It is compared and kept again whenever one is set in :meth:`get_registered_artifacts`, by
        ``task.flush``, when the task is closed, and when the process ends.

        Args:
            name: of the artifact.
            artifact: the table.
            metadata: facts to keep with it.
            uniqueness_columns: those whose values tell rows apart in the preview; True: all.

        Raises:
            WrongType: it is no DataFrame.
            InvalidInput: the task does not run in this process.
        """
        from dray.sdk.artifacts import registered

        registered.register(self._own(), name, artifact, metadata, uniqueness_columns)

    def unregister_artifact(self, name: str) -> None:
        """Follow a registered table no more; what was kept of it last stays."""
        from dray.sdk.artifacts import registered

        registered.unregister(self._own(), name)

    def get_registered_artifacts(self) -> dict[str, Any]:
        """The registered tables by name; setting one keeps it at once."""
        from dray.sdk.artifacts import registered

        return registered.tables(self._own())

    def flush(self, wait_for_uploads: bool = False) -> bool:
        """Keep registered tables that have changed; everything else is in the spool already.

        Args:
            wait_for_uploads: return when the server has the artifacts of this run.

        Returns:
            False when it did not get them within ten minutes.
        """
        attempt = self._attempt
        if attempt is None:
            return True
        if "dray.sdk.artifacts.registered" in sys.modules:
            from dray.sdk.artifacts import registered

            registered.sync_all(attempt)
        if not wait_for_uploads or attempt.is_offline:
            return True
        kept = cast("list[dict[str, Any]]", attempt.task.get("artifacts") or [])
        return all(self._is_uploaded(str(a["name"]), str(a.get("sha256") or "")) for a in kept)

    def _own(self) -> session.Session:
        attempt = self._attempt
        if attempt is None:
            raise InvalidInput(
                f"task {self.id[:8]} does not run in this process; only a run registers tables, "
                "to any other use upload_artifact",
                field="task",
            )
        return attempt

    def _upload_from_outside(
        self,
        wish: Wish,
        value: Any,
        metadata: Mapping[str, Any] | None,
        preview: Any,
        may_move: bool,
        retries: int,
    ) -> bool:
        """Upload here and now, to a task that runs elsewhere or not at all."""
        from dray.sdk.artifacts import outside as artifacts_outside

        self._handle.reload()
        if self._data.get("state") == "published":
            raise NotEditable(
                f"task {self.id[:8]} is published, which is final: clone it to add artifact "
                f"{wish.name!r}",
                task_id=self.id,
            )
        artifacts_outside.upload(
            self._handle.client(), self._data, value, wish, metadata, preview, may_move, retries
        )
        self._handle.reload()
        return True

    def _delete_one(self, name: str, delete_from_storage: bool) -> None:
        from dray.sdk.storage import places

        attempt = self._attempt
        artifact = self.artifacts.get(name)
        if attempt is not None and artifact is not None:
            self._is_uploaded(name, artifact.hash)  # its record would come after
        self._handle.client().delete_artifact(self.id, name)
        standing = cast("list[dict[str, Any]]", self._data.get("artifacts") or [])
        self._data["artifacts"] = [other for other in standing if other["name"] != name]
        if artifact is None or not artifact.hash or not delete_from_storage:
            return
        if not artifact.url.startswith(self._handle.client().url):
            places.place_of(artifact.url).remove(artifact.url)

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
