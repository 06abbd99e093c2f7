"""Projects: folders of tasks, nested by the slashes in their names."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from dray.api import auth, bodies, paging
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.api.idempotency import OnceOnly
from dray.api.paging import Paged
from dray.runtime.answers import Page
from dray.runtime.models import Project

router = APIRouter(prefix=f"{API_PREFIX}/projects", tags=["projects"])


@router.get("", dependencies=[auth.READS])
async def list_projects(context: Ctx, paged: Paged) -> Page[Project]:
    """Projects by name, and how many tasks each and its sub-projects hold."""
    found = await context.store.projects.list(paged.cursor or "", paged.limit + 1)
    return paging.cut(found, paged.limit, lambda project: project.name)


@router.post("", status_code=201, response_model=Project)
async def create_project(
    body: bodies.NewProject, context: Ctx, by: auth.Admin, once: OnceOnly
) -> Response:
    """Make a project and those above it; one that exists is answered as it is."""
    _ = by

    async def make() -> Project:
        project = await context.store.projects.ensure(body.name)
        if not body.description:
            return project
        return await context.store.projects.edit(project.id, description=body.description)

    return await once(201, make)


@router.get("/{project:path}", dependencies=[auth.READS])
async def get_project(context: Ctx, project: str) -> Project:
    """One project by its id or its full name."""
    return await context.store.projects.get(project)


@router.patch("/{project:path}")
async def edit_project(
    body: bodies.ProjectEdit, context: Ctx, project: str, by: auth.Admin
) -> Project:
    """Rename a project with everything below it, or describe it."""
    _ = by
    return await context.store.projects.edit(project, name=body.name, description=body.description)


@router.delete("/{project:path}", status_code=204)
async def delete_project(context: Ctx, project: str, by: auth.Admin) -> None:
    """Remove a project that holds nothing."""
    _ = by
    await context.store.projects.delete(project)
