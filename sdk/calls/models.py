"""Calls about models, and about what tasks call them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dray.runtime.answers import Page
from dray.runtime.codec import from_json, to_json
from dray.runtime.models import ModelRef
from dray.runtime.registry import Model, ModelEvent
from dray.sdk.http.call import Call, as_, as_items, as_nothing, as_page, at, creating


def create_model(
    project: str, name: str, *, idempotency_key: str = "", **members: Any
) -> Call[Model]:
    """A new model; ``members`` are those of ``registry.Model``."""
    body = {"project": project, "name": name, **to_json(members)}
    return creating("POST", "/models", as_(Model), body, idempotency_key)


def get_model(model_id: str) -> Call[Model]:
    """A model by its id or a unique prefix."""
    return Call("GET", at("models", model_id), as_(Model))


def list_models(
    *,
    project: str = "",
    project_only: bool = False,
    name: str = "",
    name_exact: str = "",
    tag: Iterable[str] = (),
    only_published: bool = False,
    include_archived: bool = False,
    metadata: Mapping[str, str] | None = None,
    task: str = "",
    uri: str = "",
    order: str = "-created_at",
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Page[Model]]:
    """One page of models.

    A ``project`` means its sub-projects too unless ``project_only``; ``name`` is a part of
    the name; ``tag`` takes what ``Model.query_models`` takes; ``metadata`` is key → value.
    """
    query: dict[str, Any] = {
        "project": project,
        "project_only": project_only or None,
        "name": name,
        "name_exact": name_exact,
        "tag": list(tag),
        "only_published": only_published or None,
        "include_archived": include_archived or None,
        "metadata": [f"{key}={value}" for key, value in (metadata or {}).items()],
        "task": task,
        "uri": uri,
        "order": order,
        "limit": limit,
        "cursor": cursor,
    }
    return Call("GET", "/models", as_page(Model), query=query)


def edit_model(model_id: str, **changes: Any) -> Call[Model]:
    """Change a model; of a published one name, project, comment, tags and metadata.

    ``metadata`` is merged (a value that is None removes its key), and replaces all of it
    with ``replace_metadata=True``.
    """
    return Call("PATCH", at("models", model_id), as_(Model), body=to_json(changes))


def publish_model(model_id: str) -> Call[Model]:
    """Make a model read-only for ever."""
    return _do(model_id, "publish")


def archive_model(model_id: str) -> Call[Model]:
    """Leave a model out of lists."""
    return _do(model_id, "archive")


def unarchive_model(model_id: str) -> Call[Model]:
    """Show an archived model in lists again."""
    return _do(model_id, "unarchive")


def delete_model(model_id: str, *, force: bool = False) -> Call[Model]:
    """Delete a model; with ``force`` also one that is published or in use.

    Returns:
        What it was. Its weights are not deleted.
    """
    return Call("DELETE", at("models", model_id), as_(Model), query={"force": force or None})


def model_history(model_id: str) -> Call[list[ModelEvent]]:
    """What happened to a model, oldest first."""
    return Call("GET", at("models", model_id, "history"), as_items(ModelEvent))


def model_scalars(model_id: str) -> Call[dict[str, Any]]:
    """Points reported of a model: title → series → iterations, values, times."""
    return Call("GET", at("models", model_id, "scalars"), dict[str, Any])


def model_single_values(model_id: str) -> Call[dict[str, float]]:
    """Numbers of a model's summary by name."""
    return Call("GET", at("models", model_id, "single-values"), dict[str, float])


def model_plots(model_id: str) -> Call[list[dict[str, Any]]]:
    """Plots reported of a model."""
    return Call("GET", at("models", model_id, "plots"), lambda answer: list(answer["items"]))


def task_models(task_id: str) -> Call[dict[str, list[ModelRef]]]:
    """What a task calls its models: ``input`` and ``output``, oldest first."""
    return Call("GET", at("tasks", task_id, "models"), _refs)


def link_model(task_id: str, kind: str, name: str, model_id: str) -> Call[None]:
    """Have a task call a model by a name; ``kind`` is ``input`` or ``output``."""
    path = at("tasks", task_id, "models", kind, name)
    return Call("PUT", path, as_nothing, body={"model_id": model_id})


def unlink_model(task_id: str, kind: str, model_id: str) -> Call[None]:
    """Take a model off a task; the model itself stays."""
    path = at("tasks", task_id, "models", kind)
    return Call("DELETE", path, as_nothing, query={"model_id": model_id})


def _do(model_id: str, verb: str) -> Call[Model]:
    return Call("POST", at("models", model_id, verb), as_(Model), body={})


def _refs(answer: Any) -> dict[str, list[ModelRef]]:
    return {kind: [from_json(ModelRef, ref) for ref in refs] for kind, refs in answer.items()}
