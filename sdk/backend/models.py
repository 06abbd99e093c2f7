"""``client.models``: trained weights and what is known of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from dray.runtime.registry import ARCHIVED, Model
from dray.sdk.backend.entity import Answers, Entity, Struct
from dray.sdk.backend.queues import when
from dray.sdk.backend.service import Service, unknown

#: What ``edit`` calls a member, and what the server does.
_EDITABLE = {
    "name": "name",
    "project": "project",
    "comment": "comment",
    "tags": "tags",
    "system_tags": "system_tags",
    "framework": "framework",
    "uri": "uri",
    "labels": "labels",
    "design": "config_text",
    "metadata": "metadata",
}


class Models(Service):
    """Models by id."""

    name, entity = "models", "model"

    def get_all(
        self,
        name: str | None = None,
        id: Sequence[str] | None = None,
        project: Sequence[str] | str | None = None,
        tags: Sequence[str] | None = None,
        system_tags: Sequence[str] | None = None,
        task: Sequence[str] | str | None = None,
        ready: bool | None = None,
        uri: Sequence[str] | str | None = None,
        only_fields: Sequence[str] | None = None,
        order_by: Sequence[str] | None = None,
        page: int | None = None,
        page_size: int | None = None,
        **others: Any,
    ) -> Answers[Entity]:
        """Every model that fits; ``name`` is a regular expression found in the name."""
        del only_fields  # whole rows
        unknown("models.get_all", others)
        wants_archived = ARCHIVED in (system_tags or ()) or bool(id)
        found = [
            model
            for model in self._client.iter_models(
                tag=list(tags or ()),
                only_published=ready is True,
                include_archived=wants_archived,
                order=_order(order_by),
            )
            if (not name or re.search(name, model.name))
            and (not id or model.id in id)
            and self._is_in(model, project)
            and _is_one(model.task_id, task)
            and _is_one(model.uri, uri)
            and (ready is not False or not model.published)
        ]
        if page_size is not None:
            begin = (page or 0) * page_size
            found = found[begin : begin + page_size]
        return Answers([Entity(self, _shape(model)) for model in found])

    def get_by_id(self, model: str, **others: Any) -> Entity:
        """One model."""
        unknown("models.get_by_id", others)
        return Entity(self, _shape(self._client.get_model(model)))

    def edit(self, model: str, **changes: Any) -> Struct:
        """Change members of a model; of a published one those that say how it is found."""
        given = {key: value for key, value in changes.items() if value is not None}
        unknown("models.edit", {k: v for k, v in given.items() if k not in (*_EDITABLE, "force")})
        given.pop("force", None)
        if "metadata" in given:
            given["metadata"] = _metadata(given["metadata"])
        self._client.edit_model(model, **{_EDITABLE[k]: v for k, v in given.items()})
        return Struct({"updated": 1, "fields": given})

    update = edit

    def set_ready(self, model: str, **others: Any) -> Struct:
        """Publish a model: read-only for ever."""
        unknown("models.set_ready", {k: v for k, v in others.items() if k != "publish_task"})
        self._client.publish_model(model)
        if others.get("publish_task"):
            self._client.publish(self._client.get_model(model).task_id)
        return Struct({"updated": 1})

    def archive_many(self, ids: Iterable[str]) -> Struct:
        """Leave models out of lists."""
        done = [self._client.archive_model(each).id for each in ids]
        return Struct({"succeeded": done, "failed": []})

    def unarchive_many(self, ids: Iterable[str]) -> Struct:
        """Show archived models again."""
        done = [self._client.unarchive_model(each).id for each in ids]
        return Struct({"succeeded": done, "failed": []})

    def delete(self, model: str, force: bool = False, **others: Any) -> Struct:
        """Delete a model; with ``force`` also one that is published or in use."""
        unknown("models.delete", others)
        gone = self._client.delete_model(model, force=force)
        return Struct({"deleted": True, "url": gone.uri})

    def _is_in(self, model: Model, project: Sequence[str] | str | None) -> bool:
        if not project:
            return True
        wanted = [project] if isinstance(project, str) else list(project)
        return model.project in {self._client.get_project(each).name for each in wanted}


def _is_one(value: str, wanted: Sequence[str] | str | None) -> bool:
    return not wanted or value in ([wanted] if isinstance(wanted, str) else wanted)


def _order(order_by: Sequence[str] | None) -> str:
    names = {"created": "created_at", "last_update": "updated_at", "name": "name"}
    first = next(iter(order_by or ()), "-created")
    sign, member = ("-", first[1:]) if first.startswith("-") else ("", first)
    return sign + names.get(member, member)


def _metadata(given: Any) -> dict[str, Any]:
    """ClearML writes a list of ``{key, value, type}``, or those by key."""
    by_key = cast("Mapping[str, dict[str, str]]", given) if isinstance(given, Mapping) else None
    items = cast("list[dict[str, str]]", given) if by_key is None else by_key.values()
    return {item["key"]: {"value": item["value"], "type": item.get("type", "")} for item in items}


def _shape(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "name": model.name,
        "project": model.project,
        "task": model.task_id or None,
        "uri": model.uri,
        "framework": model.framework,
        "comment": model.comment,
        "tags": list(model.tags),
        "system_tags": list(model.system_tags),
        "labels": dict(model.labels),
        "design": model.config_text,
        "ready": model.published,
        "created": when(model.created_at),
        "last_update": when(model.updated_at),
        "metadata": {
            key: {"key": key, "value": fact.value, "type": fact.type}
            for key, fact in model.metadata.items()
        },
    }
