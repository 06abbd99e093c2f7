"""What an ``OutputModel`` tells the server, by records of its run."""

from __future__ import annotations

from collections.abc import Mapping

from dray.runtime.errors import InvalidInput, ServerUnreachable
from dray.runtime.registry import ALWAYS_EDITABLE, OUTPUT, PACKAGE
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.models import records as model_records
from dray.sdk.models import settling as model_settling
from dray.sdk.models.base import BaseModel
from dray.sdk.models.frameworks import framework_of

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.session import Session

    Json = dict[str, Any]

#: What a task calls a model that has no weights yet.
NAMELESS = "Output Model"
#: How long a synchronous upload is waited for.
UPLOAD_WAIT_S = 600.0


class ToldModel(BaseModel):
    """A model of the running task, told of from its first weights, fact or report on."""

    def __init__(self, task: Any, run: Session, model_id: str, is_base: bool) -> None:
        super().__init__(task)
        self._run = run
        self._model_id = model_id
        self._is_base = is_base
        #: Members said before the model was told of.
        self._said: Json = {}
        #: What the task calls it; empty: the weights' file name.
        self._called = ""

    @property
    def id(self) -> str:
        """32 hexadecimal digits."""
        return self._model_id

    def be(self, model_id: str) -> None:
        """Stand for a model this task has made before; nothing is asked of the server."""
        self._model_id = model_id
        if model_records.document(model_id) is None:
            given = {key: value for key, value in self._said.items() if value is not None}
            own = {"id": model_id, "task_id": self._run.task_id}
            model_records.adopt({"tags": [], "system_tags": [], "updated_at": 0.0, **given, **own})

    def call(self, name: str) -> None:
        """Have the task call this model by ``name``, from its first weights on."""
        self._called = name
        if model_records.document(self._model_id) is not None:
            self._link(name)

    @property
    def _data(self) -> Json:
        told = model_records.document(self._model_id)
        if told is not None:
            return told
        labels: Json = self._run.task.get("labels") or {}
        given = {key: value for key, value in self._said.items() if value is not None}
        project = self._run.task.get("project")
        own = {"id": self._model_id, "task_id": self._run.task_id, "project": project}
        return {"labels": labels, **given, **own}

    def _change(self, **members: Any) -> None:
        self._refuse_published_but(members)
        self._tell()
        model_records.put(self._run, self._model_id, **members)

    def _logger(self) -> Any:
        self._tell()
        return super()._logger()

    def _tell(self, called: str = "") -> None:
        """Have the model kept, where nothing was told of it so far."""
        if model_records.document(self._model_id) is not None:
            return
        given = {key: value for key, value in self._said.items() if value is not None}
        if self._is_base:
            self._model_id = self._adopted()
            model_records.put(self._run, self._model_id, own=True, **given)
        else:
            task = self._run.task
            given.setdefault("labels", dict(task.get("labels") or {}))
            given.setdefault("config_text", self._task.get_model_config_text())
            given.setdefault("comment", f"Created by task id: {self._run.task_id}")
            given["project"] = task.get("project")
            model_records.make(self._run, self._model_id, **given)
        self._link(self._called or called or NAMELESS)

    def _adopted(self) -> str:
        """The base model, read from the server; from now on it is told of by records."""
        found = self._take(self._client().get_model(self._model_id))
        if found.get("published"):
            raise InvalidInput(
                f"model {found['id'][:8]} ({found['name']}) is published, so it cannot get new "
                "weights; leave base_model_id out to make another one",
                field="base_model_id",
            )
        model_records.adopt(found)
        return str(found["id"])

    def _tell_weights(
        self,
        called: str,
        weights: Json,
        iteration: int | None,
        note: str,
        is_package: bool,
        async_enable: bool,
    ) -> str:
        self._tell(called)
        known = model_records.document(self._model_id) or {}
        changes = dict(weights)
        if not known.get("framework"):
            changes["framework"] = framework_of(weights["filename"]) or None
        if iteration is not None:
            changes["iteration"] = int(iteration)
        if note:
            before = str(known.get("comment") or "").splitlines()
            rest = [line for line in before if not _is_note(line)]
            changes["comment"] = "\n".join([note, *rest])
        tags = [tag for tag in self.system_tags if tag != PACKAGE]
        changes["system_tags"] = [*tags, PACKAGE] if is_package else tags
        given = {key: value for key, value in changes.items() if value is not None}
        model_records.put(self._run, self._model_id, **given)
        self._link(called)
        if not async_enable and not model_settling.settle(self._run, UPLOAD_WAIT_S):
            raise ServerUnreachable(
                f"weights of model {self.id[:8]} are not uploaded; their upload goes on, or "
                f"`dray sync {self._run.spool}` sends them"
            )
        return self.url

    def _link(self, called: str) -> None:
        """Have the task call it so; a name that only stood in for one goes."""
        refs = model_records.refs(self._run.task, OUTPUT)
        names = [ref["name"] for ref in refs if ref["id"] == self._model_id]
        if called in names:
            return
        if names:
            model_records.unlink(self._run, OUTPUT, self._model_id)
        model_records.link(self._run, OUTPUT, called, self._model_id)

    def _refuse_published(self) -> None:
        self._refuse_published_but({"weights": ""})

    def _refuse_published_but(self, members: Mapping[str, Any]) -> None:
        known = model_records.document(self._model_id)
        if known is None or not known.get("published"):
            return
        kept = [name for name in members if name not in ALWAYS_EDITABLE]
        if kept:
            raise InvalidInput(
                f"model {self.id[:8]} ({self.name}) is published, so its {kept[0]} cannot be "
                "changed; make another OutputModel",
                field=kept[0],
            )


def _is_note(line: str) -> bool:
    return line.startswith("snapshot ") and line.endswith(" stored")
