"""Scalars and plots a task has reported."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from dray.api import auth
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.api.paging import whole
from dray.runtime.answers import Page
from dray.runtime.store.contract import Plot, ScalarSeries

router = APIRouter(prefix=f"{API_PREFIX}/tasks/{{id}}", tags=["results"], dependencies=[auth.READS])


@router.get("/scalars")
async def scalars(
    context: Ctx,
    task_id: auth.TaskId,
    title: Annotated[str, Query(description="this one only")] = "",
    series: Annotated[str, Query(description="this one only")] = "",
    max_points: Annotated[int, Query(ge=2, le=100_000, description="most points a series")] = 1000,
) -> dict[str, dict[str, ScalarSeries]]:
    """Points by title and series, thinned so that peaks stay visible."""
    return await context.store.results.scalars(
        task_id, title=title or None, series=series or None, max_points=max_points
    )


@router.get("/plots")
async def plots(context: Ctx, task_id: auth.TaskId) -> Page[Plot]:
    """Every reported table and matrix."""
    return whole(await context.store.results.plots(task_id))
