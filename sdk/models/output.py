"""``OutputModel``: the weights a run makes, told of by records, sent by another process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dray.runtime.errors import InvalidInput, UsageError
from dray.runtime.ids import new_id
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.models import records as model_records
from dray.sdk.models import settling as model_settling
from dray.sdk.models.base import BaseModel, resolved_config
from dray.sdk.models.found import checked_labels
from dray.sdk.models.telling import NAMELESS, UPLOAD_WAIT_S, ToldModel

if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]


class OutputModel(ToldModel):
    """A model the running task makes; saving weights again makes it a newer one."""

    _default_output_uri: str | None = None

    def __init__(
        self,
        task: Any = None,
        config_text: str | None = None,
        config_dict: dict[str, Any] | None = None,
        label_enumeration: Mapping[str, int] | None = None,
        name: str | None = None,
        tags: list[str] | None = None,
        comment: str | None = None,
        framework: str | None = None,
        base_model_id: str | None = None,
    ) -> None:
        """A model of the running task; it is kept from its first weights, fact or report on.

        Args:
            task: the running task; the current one unless given.
            config_text: its configuration as text.
            config_dict: its configuration; not with ``config_text``.
            label_enumeration: number of each class by its name; the task's unless given.
            name: of the model; the task's unless given.
            tags: of the model.
            comment: about the model.
            framework: such as ``PyTorch``; told by the file's name unless given.
            base_model_id: go on with this model instead of making one.

        Raises:
            InvalidInput: no task runs in this process, or ``task`` is another one.
            UsageError: both configurations.
            NotFound: there is no model ``base_model_id``.
        """
        attempt = session.current()
        if attempt is None:
            raise InvalidInput(
                "no task was given and none is running: call Task.init before OutputModel()",
                field="task",
            )
        if task is None:
            from dray.sdk.task import Task

            task = Task.current_task()
        if getattr(task, "id", None) != attempt.task_id:
            raise InvalidInput(
                f"task {task!r} does not run in this process, so it can make no model here",
                field="task",
            )
        super().__init__(task, attempt, base_model_id or new_id(), is_base=bool(base_model_id))
        self._upload_to: str | None = None
        self._said = {
            "name": name or (None if base_model_id else attempt.task.get("name")),
            "tags": tags,
            "comment": comment,
            "framework": str(framework) if framework else None,
            "config_text": resolved_config(config_text, config_dict),
            "labels": checked_labels(label_enumeration) if label_enumeration else None,
        }
        if base_model_id:
            self._tell()

    @property
    def config_text(self) -> str:
        """Its configuration as text; setting it is :meth:`update_design`."""
        return BaseModel.config_text.__get__(self)

    @config_text.setter
    def config_text(self, value: str) -> None:
        self.update_design(config_text=value)

    @property
    def config_dict(self) -> dict[str, Any]:
        """Its configuration as a dict; setting it is :meth:`update_design`."""
        return BaseModel.config_dict.__get__(self)

    @config_dict.setter
    def config_dict(self, value: dict[str, Any]) -> None:
        self.update_design(config_dict=value)

    @property
    def labels(self) -> dict[str, int]:
        """Number of each class by its name; setting it is :meth:`update_labels`."""
        return BaseModel.labels.__get__(self)

    @labels.setter
    def labels(self, value: Mapping[str, int]) -> None:
        self.update_labels(value)

    @property
    def upload_storage_uri(self) -> str | None:
        """Address its weights are uploaded below; None for the server's store."""
        return self._destination() or None

    def connect(self, task: Any, name: str | None = None, **kwargs: Any) -> None:
        """Have the task call this model by ``name``.

        Args:
            task: the running task.
            name: what the task calls it; the weights' file name unless given.
            **kwargs: taken as ClearML does, where none of them means anything.

        Raises:
            UsageError: another task than the one that makes it.
        """
        del kwargs
        if task is None or task.id != self._run.task_id:
            raise UsageError(
                f"model {self.id[:8]} is made by task {self._run.task_id[:8]}; connect an "
                "InputModel to begin another task with it",
                field="task",
            )
        if name:
            self.call(name)

    def set_upload_destination(self, uri: str) -> None:
        """Upload weights below this address from now on.

        Args:
            uri: a folder, ``file://``, ``s3://`` … or True for the server's store.

        Raises:
            InvalidInput: an address nothing can be written to, or the model is published.
        """
        self._refuse_published()
        from dray.sdk.storage import destinations

        if uri:
            self._upload_to = destinations.checked(uri, is_remote=self._run.is_remote)

    def update_weights(
        self,
        weights_filename: str | os.PathLike[str] | None = None,
        upload_uri: str | None = None,
        target_filename: str | None = None,
        auto_delete_file: bool = True,
        register_uri: str | None = None,
        iteration: int | None = None,
        update_comment: bool = True,
        is_package: bool = False,
        async_enable: bool = True,
    ) -> str:
        """Keep newer weights.

        A file is copied into the spool before this returns; another process uploads it, to
        ``output_uri`` where the task has one, else to the server's store.

        Args:
            weights_filename: the file, or a folder, which becomes a package.
            upload_uri: upload below this address, from now on.
            target_filename: name to keep it under; the file's unless given.
            auto_delete_file: remove the file, where the task has an ``output_uri`` or one is
                given here; without one it stays.
            register_uri: address of weights that are uploaded already; nothing is fetched.
            iteration: of the script, that they belong to.
            update_comment: note the file in the comment.
            is_package: the file is a zip of several files.
            async_enable: False: return when they are uploaded.

        Returns:
            Where they are, or will be.

        Raises:
            InvalidInput: no such file, neither or both of file and address, or the model is
                published.
            ServerUnreachable: with ``async_enable=False``: not uploaded in time.
        """
        self._refuse_published()
        if bool(weights_filename) == bool(register_uri):
            raise UsageError(
                "give either weights_filename (a file to keep) or register_uri (an address of "
                "weights that are uploaded)",
                field="weights_filename",
            )
        if upload_uri:
            self.set_upload_destination(upload_uri)
        if register_uri:
            source = os.fspath(register_uri)
            name = target_filename or source
            called = self._called_or(name)
            uri = model_records.file_address(source)
            filename = os.path.basename(uri.partition("?")[0])
            weights: Json = {"uri": uri, "sha256": "", "n_bytes": 0, "filename": filename}
        else:
            source = os.fspath(weights_filename or "")
            if os.path.isdir(source):
                return self.update_weights_package(
                    weights_path=source,
                    target_filename=target_filename,
                    auto_delete_file=auto_delete_file,
                    iteration=iteration,
                    async_enable=async_enable,
                )
            name = _with_ending(target_filename or os.path.basename(source), source)
            called = self._called_or(target_filename or source)
            weights = model_records.keep_weights(
                self._run,
                source,
                called,
                name,
                self._destination() or "",
                may_move=auto_delete_file and self._destination() is not None,
            )
        note = f"snapshot {source} stored" if update_comment else ""
        return self._tell_weights(called, weights, iteration, note, is_package, async_enable)

    def update_weights_package(
        self,
        weights_filenames: Sequence[str | os.PathLike[str]] | None = None,
        weights_path: str | os.PathLike[str] | None = None,
        upload_uri: str | None = None,
        target_filename: str | None = None,
        auto_delete_file: bool = True,
        iteration: int | None = None,
        async_enable: bool = True,
    ) -> str:
        """Keep several files as newer weights, in one zip.

        Args:
            weights_filenames: the files.
            weights_path: a folder, all of whose files are packed; not with
                ``weights_filenames``.
            upload_uri: upload below this address, from now on.
            target_filename: name of the zip; ``model_package.zip`` or the folder's unless given.
            auto_delete_file: remove the files, where the task has an ``output_uri`` or one is
                given here; without one they stay.
            iteration: of the script, that they belong to.
            async_enable: False: return when they are uploaded.

        Returns:
            Where the zip is, or will be.

        Raises:
            InvalidInput: a file that is not there, nothing to pack, or the model is published.
            UsageError: neither or both of files and folder.
        """
        self._refuse_published()
        if bool(weights_filenames) == bool(weights_path):
            raise UsageError(
                "give either weights_filenames (files to pack) or weights_path (a folder)",
                field="weights_filenames",
            )
        if upload_uri:
            self.set_upload_destination(upload_uri)
        from dray.sdk.models import package as model_package

        root = Path(weights_path) if weights_path else None
        files = model_package.files_below(root) if root else _paths(weights_filenames or ())
        name = target_filename or (root.name if root else "") or "model_package"
        called = self._called_or(name)
        packed = model_package.pack(files, root)
        base = self._destination()
        filename = name if name.lower().endswith(".zip") else f"{name}.zip"
        try:
            weights = model_records.keep_weights(
                self._run, os.fspath(packed), called, filename, base or "", may_move=True
            )
        finally:
            packed.unlink(missing_ok=True)
        if auto_delete_file and base is not None:
            _remove(files, root)
        note = f"snapshot {', '.join(file.name for file in files[:20])} stored"
        return self._tell_weights(called, weights, iteration, note, True, async_enable)

    def update_design(
        self, config_text: str | None = None, config_dict: dict[str, Any] | None = None
    ) -> bool:
        """Set its configuration, and the task's where that has none.

        Args:
            config_text: as text.
            config_dict: as a dict; not with ``config_text``.

        Returns:
            True.

        Raises:
            InvalidInput: the model is published.
        """
        self._refuse_published()
        text = resolved_config(config_text, config_dict) or ""
        if text and not self._task.get_model_config_text():
            self._task.set_model_config(config_text=text)
        self._change(config_text=text, config_type="json" if config_dict else "")
        return True

    def update_labels(self, labels: Mapping[str, int]) -> bool:
        """Set the number of each class by its name, for the task too.

        Returns:
            True.

        Raises:
            InvalidInput: a name that is no text, a number that is not whole, or the model is
                published.
        """
        self._refuse_published()
        found = checked_labels(labels)
        self._task.set_model_label_enumeration(found)
        self._change(labels=found)
        return True

    @classmethod
    def wait_for_uploads(
        cls, timeout: float | None = None, max_num_uploads: int | None = None
    ) -> None:
        """Return when the server has every model this process made.

        Args:
            timeout: seconds to wait at most; None: ten minutes.
            max_num_uploads: wait for so many of them.
        """
        attempt = session.current()
        if attempt is None:
            return
        wait_s = UPLOAD_WAIT_S if timeout is None else float(timeout)
        if not model_settling.settle(attempt, wait_s, max_num_uploads):
            session.say("warning: models are not uploaded yet; their upload goes on")

    @classmethod
    def set_default_upload_uri(cls, output_uri: str | None) -> None:
        """Upload weights below this address where neither model nor task says another.

        Args:
            output_uri: a folder, ``file://``, ``s3://`` …; None: none.
        """
        from dray.sdk.storage import destinations

        cls._default_output_uri = destinations.checked(output_uri) if output_uri else None

    def _called_or(self, filename: str) -> str:
        if self._called:
            return self._called
        return model_records.stem(filename) or NAMELESS

    def _destination(self) -> str | None:
        """Where weights go: an address, empty for the server's store, None when nobody said."""
        if self._upload_to is not None:
            return self._upload_to
        said = model_records.destination(self._run)
        return self._default_output_uri if said is None else said


def _with_ending(name: str, source: str) -> str:
    """``name`` with the ending of the file, where it has none of its own."""
    return name if os.path.splitext(name)[1] else name + os.path.splitext(source)[1]


def _paths(files: Sequence[str | os.PathLike[str]]) -> list[Path]:
    found = [Path(file) for file in files]
    for path in found:
        if not path.is_file():
            raise InvalidInput(
                f"weights_filenames: {os.fspath(path)!r} is no file",
                field="weights_filenames",
                value=os.fspath(path),
            )
    return found


def _remove(files: Sequence[Path], root: Path | None) -> None:
    for file in files:
        file.unlink(missing_ok=True)
    if root is not None:
        try:
            root.rmdir()
        except OSError as exc:
            session.say(f"{root} is not removed: {exc}")
