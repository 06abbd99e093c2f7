"""Client calls about models, and about what tasks call them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dray.runtime import ids
from dray.runtime.answers import Page
from dray.runtime.codec import from_json, to_json
from dray.runtime.models import ModelRef
from dray.runtime.registry import Model, ModelEvent
from dray.sdk.transport import Transport, quoted


class ModelCalls:
    """Models; mixed into :class:`dray.sdk.client.Client`."""

    _http: Transport

    def create_model(
        self, project: str, name: str, *, idempotency_key: str = "", **members: Any
    ) -> Model:
        """A new model; ``members`` are those of ``registry.Model``."""
        body = {"project": project, "name": name, **to_json(members)}
        headers = {"Idempotency-Key": idempotency_key or ids.new_id()}
        answer = self._http.call("POST", "/models", body, headers=headers, idempotent=True)
        return from_json(Model, answer)

    def get_model(self, model_id: str) -> Model:
        """A model by its id or a unique prefix."""
        return from_json(Model, self._http.call("GET", _at(model_id)))

    def list_models(
        self,
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
    ) -> Page[Model]:
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
        answer = self._http.call("GET", "/models", query=query)
        return Page([from_json(Model, m) for m in answer["items"]], answer.get("next_cursor"))

    def iter_models(self, *, page_size: int = 200, **query: Any) -> Iterator[Model]:
        """Every model that fits, page by page; takes what :meth:`list_models` takes."""
        cursor: str | None = None
        while True:
            page = self.list_models(**query, limit=page_size, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def edit_model(self, model_id: str, **changes: Any) -> Model:
        """Change a model; of a published one name, project, comment, tags and metadata.

        ``metadata`` is merged (a value that is None removes its key), and replaces all of it
        with ``replace_metadata=True``.
        """
        return from_json(Model, self._http.call("PATCH", _at(model_id), to_json(changes)))

    def publish_model(self, model_id: str) -> Model:
        """Make a model read-only for ever."""
        return self._do(model_id, "publish")

    def archive_model(self, model_id: str) -> Model:
        """Leave a model out of lists."""
        return self._do(model_id, "archive")

    def unarchive_model(self, model_id: str) -> Model:
        """Show an archived model in lists again."""
        return self._do(model_id, "unarchive")

    def delete_model(self, model_id: str, *, force: bool = False) -> Model:
        """Delete a model; with ``force`` also one that is published or in use.

        Returns:
            What it was. Its weights are not deleted.
        """
        query = {"force": force or None}
        return from_json(Model, self._http.call("DELETE", _at(model_id), query=query))

    def model_history(self, model_id: str) -> list[ModelEvent]:
        """What happened to a model, oldest first."""
        answer = self._http.call("GET", f"{_at(model_id)}/history")
        return [from_json(ModelEvent, event) for event in answer["items"]]

    def model_scalars(self, model_id: str) -> dict[str, Any]:
        """Points reported of a model: title → series → iterations, values, times."""
        return self._http.call("GET", f"{_at(model_id)}/scalars")

    def model_single_values(self, model_id: str) -> dict[str, float]:
        """Numbers of a model's summary by name."""
        return self._http.call("GET", f"{_at(model_id)}/single-values")

    def model_plots(self, model_id: str) -> list[dict[str, Any]]:
        """Plots reported of a model."""
        return list(self._http.call("GET", f"{_at(model_id)}/plots")["items"])

    def task_models(self, task_id: str) -> dict[str, list[ModelRef]]:
        """What a task calls its models: ``input`` and ``output``, oldest first."""
        answer = self._http.call("GET", f"/tasks/{quoted(task_id)}/models")
        return {kind: [from_json(ModelRef, ref) for ref in refs] for kind, refs in answer.items()}

    def link_model(self, task_id: str, kind: str, name: str, model_id: str) -> None:
        """Have a task call a model by a name; ``kind`` is ``input`` or ``output``."""
        path = f"/tasks/{quoted(task_id)}/models/{quoted(kind)}/{quoted(name)}"
        self._http.call("PUT", path, {"model_id": model_id})

    def unlink_model(self, task_id: str, kind: str, model_id: str) -> None:
        """Take a model off a task; the model itself stays."""
        query = {"model_id": model_id}
        self._http.call("DELETE", f"/tasks/{quoted(task_id)}/models/{quoted(kind)}", query=query)

    def _do(self, model_id: str, verb: str) -> Model:
        return from_json(Model, self._http.call("POST", f"{_at(model_id)}/{verb}", {}))


def _at(model_id: str) -> str:
    return f"/models/{quoted(model_id)}"
