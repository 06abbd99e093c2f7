"""What all models have: facts, tags, metadata, weights; told by records or asked of the server.

A model this process has told of is read from what was told, so that a script reads back what it
wrote before anything was sent. Any other one is the server's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from dray.runtime.errors import DrayError, InvalidInput, UsageError, WrongType
from dray.runtime.registry import ARCHIVED, PACKAGE
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.models import records as model_records
from dray.sdk.models.reports import ModelReports

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from dray.sdk.client import Client
    from dray.sdk.session import Session

    Json = dict[str, Any]

_TYPES = frozenset({"float", "int", "bool", "str", "basestring", "list", "tuple", "dict"})


class BaseModel(ModelReports):
    """A model; get one as :class:`Model`, :class:`InputModel` or :class:`OutputModel`."""

    def __init__(self, task: Any = None) -> None:
        self._task = task
        self._fetched: Json | None = None

    @property
    def id(self) -> str:
        """32 hexadecimal digits."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Its name; a task may call it otherwise."""
        return str(self._data.get("name") or "")

    @name.setter
    def name(self, value: str) -> None:
        self._change(name=value)

    @property
    def project(self) -> str:
        """Full name of its project."""
        return str(self._data.get("project") or "")

    @project.setter
    def project(self, value: str) -> None:
        self._change(project=value)

    @property
    def comment(self) -> str:
        """Text about it."""
        return str(self._data.get("comment") or "")

    @comment.setter
    def comment(self, value: str) -> None:
        self._change(comment=value)

    @property
    def tags(self) -> list[str]:
        """Its tags; set them whole."""
        return list(self._data.get("tags") or [])

    @tags.setter
    def tags(self, value: list[str]) -> None:
        self._change(tags=_texts("tags", value))

    @property
    def system_tags(self) -> list[str]:
        """Tags with a meaning to Dray, such as ``archived``; set them whole."""
        return list(self._data.get("system_tags") or [])

    @system_tags.setter
    def system_tags(self, value: list[str]) -> None:
        self._change(system_tags=_texts("system_tags", value))

    @property
    def config_text(self) -> str:
        """Its configuration as text: a prototxt, an ini file or JSON."""
        return str(self._data.get("config_text") or "")

    @property
    def config_dict(self) -> dict[str, Any]:
        """Its configuration as a dict, read from JSON or YAML.

        Raises:
            InvalidInput: the text is neither.
        """
        return text_to_dict(self.config_text)

    @property
    def labels(self) -> dict[str, int]:
        """Number of each class by its name."""
        return dict(self._data.get("labels") or {})

    @property
    def framework(self) -> str:
        """Such as ``PyTorch``."""
        return str(self._data.get("framework") or "")

    @property
    def task(self) -> str:
        """Id of the task it is connected to, else of the one that made it."""
        return str(self._task.id) if self._task is not None else self.original_task

    @property
    def original_task(self) -> str:
        """Id of the task that made it; empty for an imported one."""
        return str(self._data.get("task_id") or "")

    @property
    def published(self) -> bool:
        """Whether it is read-only for ever."""
        return bool(self._data.get("published"))

    @property
    def archived(self) -> bool:
        """Whether lists leave it out."""
        return ARCHIVED in self.system_tags

    @property
    def is_package(self) -> bool:
        """Whether its weights are a zip of several files."""
        return PACKAGE in self.system_tags

    @property
    def archived_tag(self) -> str:
        """The system tag of archived models."""
        return ARCHIVED

    @property
    def url(self) -> str:
        """Where its weights are; empty when it has none."""
        from dray.sdk.models import weights as model_weights

        return model_weights.url_of(self._data, session.current())

    @property
    def size(self) -> int:
        """Bytes of its weights, where they were counted."""
        return int(self._data.get("n_bytes") or 0)

    @property
    def hash(self) -> str:
        """sha256 of its weights; empty for weights that were only linked to."""
        return str(self._data.get("sha256") or "")

    def get_weights(
        self,
        raise_on_error: bool = False,
        force_download: bool = False,
        extract_archive: bool = False,
    ) -> str | None:
        """Path of the weights on this machine.

        Args:
            raise_on_error: raise when they cannot be had, instead of returning None.
            force_download: fetch them even if they were fetched before.
            extract_archive: unpack a zip; the folder is returned.

        Raises:
            InvalidInput: they cannot be had and ``raise_on_error`` was given.
        """
        from dray.sdk.models import weights as model_weights

        try:
            return model_weights.fetch(
                self._data, session.current(), force=force_download, extract=extract_archive
            )
        except (DrayError, OSError) as exc:
            if raise_on_error:
                raise InvalidInput(
                    f"weights of model {self.id[:8]} ({self.name}) cannot be had: {exc}",
                    field="model",
                ) from exc
            session.say(f"warning: weights of model {self.id[:8]} cannot be had: {exc}")
            return None

    def get_weights_package(
        self,
        return_path: bool = False,
        raise_on_error: bool = False,
        force_download: bool = False,
        extract_archive: bool = True,
    ) -> str | list[Path] | None:
        """The files of a package on this machine.

        Args:
            return_path: return their folder instead of a list of paths.
            raise_on_error: raise when they cannot be had, instead of returning None.
            force_download: fetch them even if they were fetched before.
            extract_archive: unpack; otherwise the zip itself is returned.

        Raises:
            InvalidInput: the model is no package, or ``raise_on_error`` was given.
        """
        from pathlib import Path

        if not self.is_package:
            raise InvalidInput(
                f"model {self.id[:8]} ({self.name}) is one file, not a package; use get_weights",
                field="model",
            )
        path = self.get_weights(raise_on_error, force_download, extract_archive)
        if path is None or return_path:
            return path
        return sorted(Path(path).glob("*")) if Path(path).is_dir() else [Path(path)]

    def publish(self) -> None:
        """Make it read-only for ever; nothing happens when it is."""
        if not self.published:
            self._change(published=True)

    def archive(self) -> None:
        """Leave it out of lists; nothing happens when it is."""
        if not self.archived:
            self._change(system_tags=[*self.system_tags, ARCHIVED])

    def unarchive(self) -> None:
        """Show it in lists again."""
        if self.archived:
            self._change(system_tags=[tag for tag in self.system_tags if tag != ARCHIVED])

    def set_metadata(self, key: str, value: Any, v_type: str | None = None) -> bool:
        """Keep one fact with it, as text.

        Args:
            key: of the fact.
            value: made text.
            v_type: what the text was (``int``, ``float``, ``bool``, ``str``, ``list``, ``tuple``,
                ``dict``); unless said, what ``value`` is.

        Returns:
            True.
        """
        kind = str(v_type) if v_type is not None else type(value).__name__
        fact = {"value": str(value), "type": kind if kind in _TYPES else ""}
        self._change(metadata={str(key): fact})
        return True

    def get_metadata(self, key: str) -> str | None:
        """One fact as text; None when there is none."""
        return self.get_all_metadata().get(str(key), {}).get("value")

    def get_metadata_casted(self, key: str) -> Any:
        """One fact as what it was; text when that cannot be read, None when there is none."""
        fact = self.get_all_metadata().get(str(key))
        return None if fact is None else cast_text(fact.get("value", ""), fact.get("type", ""))

    def get_all_metadata(self) -> dict[str, dict[str, str]]:
        """Every fact: key → ``{"value", "type"}``."""
        stored = cast("dict[str, dict[str, str]]", self._data.get("metadata") or {})
        return {key: dict(fact) for key, fact in stored.items()}

    def get_all_metadata_casted(self) -> dict[str, Any]:
        """Every fact as what it was: key → value."""
        facts = self.get_all_metadata().items()
        return {key: cast_text(fact.get("value", ""), fact.get("type", "")) for key, fact in facts}

    def set_all_metadata(
        self, metadata: Mapping[str, Mapping[str, Any]], replace: bool = True
    ) -> bool:
        """Keep several facts.

        Args:
            metadata: key → ``{"value": .., "type": ..}``.
            replace: drop the facts that are not among them.

        Returns:
            True.
        """
        facts: dict[str, dict[str, str]] = {}
        for key, fact in metadata.items():
            if not isinstance(fact, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise WrongType(
                    f"metadata {key!r} is {fact!r}: expected a dict of value and type",
                    field="metadata",
                )
            kind = str(fact.get("type") or "")
            facts[str(key)] = {"value": str(fact.get("value")), "type": kind}
        self._change(metadata=facts, replace_metadata=replace)
        return True

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BaseModel) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def _data(self) -> Json:
        """JSON of ``registry.Model``: as told here, else as the server has it."""
        told = model_records.document(self.id)
        if told is not None:
            return told
        if self._fetched is None:
            self._fetched = self._take(self._client().get_model(self.id))
        return self._fetched

    def _change(self, **members: Any) -> None:
        """Tell what changes, by a record where this process has told of the model before."""
        attempt = session.current()
        if model_records.document(self.id) is not None and attempt is not None:
            model_records.put(attempt, self.id, **members)
            return
        client = self._client()
        if members.pop("published", False):
            self._fetched = self._take(client.publish_model(self.id))
        if members:
            self._fetched = self._take(client.edit_model(self.id, **members))

    def _take(self, model: Any) -> Json:
        from dray.runtime.codec import to_json

        return to_json(model)

    def _client(self) -> Client:
        return client_of(session.current())


def client_of(attempt: Session | None) -> Client:
    """The server of the run, else the configured one."""
    if attempt is None:
        from dray.sdk.tasks import find as task_find

        return task_find.client()
    from dray.sdk.tasks.handle import RunningHandle

    return RunningHandle(attempt).client()


def resolved_config(config_text: str | None, config_dict: Any) -> str | None:
    """The one of both that was given, as text; None when neither was.

    Raises:
        UsageError: both were given.
        WrongType: a configuration that is neither text nor a dict.
    """
    if config_text and config_dict:
        raise UsageError("give config_text or config_dict, not both", field="config_text")
    if config_dict:
        if isinstance(config_dict, str):
            return config_dict
        if not isinstance(config_dict, Mapping):
            raise WrongType(
                f"config_dict is {type(config_dict).__name__}: expected a dict", field="config_dict"
            )
        return json.dumps(config_dict, indent=2, default=str)
    if config_text is not None and not isinstance(config_text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise WrongType(
            f"config_text is {type(config_text).__name__}: expected text", field="config_text"
        )
    return config_text


def text_to_dict(text: str) -> dict[str, Any]:
    """A configuration as a dict, from JSON, Python's notation, or YAML where that is installed.

    Raises:
        InvalidInput: the text is none of them.
    """
    from dray.sdk.parameters import connect_configuration

    if not text.strip():
        return {}
    found: Any = None
    try:
        found = connect_configuration.parsed(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        found = _from_yaml(text)
    if not isinstance(found, dict):
        raise InvalidInput(
            "the configuration is neither JSON nor YAML of a dict; read config_text instead",
            field="config_dict",
        )
    return cast("dict[str, Any]", found)


def _from_yaml(text: str) -> Any:
    """What YAML makes of a text; None where it cannot be read, or is not installed."""
    import contextlib
    import importlib

    with contextlib.suppress(Exception):  # the package has errors of its own
        yaml: Any = importlib.import_module("yaml")
        return yaml.safe_load(text)
    return None


def cast_text(text: str, kind: str) -> Any:
    """What a text was before it was made text; itself when that cannot be read."""
    import ast

    if kind in ("", "str", "basestring", "None"):
        return text
    try:
        if kind == "bool":
            return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
        if kind in ("int", "float"):
            return float(text) if kind == "float" else int(float(text))
        value: Any = ast.literal_eval(text)
        return {"list": list, "tuple": tuple, "dict": dict}[kind](value)
    except (ValueError, SyntaxError, KeyError, TypeError, OverflowError):
        return text


def _texts(name: str, values: Any) -> list[str]:
    found: list[Any] = [values] if isinstance(values, str) else list(values or [])
    for value in found:
        if not isinstance(value, str):
            raise WrongType(f"{name} holds {value!r}: expected text", field=name)
    return found
