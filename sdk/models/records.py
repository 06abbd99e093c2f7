"""Models as a run tells of them: one record for each change, no network.

What was told is remembered here, so that the script reads back what it wrote.
"""

from __future__ import annotations

import os

from dray.runtime.errors import InvalidInput
from dray.runtime.ids import new_id
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.session import BLOBS_FOLDER, now

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from dray.sdk.session import Session

    Json = dict[str, Any]

#: Models this process has told of: id → JSON of ``registry.Model``, as it will be.
_documents: dict[str, Json] = {}
#: Ids of imported models for which the server may have another one.
_perhaps_others: set[str] = set()
#: Words of a record beside the members of a model.
_WORDS = frozenset({"new", "own", "may_be_known", "replace_metadata", "as", "called", "unlink"})


def document(model_id: str) -> Json | None:
    """The model as this process has told of it; None for one it knows nothing of."""
    return _documents.get(model_id)


def told() -> Iterable[Json]:
    """Every model this process has told of."""
    return list(_documents.values())


def forget(attempt: Session | None, model_id: str) -> None:
    """The model is gone: neither what was told of it nor the task's names for it are read."""
    _documents.pop(model_id, None)
    if attempt is None:
        return
    for kind in ("input", "output"):
        named = refs(attempt.task, kind)
        named[:] = [ref for ref in named if ref["id"] != model_id]


def is_sure(model_id: str) -> bool:
    """Whether the server will know the model by this id, and no other one in its place."""
    return model_id not in _perhaps_others


def make(attempt: Session, model_id: str = "", *, own: bool = True, **members: Any) -> Json:
    """Tell of a new model; returns it.

    Args:
        attempt: the run.
        model_id: made here unless given.
        own: this task makes it, as opposed to one it imports.
        **members: of ``registry.Model``, and words of a ``model`` record.
    """
    given = {"name": attempt.task.get("name"), "project": attempt.task.get("project"), **members}
    found = model_id or new_id()
    _documents[found] = {
        "id": found,
        "task_id": attempt.task_id if own else "",
        "created_at": now(),
        "labels": {},
        "metadata": {},
        "tags": [],
        "system_tags": [],
        "published": False,
    }
    if given.get("may_be_known"):
        _perhaps_others.add(found)
    return put(attempt, found, new=True, own=own, **given)


def adopt(model: Json) -> Json:
    """Remember a model of the server as told of, so that changes of it can be records."""
    _documents[model["id"]] = model
    return model


def put(attempt: Session, model_id: str, **members: Any) -> Json:
    """Tell what changes of a model; returns it as it is then."""
    known = _documents[model_id]
    _merge(known, members)
    known["updated_at"] = now()
    if members.get("own"):
        known["task_id"] = attempt.task_id
    attempt.record("model", id=model_id, **members)
    if members.get("as"):
        _name(attempt, str(members["as"]), str(members["called"]), model_id)
    return known


def link(attempt: Session, kind: str, called: str, model_id: str) -> None:
    """Tell that the task has a model, by that name."""
    attempt.record("model", id=model_id, **{"as": kind, "called": called})
    _name(attempt, kind, called, model_id)


def unlink(attempt: Session, kind: str, model_id: str) -> None:
    """Tell that the task has a model no more."""
    attempt.record("model", id=model_id, unlink=kind)
    named = refs(attempt.task, kind)
    named[:] = [ref for ref in named if ref["id"] != model_id]


def refs(task: Json, kind: str) -> list[dict[str, str]]:
    """What a task calls its models of a kind, oldest first; the list itself, to be changed."""
    models = cast("dict[str, list[dict[str, str]]]", task.setdefault("models", {}))
    return models.setdefault(kind, [])


def id_of(task: Json, kind: str, called: str) -> str:
    """The model that a task has by a name; empty when it has none."""
    return next((ref["id"] for ref in refs(task, kind) if ref["name"] == called), "")


def keep_weights(
    attempt: Session, path: str, called: str, filename: str, base: str, *, may_move: bool = False
) -> Json:
    """Put weights among the spool's blobs; returns the members of the model that say so.

    Args:
        attempt: the run.
        path: of the file.
        called: what the task calls the model.
        filename: name it is kept under.
        base: address it is uploaded below; empty for the server's store.
        may_move: the file is not needed any more.

    Raises:
        InvalidInput: there is no such file, it cannot be read, or the disk is full.
    """
    from pathlib import Path

    from dray.sdk.artifacts.keeping import keep
    from dray.sdk.storage import destinations

    try:
        sha256, n_bytes = keep(Path(path), Path(attempt.spool, BLOBS_FOLDER), may_move)
    except OSError as exc:
        raise InvalidInput(
            f"weights {path!r} cannot be kept: {exc}", field="weights_filename", value=path
        ) from exc
    name = os.path.basename(filename.rstrip("/"))
    task = {**attempt.task, "execution": {"output_uri": base}}
    uri = destinations.address(task, "models", called, name)
    place = file_address(uri) if uri else ""
    return {"sha256": sha256, "n_bytes": n_bytes, "filename": name, "uri": place}


def destination(attempt: Session) -> str | None:
    """Where weights go: an address, empty for the server's store, None when nobody said."""
    execution: Json = attempt.task.get("execution") or {}
    said = str(execution.get("output_uri") or "")
    return said if said or getattr(attempt, "keeps_models", False) else None


def file_address(path: str) -> str:
    """A path of this machine as a ``file://`` address; what is an address already stays."""
    if "://" in path:
        return path
    full = os.path.abspath(os.path.expanduser(path)).replace(os.sep, "/")
    return f"file://{full if full.startswith('/') else '/' + full}"


def stem(address: str) -> str:
    """The name of a file or address without its folders and ending."""
    return os.path.splitext(os.path.basename(address.partition("?")[0].rstrip("/")))[0]


def _name(attempt: Session, kind: str, called: str, model_id: str) -> None:
    named = refs(attempt.task, kind)
    for ref in named:
        if ref["name"] == called:
            ref["id"] = model_id
            return
    named.append({"id": model_id, "name": called})


def _merge(known: Json, members: Json) -> None:
    changes = {k: v for k, v in members.items() if k not in _WORDS and v is not None}
    facts = cast("Json | None", changes.pop("metadata", None))
    known.update(changes)
    replaces = bool(members.get("replace_metadata"))
    if facts is not None or replaces:
        base: Json = {} if replaces else known.get("metadata") or {}
        merged: Json = {**base, **(facts or {})}
        known["metadata"] = {key: fact for key, fact in merged.items() if fact is not None}
