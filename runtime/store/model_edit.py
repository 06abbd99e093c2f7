"""What an edit makes of a model: pure merging, and the rule of what may still be edited."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from dray.runtime.errors import InvalidInput, NotEditable
from dray.runtime.ids import is_id
from dray.runtime.registry import ALWAYS_EDITABLE, INPUT, OUTPUT, Metadatum, Model

#: Text of a network and a comment are read whole; weights are not kept in them.
_TEXT_LIMIT_BYTES = 4 << 20


@dataclass(frozen=True)
class ModelEdit:
    """What to change; a member that is None stays as it is.

    Attributes:
        metadata: merged, unless ``replace_metadata``; None as a value deletes.
    """

    name: str | None = None
    project: str | None = None
    task_id: str | None = None
    framework: str | None = None
    uri: str | None = None
    filename: str | None = None
    sha256: str | None = None
    n_bytes: int | None = None
    tags: list[str] | None = None
    system_tags: list[str] | None = None
    comment: str | None = None
    labels: dict[str, int] | None = None
    config_text: str | None = None
    config_type: str | None = None
    metadata: dict[str, Metadatum | None] | None = None
    replace_metadata: bool = False
    iteration: int | None = None

    def changes(self) -> dict[str, Any]:
        """The members that are to change, without metadata."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        own = ("metadata", "replace_metadata")
        return {name: v for name, v in given.items() if name not in own and v is not None}


def edited(model: Model, edit: ModelEdit) -> Model:
    """``model`` after ``edit``.

    Raises:
        NotEditable: a member that a published model keeps.
        InvalidInput: a value that cannot be used.
    """
    changes = edit.changes()
    if edit.metadata is not None or edit.replace_metadata:
        base = {} if edit.replace_metadata else model.metadata
        merged: dict[str, Metadatum | None] = {**base, **(edit.metadata or {})}
        changes["metadata"] = {key: v for key, v in merged.items() if v is not None}
    after = replace(model, **changes)
    for name in changes:
        if model.published and name not in ALWAYS_EDITABLE:
            _refuse_published(model, after, name)
    return checked(after)


def _refuse_published(model: Model, after: Model, name: str) -> None:
    if getattr(after, name) != getattr(model, name):
        raise NotEditable(
            f"model {model.id[:8]} ({model.name}) is published, so its {name} cannot be changed; "
            "make another one, such as OutputModel(name=...)",
            model_id=model.id,
            field=name,
        )


def checked(model: Model) -> Model:
    """``model`` itself when it may be stored.

    Raises:
        InvalidInput: an id, name, tag or number that cannot be used.
    """
    for field, value, ok in (
        ("id", model.id, is_id(model.id)),
        ("name", model.name, bool(model.name.strip())),
        ("task_id", model.task_id, not model.task_id or is_id(model.task_id)),
        ("tags", model.tags, all(tag.strip() for tag in (*model.tags, *model.system_tags))),
        ("n_bytes", model.n_bytes, 0 <= model.n_bytes < 1 << 62),
        ("iteration", model.iteration, abs(model.iteration or 0) < 1 << 62),
        ("sha256", model.sha256, not model.sha256 or _is_sha256(model.sha256)),
        ("labels", model.labels, all(abs(n) < 1 << 62 for n in model.labels.values())),
    ):
        if not ok:
            raise InvalidInput(f"{field} {value!r} cannot be a model's", field=field)
    for field in ("comment", "config_text"):
        n_bytes = len(getattr(model, field).encode())
        if n_bytes > _TEXT_LIMIT_BYTES:
            raise InvalidInput(
                f"{field} has {n_bytes} bytes, over the limit of {_TEXT_LIMIT_BYTES}; "
                "upload it as an artifact",
                field=field,
            )
    return model


def check_link(kind: str, name: str) -> None:
    """Refuse what no task can call a model.

    Raises:
        InvalidInput: neither input nor output, or no name.
    """
    if kind not in (INPUT, OUTPUT):
        raise InvalidInput(f"kind {kind!r} is none of input, output", field="kind", value=kind)
    if not name.strip() or "\0" in name:
        raise InvalidInput(f"{name!r} cannot be a model's name", field="name", value=name)


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
