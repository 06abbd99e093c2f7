"""``Model`` and ``InputModel``: models that are there already, looked up and used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence

from dray.runtime.errors import DrayError, InvalidInput, NotFound, ServerUnreachable
from dray.runtime.registry import ARCHIVED, INPUT, PACKAGE
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.models import records as model_records
from dray.sdk.models import settling as model_settling
from dray.sdk.models.base import BaseModel, client_of, resolved_config
from dray.sdk.models.frameworks import framework_of

if TYPE_CHECKING:
    from typing import Any

#: Id of :meth:`InputModel.empty`.
EMPTY_ID = "empty"


class Model(BaseModel):
    """A model by its id; a unique prefix will do."""

    def __init__(self, model_id: str) -> None:
        """Nothing is asked of the server before a fact is wanted.

        Args:
            model_id: of the model.
        """
        super().__init__()
        self._model_id = model_id

    @property
    def id(self) -> str:
        """32 hexadecimal digits."""
        return self._model_id

    def get_local_copy(
        self,
        extract_archive: bool | None = None,
        raise_on_error: bool = False,
        force_download: bool = False,
    ) -> str | None:
        """Path of the weights on this machine: a file, or the folder of a package.

        Args:
            extract_archive: unpack a zip; None: only that of a package.
            raise_on_error: raise when they cannot be had, instead of returning None.
            force_download: fetch them even if they were fetched before.

        Raises:
            InvalidInput: they cannot be had and ``raise_on_error`` was given.
        """
        extract = self.is_package if extract_archive is None else extract_archive
        return self.get_weights(raise_on_error, force_download, extract)

    @classmethod
    def query_models(
        cls,
        project_name: str | None = None,
        model_name: str | None = None,
        tags: Sequence[str] | None = None,
        only_published: bool = False,
        include_archived: bool = False,
        max_results: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> list[Model]:
        """Models that fit, newest first.

        Args:
            project_name: full name of their project, without its sub-projects.
            model_name: their whole name.
            tags: they have one of these; ``-tag`` excludes, ``__$all`` asks for each that
                follows, ``__$any`` for one of them, ``__$not`` turns the next one round.
            only_published: leave out those that can still change.
            include_archived: also archived ones.
            max_results: at most so many; None: all.
            metadata: key → value that they keep; all of them.

        Raises:
            ServerUnreachable: no server answers.
        """
        attempt = session.current()
        if attempt is not None:
            model_settling.settle(attempt, model_settling.A_MOMENT_S)
        found = client_of(attempt).iter_models(
            project=project_name or "",
            project_only=True,
            name_exact=model_name or "",
            tag=[tags] if isinstance(tags, str) else list(tags or ()),
            only_published=only_published,
            include_archived=include_archived,
            metadata=dict(metadata or {}),
        )
        models: list[Model] = []
        for one in found:
            if max_results is not None and len(models) >= max_results:
                break
            model = Model(one.id)
            model._fetched = model._take(one)
            models.append(model)
        return models

    @classmethod
    def remove(
        cls,
        model: str | Model,
        delete_weights_file: bool = True,
        force: bool = False,
        raise_on_errors: bool = False,
    ) -> bool:
        """Delete a model.

        Args:
            model: it, or its id.
            delete_weights_file: also the file its ``url`` names, where that is not the server's
                own store, whose bytes may belong to others too.
            force: even if it is published, or other tasks use it.
            raise_on_errors: raise what goes wrong, instead of returning False.

        Raises:
            InvalidInput: it could not be deleted and ``raise_on_errors`` was given.
        """
        model_id = model if isinstance(model, str) else model.id
        attempt = session.current()
        if attempt is not None and model_records.document(model_id) is not None:
            model_settling.settle(attempt, model_settling.A_MOMENT_S)  # it may be on its way
        try:
            removed = client_of(attempt).delete_model(model_id, force=force)
            model_records.forget(attempt, model_id)
            if delete_weights_file and removed.uri:
                _delete_file(removed.uri)
        except (DrayError, OSError) as exc:
            if raise_on_errors:
                raise InvalidInput(
                    f"model {model_id[:8]} could not be removed: {exc}", field="model"
                ) from exc
            session.say(f"warning: model {model_id[:8]} could not be removed: {exc}")
            return False
        return True


class InputModel(Model):
    """A model that a task begins with; :meth:`connect` says so."""

    def __init__(
        self,
        model_id: str | None = None,
        name: str | None = None,
        project: str | None = None,
        tags: Sequence[str] | None = None,
        only_published: bool = False,
    ) -> None:
        """The model of that id, or the newest one that fits.

        Args:
            model_id: of the model; the other arguments do not matter then.
            name: its whole name.
            project: full name of its project.
            tags: it has one of these.
            only_published: leave out those that can still change.

        Raises:
            InvalidInput: no model fits.
        """
        if model_id:
            super().__init__(model_id)
            return
        found = self.query_models(
            project_name=project,
            model_name=name,
            tags=tags,
            only_published=only_published,
            max_results=1,
        )
        if not found:
            raise InvalidInput(
                f"no model has project={project!r}, name={name!r}, tags={tags!r}, "
                f"only_published={only_published}; Model.query_models lists what there is",
                field="name",
            )
        super().__init__(found[0].id)
        self._fetched = found[0]._fetched

    @classmethod
    def import_model(
        cls,
        weights_url: str,
        config_text: str | None = None,
        config_dict: dict[str, Any] | None = None,
        label_enumeration: Mapping[str, int] | None = None,
        name: str | None = None,
        project: str | None = None,
        tags: list[str] | None = None,
        comment: str | None = None,
        is_package: bool = False,
        create_as_published: bool = False,
        framework: str | None = None,
    ) -> InputModel:
        """A model of weights that lie somewhere; where one has that address, it is that one.

        Args:
            weights_url: address or path of the weights; nothing is fetched.
            config_text: its configuration as text.
            config_dict: its configuration; not with ``config_text``.
            label_enumeration: number of each class by its name.
            name: of the model; the file's name unless said.
            project: full name; the running task's unless said.
            tags: of the model.
            comment: about the model.
            is_package: the weights are a zip of several files.
            create_as_published: read-only from the start.
            framework: such as ``PyTorch``; told by the file's name unless said.

        Raises:
            InvalidInput: no address, or a value that cannot be used.
            UsageError: both configurations.
            ServerUnreachable: no run to tell of it, and no server.
        """
        uri = _uri("weights_url", weights_url)
        known = cls.load_model(uri)
        if known is not None:
            return known
        attempt = session.current()
        members: dict[str, Any] = {
            "name": name or model_records.stem(uri),
            "uri": uri,
            "filename": os.path.basename(uri),
            "config_text": resolved_config(config_text, config_dict) or "",
            "labels": checked_labels(label_enumeration),
            "tags": list(tags or []),
            "system_tags": [PACKAGE] if is_package else [],
            "comment": comment or "",
            "framework": framework or framework_of(uri),
        }
        if attempt is None:
            made = client_of(None).create_model(project or "default", **members)
            model = cls(made.id)
        else:
            members["project"] = project
            given = {key: value for key, value in members.items() if value is not None}
            told = model_records.make(
                attempt, import_id(uri), own=False, may_be_known=True, **given
            )
            model = cls(told["id"])
        if create_as_published:
            model.publish()
        return model

    @classmethod
    def load_model(cls, weights_url: str, load_archived: bool = False) -> InputModel | None:
        """The newest model whose weights are at an address; None when there is none.

        Args:
            weights_url: address or path of the weights.
            load_archived: also an archived one.
        """
        uri = _uri("weights_url", weights_url)
        for told in model_records.told():
            if told.get("uri") == uri and (load_archived or ARCHIVED not in told["system_tags"]):
                return cls(told["id"])
        try:
            client = client_of(session.current())
            found = client.list_models(uri=uri, include_archived=load_archived, limit=1).items
        except ServerUnreachable:
            if session.current() is None:
                raise
            return None  # a run goes on without a server; it may be told of twice
        return cls(found[0].id) if found else None

    @classmethod
    def empty(
        cls,
        config_text: str | None = None,
        config_dict: dict[str, Any] | None = None,
        label_enumeration: Mapping[str, int] | None = None,
    ) -> InputModel:
        """A model without weights that is nowhere kept; its configuration and labels can be read.

        Args:
            config_text: its configuration as text.
            config_dict: its configuration; not with ``config_text``.
            label_enumeration: number of each class by its name.
        """
        model = cls(EMPTY_ID)
        model._fetched = {
            "id": EMPTY_ID,
            "config_text": resolved_config(config_text, config_dict) or "",
            "labels": checked_labels(label_enumeration),
        }
        return model

    def connect(
        self, task: Any, name: str | None = None, ignore_remote_overrides: bool = False
    ) -> None:
        """Have a task begin with this model.

        Under an agent, the model that the task has by that name is taken instead: that is how a
        clone is run with another one.

        Args:
            task: the running task, or a draft.
            name: what the task calls it; the file's name unless said.
            ignore_remote_overrides: take this one, whatever the task has.

        Raises:
            NotFound: there is no model of this id.
        """
        self._task = task
        called = name or self._connect_name()
        attempt = session.current()
        is_run = attempt is not None and attempt.task_id == task.id
        if attempt is not None and is_run and attempt.is_remote and not ignore_remote_overrides:
            other = _override(attempt, called)
            if other:
                self._model_id, self._fetched = other, None
                return
        if self._model_id == EMPTY_ID:
            return
        task.set_input_model(model_id=self._model_id, name=called)
        if self.config_text and not task.get_model_config_text():
            task.set_model_config(config_text=self.config_text)

    def _connect_name(self) -> str:
        if self._model_id == EMPTY_ID:
            return "Input Model"
        return connect_name(self._data)


def connect_name(model: Mapping[str, Any]) -> str:
    """What a task calls a model unless it says: the stem of its file."""
    return model_records.stem(str(model.get("uri") or model.get("filename") or "")) or "Input Model"


def checked_labels(labels: Mapping[str, Any] | None) -> dict[str, int]:
    """Names of classes and their numbers.

    Raises:
        InvalidInput: a name that is no text, or a number that is not whole.
    """
    found: dict[str, int] = {}
    for key, value in (labels or {}).items():
        whole: Any = value.item() if hasattr(value, "item") else value
        is_text = isinstance(key, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not is_text or isinstance(whole, bool) or not isinstance(whole, int):
            raise InvalidInput(
                f"label {key!r}: {value!r} cannot be used; labels are names (text) with whole "
                "numbers",
                field="labels",
            )
        found[key] = whole
    return found


def import_id(uri: str) -> str:
    """The id of a model that was imported from an address, by whomever."""
    return hashlib.sha256(f"dray import {uri}".encode()).hexdigest()[:32]


#: Names of input models that connected models of this process have taken: spool → names.
_taken: dict[str, set[str]] = {}


def _override(attempt: session.Session, called: str) -> str:
    """The model the task was given for ``called`` before this run; empty when there is none.

    A single one that goes by no name the script uses was meant for the first that finds none.
    """
    taken = _taken.setdefault(attempt.spool, set())
    named = model_records.refs(attempt.task, INPUT)
    free = [ref for ref in named if ref["name"] not in taken]
    fits = [ref for ref in free if ref["name"] == called] or (free if len(free) == 1 else [])
    taken.update([called, *(ref["name"] for ref in fits)])
    return fits[0]["id"] if fits else ""


def _uri(field: str, url: Any) -> str:
    text: Any = os.fspath(cast("os.PathLike[str]", url)) if isinstance(url, os.PathLike) else url
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput(f"{field} is {url!r}: expected an address or a path", field=field)
    return model_records.file_address(text.strip())


def _delete_file(uri: str) -> None:
    from dray.sdk.storage import places

    try:
        places.place_of(uri).remove(uri)
    except NotFound:
        return


def ids_of(models: Iterable[str | BaseModel]) -> list[str]:
    """Ids of models given as objects or ids."""
    return [model if isinstance(model, str) else model.id for model in models]
