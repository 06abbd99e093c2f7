"""Deleting a task with what it put out, here and elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dray.runtime.errors import Conflict, DrayError
from dray.runtime.models import Task
from dray.runtime.registry import Model
from dray.runtime.states import State
from dray.sdk.client import Client

#: Asked with the kind of thing and where it is, whether to delete it.
Ask = Callable[[str, str], bool]


@dataclass(frozen=True)
class What:
    """What goes with the task; see ``Task.delete``."""

    outputs: bool = True
    skip_used_models: bool = True
    callback: Ask | None = None
    force: bool = False

    def takes(self, kind: str, uri: str) -> bool:
        """Whether this one goes too."""
        return self.outputs if self.callback is None else bool(self.callback(kind, uri))


def delete(client: Client, task_id: str, what: What) -> str:
    """Delete a task; returns what went wrong, empty when nothing did.

    Artifacts that lie elsewhere go first: once the task is gone, nobody knows where they were.
    """
    task = client.get_task(task_id)
    if task.state is State.PUBLISHED and not what.force:
        return f"task {task.id[:8]} is published and is not deleted; force=True deletes it"
    if task.state is State.RUNNING and not what.force:
        return f"task {task.id[:8]} is running and is not deleted; abort it first"
    problems = _artifacts(task, what)
    try:
        made = [client.get_model(ref.id) for ref in task.models.get("output", [])]
        client.delete_task(task.id, force=what.force, keep_models=True)
    except DrayError as exc:
        return "; ".join([*problems, exc.message])
    for model in made:  # after the task, which uses it too
        problems += _delete_model(client, model, what)
    return "; ".join(problems)


def _artifacts(task: Task, what: What) -> list[str]:
    problems: list[str] = []
    for artifact in task.artifacts:
        if artifact.uri and artifact.type != "uri" and what.takes("artifact", artifact.uri):
            problems += _remove(artifact.uri)
    return problems


def _delete_model(client: Client, model: Model, what: What) -> list[str]:
    if not what.takes("model", model.uri):
        return []
    try:
        client.delete_model(model.id, force=not what.skip_used_models)
    except Conflict:
        return []  # another task uses it, or it is published
    except DrayError as exc:
        return [exc.message]
    return _remove(model.uri) if model.uri and not model.uri.startswith("file://") else []


def _remove(uri: str) -> list[str]:
    from dray.sdk.storage.places import place_of

    try:
        place_of(uri).remove(uri)
    except (DrayError, OSError) as exc:
        return [f"{uri} was not deleted: {exc}"]
    return []
