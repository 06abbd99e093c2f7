"""Named outputs of a task, and their bytes."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import FileResponse

from dray.api import auth, bodies
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.api.paging import whole
from dray.runtime.answers import Page
from dray.runtime.errors import InvalidInput, NotFound
from dray.runtime.models import Artifact

router = APIRouter(prefix=f"{API_PREFIX}/tasks/{{id}}/artifacts", tags=["artifacts"])


@router.get("", dependencies=[auth.READS])
async def list_artifacts(context: Ctx, task_id: auth.TaskId) -> Page[Artifact]:
    """Every artifact of the task by name."""
    return whole(await context.store.artifacts.list(task_id))


@router.get("/{name:path}/content", response_class=FileResponse, dependencies=[auth.READS])
async def content(context: Ctx, task_id: auth.TaskId, name: str) -> FileResponse:
    """The bytes, always as a download: a browser must not show a user's file as a page of ours."""
    artifact = await context.store.artifacts.get(task_id, name)
    is_elsewhere = bool(artifact.uri) and bool(artifact.sha256)
    if not artifact.sha256 or (is_elsewhere and not await context.store.blobs.has(artifact.sha256)):
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


@router.put("/{name:path}", status_code=204)
async def put_artifact(
    body: bodies.NewArtifact, context: Ctx, task_id: auth.TaskId, name: str, by: auth.TaskWriter
) -> None:
    """Add an artifact to a task from outside its run; one of the same name is replaced.

    Its bytes are uploaded first, to the blobs or wherever `uri` says. A published task takes none.
    """
    if body.sha256 and not body.uri and not await context.store.blobs.has(body.sha256):
        raise InvalidInput(
            f"artifact {name!r}: there is no blob {body.sha256!r}; upload it first",
            field="sha256",
            value=body.sha256,
        )
    artifact = Artifact(name=name, **vars(body))
    await context.store.artifacts.add(task_id, artifact, by, context.clock.now())


@router.delete("/{name:path}")
async def delete_artifact(
    context: Ctx, task_id: auth.TaskId, name: str, by: auth.TaskWriter
) -> Artifact:
    """Forget an artifact and answer what it was; its bytes may be another task's too and stay."""
    return await context.store.artifacts.delete(task_id, name, by, context.clock.now())


@router.get("/{name:path}", dependencies=[auth.READS])
async def get_artifact(context: Ctx, task_id: auth.TaskId, name: str) -> Artifact:
    """One artifact by its name."""
    return await context.store.artifacts.get(task_id, name)
