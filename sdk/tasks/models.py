"""The part of ``Task`` about models: what it begins with, what it makes, what its classes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dray.runtime.errors import InvalidInput, NotFound
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.parameters.connect import Elsewhere, is_ignoring
from dray.sdk.tasks.configuration import TaskConfiguration

if TYPE_CHECKING:
    import os

    from dray.sdk.models.base import BaseModel
    from dray.sdk.models.named import TaskModelsByKind

_IGNORE_LABELS = "General/_ignore_remote_overrides_label_enumeration_"


class TaskModels(TaskConfiguration):
    """Models of the task, by the names it has for them."""

    @property
    def models(self) -> TaskModelsByKind:
        """Its models: ``task.models["output"][-1]``, ``task.models.input["backbone"]``."""
        return self.get_models()

    def get_models(self) -> TaskModelsByKind:
        """The same as :attr:`models`."""
        from dray.sdk.models.named import TaskModelsByKind

        return TaskModelsByKind(self._refs("input"), self._refs("output"))

    @property
    def input_models_id(self) -> dict[str, str]:
        """Name in the task → id of the model it begins with."""
        return {ref["name"]: ref["id"] for ref in self._refs("input")}

    @property
    def output_models_id(self) -> dict[str, str]:
        """Name in the task → id of the model it made."""
        return {ref["name"]: ref["id"] for ref in self._refs("output")}

    def set_input_model(
        self,
        model_id: str | None = None,
        model_name: str | None = None,
        update_task_design: bool = True,
        update_task_labels: bool = True,
        name: str | None = None,
    ) -> None:
        """Have the task begin with a model; the last one of a name stays.

        Args:
            model_id: of the model.
            model_name: instead of an id: the published model of that name.
            update_task_design: take over its configuration, where the task has none.
            update_task_labels: take over its labels, where the task has none.
            name: what the task calls it; the weights' file name unless given.

        Raises:
            InvalidInput: neither id nor name, no published model of the name, or several.
            NotFound: there is no model of the id.
        """
        from dray.sdk.models.found import Model, connect_name

        if not model_id and not model_name:
            raise InvalidInput("give model_id or model_name", field="model_id")
        model = Model(model_id or self._published(str(model_name)))
        data = model._data  # pyright: ignore[reportPrivateUsage]
        called = name or connect_name(data)
        attempt = self._attempt
        if attempt is not None:
            from dray.sdk.models import records as model_records

            model_records.link(attempt, "input", called, str(data["id"]))
        else:
            self._handle.client().link_model(self.id, "input", called, str(data["id"]))
            self._handle.reload()
        if update_task_labels and not self.get_labels_enumeration() and model.labels:
            self.set_model_label_enumeration(model.labels)
        if update_task_design and not self.get_model_config_text() and model.config_text:
            self.set_model_config(config_text=model.config_text)

    def remove_input_models(self, models_to_remove: Sequence[str | BaseModel]) -> None:
        """Take models off the task's inputs; the models themselves stay.

        Args:
            models_to_remove: models, or their ids.
        """
        from dray.sdk.models.found import ids_of

        attempt = self._attempt
        for model_id in ids_of(models_to_remove):
            if attempt is not None:
                from dray.sdk.models import records as model_records

                model_records.unlink(attempt, "input", model_id)
            else:
                self._handle.client().unlink_model(self.id, "input", model_id)
        if attempt is None:
            self._handle.reload()

    def update_output_model(
        self,
        model_path: str | os.PathLike[str],
        name: str | None = None,
        comment: str | None = None,
        tags: Sequence[str] | None = None,
        model_name: str | None = None,
        iteration: int | None = None,
        auto_delete_file: bool = True,
    ) -> str:
        """Keep a file, a folder or an address as a model of the running task.

        Args:
            model_path: file or folder, which is uploaded; an address is only noted.
            name: what the task calls it; the file's name without its ending unless given.
            comment: about the model.
            tags: of the model.
            model_name: of the model; the task's, with ``name`` where that is given, unless given.
            iteration: of the script, that the weights belong to.
            auto_delete_file: remove the file, where the task has an ``output_uri``; without one
                it stays.

        Returns:
            Where the weights are, or will be.

        Raises:
            InvalidInput: this is not the task of this process, or there is no such file.
        """
        from dray.sdk.models import records as model_records
        from dray.sdk.models.output import OutputModel

        model = OutputModel(
            task=self,
            name=model_name or (f"{self.name} - {name}" if name else self.name),
            tags=list(tags) if tags else None,
            comment=comment,
        )
        path = str(model_path)
        called = name or model_records.stem(path)
        attempt = self._attempt
        known = model_records.id_of(attempt.task, "output", called) if attempt is not None else ""
        if known:
            model.be(known)
        model.call(called)
        if "://" in path and not path.startswith("file://"):
            return model.update_weights(register_uri=path, iteration=iteration)
        return model.update_weights(
            weights_filename=path.removeprefix("file://"),
            iteration=iteration,
            auto_delete_file=auto_delete_file,
        )

    def set_model_label_enumeration(self, enumeration: Mapping[str, int] | None = None) -> None:
        """Set the number of each class by its name; models made later begin with them.

        Raises:
            InvalidInput: a name that is no text, or a number that is not whole.
        """
        from dray.sdk.models.found import checked_labels

        labels = checked_labels(enumeration)
        attempt = self._attempt
        if attempt is not None:
            if attempt.task.get("labels") != labels:
                attempt.task["labels"] = labels
                attempt.record("labels", values=labels)
        else:
            self._handle.client().edit_task(self.id, labels=labels)
            self._handle.reload()

    def connect_label_enumeration(
        self, enumeration: Mapping[str, int], ignore_remote_overrides: bool = False
    ) -> dict[str, int]:
        """Set the number of each class by its name; under an agent the task's own are given back.

        Args:
            enumeration: name → number.
            ignore_remote_overrides: set these under an agent too, whatever the task has. Stored
                as hidden parameter, which a clone can have turned off.

        Returns:
            The ones to use.

        Raises:
            InvalidInput: a name that is no text, or a number that is not whole.
        """
        attempt = self._attempt
        stored = self.get_labels_enumeration()
        target = attempt if attempt is not None else Elsewhere(self._handle)
        is_kept = is_ignoring(target, _IGNORE_LABELS, ignore_remote_overrides)
        if attempt is not None and attempt.is_remote and stored and not is_kept:
            return stored
        self.set_model_label_enumeration(enumeration)
        return self.get_labels_enumeration()

    def get_labels_enumeration(self) -> dict[str, int]:
        """Number of each class by its name; empty when none were set."""
        return dict(cast("dict[str, int]", self._data.get("labels") or {}))

    def get_model_design(self) -> str:
        """The description of the network: the same as :meth:`get_model_config_text`."""
        return self.get_model_config_text()

    def _refs(self, kind: str) -> list[dict[str, str]]:
        models = cast("dict[str, list[dict[str, str]]]", self._data.get("models") or {})
        return list(models.get(kind) or [])

    def _published(self, name: str) -> str:
        """The id of the one published model of that name."""
        client = self._handle.client()
        found = client.list_models(name_exact=name, only_published=True, limit=2).items
        if not found:
            raise NotFound(f"no published model is called {name!r}; give its model_id", name=name)
        if len(found) > 1:
            raise InvalidInput(
                f"several published models are called {name!r}; give a model_id",
                field="model_name",
                value=name,
            )
        return found[0].id
