"""Named outputs of a task, and their bytes."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import FileResponse

from dray.api import auth
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.api.paging import whole
from dray.runtime.answers import Page
from dray.runtime.errors import NotFound
from dray.runtime.models import Artifact

router = APIRouter(
    prefix=f"{API_PREFIX}/tasks/{{id}}/artifacts", tags=["artifacts"], dependencies=[auth.READS]
)


@router.get("")
async def list_artifacts(context: Ctx, task_id: auth.TaskId) -> Page[Artifact]:
    """Every artifact of the task by name."""
    return whole(await context.store.artifacts.list(task_id))


@router.get("/{name:path}/content", response_class=FileResponse)
async def content(context: Ctx, task_id: auth.TaskId, name: str) -> FileResponse:
    """The bytes, always as a download: a browser must not show a user's file as a page of ours."""
    artifact = await context.store.artifacts.get(task_id, name)
    if not artifact.sha256:
        raise NotFound(
            f"the bytes of artifact {name!r} are not kept here but at {artifact.uri!r}",
            artifact=name,
            uri=artifact.uri,
        )
    return FileResponse(
        await context.store.blobs.path(artifact.sha256),
        media_type="application/octet-stream",
        filename=artifact.filename or name.rpartition("/")[2],
        content_disposition_type="attachment",
    )


@router.get("/{name:path}")
async def get_artifact(context: Ctx, task_id: auth.TaskId, name: str) -> Artifact:
    """One artifact by its name."""
    return await context.store.artifacts.get(task_id, name)
