"""What a task calls its models: the names of what it begins with and of what it makes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from dray.api import auth, model_bodies
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.runtime.models import ModelRef

router = APIRouter(prefix=f"{API_PREFIX}/tasks/{{id}}/models", tags=["models"])


@router.get("", dependencies=[auth.READS])
async def list_task_models(context: Ctx, task_id: auth.TaskId) -> dict[str, list[ModelRef]]:
    """Models of a task by `input` and `output`, oldest first."""
    return await context.store.models.of_task(task_id)


@router.put("/{kind}/{name:path}", status_code=204)
async def link_model(
    body: model_bodies.ModelLink,
    context: Ctx,
    task_id: auth.TaskId,
    kind: str,
    name: str,
    by: auth.TaskWriter,
) -> None:
    """Have the task call a model by a name; the last model of a name stays.

    So a clone is run with another model: give its input the id of another one.
    """
    model_id = await context.store.models.resolve(body.model_id)
    await context.store.models.link(task_id, kind, name, model_id, by)


@router.delete("/{kind}", status_code=204)
async def unlink_model(
    context: Ctx,
    task_id: auth.TaskId,
    kind: str,
    model_id: Annotated[str, Query(description="whole id of the model")],
    by: auth.TaskWriter,
) -> None:
    """Take a model off the task; the model itself stays."""
    await context.store.models.unlink(task_id, kind, model_id, by)
