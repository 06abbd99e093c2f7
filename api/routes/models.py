"""Models: make, list, read, edit, publish, archive, delete, and their weights and reports."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import FileResponse, Response

from dray.api import auth, model_bodies
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.api.idempotency import OnceOnly
from dray.api.paging import Paged, cut
from dray.runtime import ids
from dray.runtime.answers import Page, Plot
from dray.runtime.errors import Forbidden, InvalidInput, NotFound
from dray.runtime.registry import Model, ModelEvent
from dray.runtime.store.contract import By, ScalarSeries
from dray.runtime.store.model_query import ModelQuery

router = APIRouter(prefix=f"{API_PREFIX}/models", tags=["models"])


async def find_model(context: Ctx, id: str) -> str:
    """The whole id of the model an address names by id or unique prefix."""
    return await context.store.models.resolve(id)


ModelId = Annotated[str, Depends(find_model)]


@router.post("", status_code=201, response_model=Model)
async def create_model(
    body: model_bodies.NewModelBody, context: Ctx, by: auth.Creator, once: OnceOnly
) -> Response:
    """Make a model. Give an `id` or an `Idempotency-Key` to repeat the call safely."""

    async def make() -> Model:
        new_id = body.id or once.new_id or ids.new_id()
        if once.new_id:
            try:
                return await context.store.models.get(new_id)
            except NotFound:
                pass  # nobody made it before the answer was lost
        return await context.store.models.create(body.model(new_id), by)

    return await once(201, make)


@router.get("", dependencies=[auth.READS])
async def list_models(
    context: Ctx,
    paged: Paged,
    project: Annotated[str, Query(description="full name; its sub-projects are included")] = "",
    project_only: Annotated[bool, Query(description="without its sub-projects")] = False,
    name: Annotated[str, Query(description="part of the name, any case")] = "",
    name_exact: Annotated[str, Query(description="the whole name")] = "",
    tag: Annotated[
        list[str] | None,
        Query(description="any of these; -tag excludes; __$all, __$any, __$not as in ClearML"),
    ] = None,
    system_tag: Annotated[list[str] | None, Query(description="as tag")] = None,
    only_published: bool = False,
    include_archived: bool = False,
    metadata: Annotated[list[str] | None, Query(description="KEY=VALUE; all of these")] = None,
    task: Annotated[str, Query(description="whole id of a task that made it or has it")] = "",
    uri: Annotated[str, Query(description="address of its weights")] = "",
    order: Annotated[
        str, Query(description="created_at, updated_at or name; a leading - is descending")
    ] = "-created_at",
) -> Page[Model]:
    """List models, newest first; archived ones are left out."""
    query = ModelQuery(
        project=project or None,
        project_only=project_only,
        name=name or None,
        name_exact=name_exact or None,
        tags=tag or [],
        system_tags=system_tag or [],
        only_published=only_published,
        include_archived=include_archived,
        metadata=_facts(metadata or []),
        task=task or None,
        uri=uri or None,
        order=order,
        limit=paged.limit,
        cursor=paged.cursor,
    )
    return await context.store.models.list(query)


@router.get("/{id}", dependencies=[auth.READS])
async def get_model(context: Ctx, model_id: ModelId) -> Model:
    """One model with everything known of it."""
    return await context.store.models.get(model_id)


@router.patch("/{id}")
async def edit_model(
    body: model_bodies.ModelEditBody, context: Ctx, model_id: ModelId, by: auth.Creator
) -> Model:
    """Edit a model; of a published one name, project, comment, tags and metadata.

    Members that are left out stay. `metadata` is merged; null deletes an entry.
    """
    return await context.store.models.edit(model_id, body, by)


@router.delete("/{id}")
async def delete_model(
    context: Ctx,
    model_id: ModelId,
    by: auth.Creator,
    force: Annotated[bool, Query(description="also when it is published or in use")] = False,
) -> Model:
    """Delete a model; answers what it was. A task's token may delete what that task made."""
    await _check_own(context, model_id, by)
    return await context.store.models.delete(model_id, by, force=force)


@router.post("/{id}/publish")
async def publish_model(context: Ctx, model_id: ModelId, by: auth.Creator) -> Model:
    """Make a model read-only for ever; one that is stays as it is."""
    return await context.store.models.publish(model_id, by)


@router.post("/{id}/archive")
async def archive_model(context: Ctx, model_id: ModelId, by: auth.Creator) -> Model:
    """Leave a model out of lists."""
    return await context.store.models.archive(model_id, by)


@router.post("/{id}/unarchive")
async def unarchive_model(context: Ctx, model_id: ModelId, by: auth.Creator) -> Model:
    """Show an archived model in lists again."""
    return await context.store.models.archive(model_id, by, archived=False)


@router.get("/{id}/content", dependencies=[auth.READS], response_class=FileResponse)
async def content(context: Ctx, model_id: ModelId) -> FileResponse:
    """The weights, always as a download."""
    model = await context.store.models.get(model_id)
    if not model.sha256 or model.uri:
        raise NotFound(
            f"the weights of model {model_id[:8]} are not kept here but at {model.uri!r}"
            if model.uri
            else f"model {model_id[:8]} ({model.name}) has no weights",
            id=model_id,
            uri=model.uri,
        )
    return FileResponse(
        await context.store.blobs.path(model.sha256),
        media_type="application/octet-stream",
        filename=model.filename or model.sha256,
        content_disposition_type="attachment",
    )


@router.get("/{id}/history", dependencies=[auth.READS])
async def history(context: Ctx, id: str, paged: Paged) -> Page[ModelEvent]:
    """What happened to the model, who did it and by which request; oldest first.

    Of one that was deleted, by its whole id.
    """
    model_id = id if ids.is_id(id) else await context.store.models.resolve(id)
    after = paged.cursor or "0"
    if not (after.isdigit() and len(after) < 19):
        raise InvalidInput(
            f"cursor {after!r} is not one this list gave", field="cursor", value=after
        )
    found = await context.store.models.history(model_id, int(after), paged.limit + 1)
    return cut(found, paged.limit, lambda event: str(event.seq))


@router.get("/{id}/scalars", dependencies=[auth.READS])
async def scalars(
    context: Ctx,
    model_id: ModelId,
    max_points: Annotated[int, Query(ge=2, le=100_000)] = 1000,
) -> dict[str, dict[str, ScalarSeries]]:
    """Points reported of the model by title and series, each thinned to `max_points`."""
    return await context.store.results.scalars(model_id, max_points=max_points)


@router.get("/{id}/single-values", dependencies=[auth.READS])
async def single_values(context: Ctx, model_id: ModelId) -> dict[str, float]:
    """Numbers of the model's summary by name."""
    return await context.store.results.single_values(model_id)


@router.get("/{id}/plots", dependencies=[auth.READS])
async def plots(context: Ctx, model_id: ModelId) -> Page[Plot]:
    """Plots reported of the model, newest first."""
    return Page(await context.store.results.plots(model_id), None)


def _facts(pairs: list[str]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise InvalidInput(
                f"metadata {pair!r}: expected KEY=VALUE", field="metadata", value=pair
            )
        facts[key] = value
    return facts


async def _check_own(context: Any, model_id: str, by: By) -> None:
    """Refuse a task's token for a model that another task made, or nobody.

    Raises:
        Forbidden: it is not the task's own.
    """
    if by.attempt is None:
        return
    model: Model = await context.store.models.get(model_id)
    if model.task_id != by.attempt.task_id:
        raise Forbidden(
            f"the token of task {by.attempt.task_id[:8]} may delete the models of that task "
            f"alone; model {model_id[:8]} is none of them: archive it, or use the server's token",
            id=model_id,
        )
