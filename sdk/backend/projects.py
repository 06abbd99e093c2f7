"""``client.projects``: folders of tasks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dray.runtime.models import Project
from dray.sdk.backend.entity import Answers, Entity, Struct
from dray.sdk.backend.queues import when
from dray.sdk.backend.service import Service, unknown


class Projects(Service):
    """Projects by id; the full name will do too."""

    name, entity = "projects", "project"

    def get_all(
        self,
        name: str | None = None,
        id: Sequence[str] | None = None,
        search_hidden: bool = False,
        only_fields: Sequence[str] | None = None,
        order_by: Sequence[str] | None = None,
        page: int | None = None,
        page_size: int | None = None,
        **others: Any,
    ) -> Answers[Entity]:
        """Every project whose full name the regular expression ``name`` is found in."""
        del search_hidden, only_fields, order_by, page, page_size  # whole rows, by name; none hide
        unknown("projects.get_all", others)
        found = [
            project
            for project in self._client.list_projects()
            if (not name or re.search(name, project.name)) and (not id or project.id in id)
        ]
        return Answers([Entity(self, _shape(project)) for project in found])

    def get_by_id(self, project: str, **others: Any) -> Entity:
        """A project by id or full name."""
        unknown("projects.get_by_id", others)
        return Entity(self, _shape(self._client.get_project(project)))

    def create(self, name: str, description: str = "", **others: Any) -> Struct:
        """A new project."""
        unknown("projects.create", others)
        return Struct({"id": self._client.create_project(name, description=description).id})

    def update(
        self, project: str, name: str | None = None, description: str | None = None, **others: Any
    ) -> Struct:
        """Rename a project or describe it."""
        unknown("projects.update", others)
        changes = {"name": name, "description": description}
        given = {key: value for key, value in changes.items() if value is not None}
        self._client.edit_project(project, **given)
        return Struct({"updated": 1, "fields": given})

    def delete(self, project: str, **others: Any) -> Struct:
        """Delete an empty project."""
        unknown("projects.delete", others)
        self._client.delete_project(project)
        return Struct({"deleted": 1})


def _shape(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "basename": project.name.rsplit("/", 1)[-1],
        "description": project.description,
        "created": when(project.created_at),
        "tags": [],
        "system_tags": [],
    }
