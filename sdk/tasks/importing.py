"""A task made of an exported document, or laid over one that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from dray.runtime.codec import to_json
from dray.runtime.errors import InvalidInput
from dray.sdk.runs import whoami
from dray.sdk.tasks import find as task_find
from dray.sdk.tasks.base import TaskBase
from dray.sdk.tasks.export import checked, described, imported, merged
from dray.sdk.tasks.handle import ServerHandle


def new(task_data: Mapping[str, Any]) -> ServerHandle:
    """A draft made of a document.

    Raises:
        InvalidInput: it names no task or no project.
    """
    document = checked(task_data)
    project = document.get("project_name") or document.get("project")
    if not project:
        raise InvalidInput(
            "task_data names no project: it has neither 'project_name' nor 'project'",
            field="task_data.project_name",
        )
    members = imported(document)
    name = members.pop("name", "") or "imported task"
    server = task_find.client()
    task = server.create_task(str(project), name, owner=whoami.user(), **members)
    return ServerHandle(server, to_json(task))


def into(task: TaskBase, task_data: Mapping[str, Any], *, update: bool) -> None:
    """Make a draft what a document says; its id and project stay.

    Args:
        task: the draft.
        task_data: the document.
        update: what the document does not name stays; otherwise its values and texts are
            replaced as a whole.
    """
    document = checked(task_data)
    server = task_find.client()
    standing = server.get_task(task.id)
    if update:
        document = merged(described(to_json(standing)), document)
    members = imported(document)
    for name, kept in (
        ("configuration", standing.configuration),
        ("properties", standing.properties),
    ):
        if name in members and not update:
            gone = dict.fromkeys(set(kept) - set(members[name]))
            members[name] = {**members[name], **gone}
    if "parameters" in members:
        members["replace_parameters"] = True
    server.edit_task(standing.id, **_changed(members, to_json(standing)))
    task.reload()


def _changed(members: dict[str, Any], standing: dict[str, Any]) -> dict[str, Any]:
    """Only what differs, so that what may not be edited now is not, unless it would change."""
    left = {
        name: value
        for name, value in members.items()
        if name == "replace_parameters" or standing.get(name) != value
    }
    execution = cast("dict[str, Any]", left.get("execution") or {})
    now = cast("dict[str, Any]", standing.get("execution") or {})
    changes = {name: value for name, value in execution.items() if now.get(name) != value}
    if changes:
        left["execution"] = changes
    else:
        left.pop("execution", None)
    if "parameters" not in left:
        left.pop("replace_parameters", None)
    return left
