"""What a task has reported for people to look at: scalars, plots and debug samples."""

from __future__ import annotations

import asyncio
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Request
from pydantic import TypeAdapter
from starlette.responses import FileResponse, Response

from dray.api import auth
from dray.api.addresses import API_PREFIX
from dray.api.context import Ctx
from dray.api.paging import Paged, cut, two_numbers
from dray.runtime import records
from dray.runtime.answers import Page, PointsPage
from dray.runtime.errors import NotFound
from dray.runtime.store.contract import Media, Plot, ScalarSeries

T = TypeVar("T")

#: Points in one page of a whole series.
PAGE_POINTS = 50_000

router = APIRouter(prefix=f"{API_PREFIX}/tasks/{{id}}", tags=["results"])

Title = Annotated[str, Query(description="this one only")]
Series = Annotated[str, Query(description="this one only")]
LastIterations = Annotated[
    int | None, Query(ge=1, lt=1 << 63, description="so many of the latest of each series")
]

_SCALARS = TypeAdapter(dict[str, dict[str, ScalarSeries]])
_POINTS = TypeAdapter(PointsPage)
_PLOTS = TypeAdapter(Page[Plot])


@router.get(
    "/scalars", response_model=dict[str, dict[str, ScalarSeries]], dependencies=[auth.READS]
)
async def scalars(
    context: Ctx,
    task_id: auth.TaskId,
    title: Title = "",
    series: Series = "",
    max_points: Annotated[int, Query(ge=2, le=100_000, description="most points a series")] = 1000,
) -> Response:
    """Points by title and series, thinned so that peaks stay visible."""
    found = await context.store.results.scalars(
        task_id, title=title or None, series=series or None, max_points=max_points
    )
    return await _reply(_SCALARS, found)


@router.get("/points", response_model=PointsPage, dependencies=[auth.READS])
async def points(
    context: Ctx,
    task_id: auth.TaskId,
    title: Annotated[str, Query(description="of the chart")],
    series: Annotated[str, Query(description="of the chart")],
    limit: Annotated[int, Query(ge=1, le=PAGE_POINTS, description="most points")] = PAGE_POINTS,
    cursor: Annotated[str, Query(description="`next_cursor` of the page before")] = "",
) -> Response:
    """Every point of one series in order of arrival, a page at a time."""
    found, after = await context.store.results.points(
        task_id, title, series, two_numbers(cursor or None), limit
    )
    page = PointsPage(found.iterations, found.values, found.times, _cursor(after))
    return await _reply(_POINTS, page)


@router.get("/plots", response_model=Page[Plot], dependencies=[auth.READS])
async def plots(
    context: Ctx,
    task_id: auth.TaskId,
    title: Title = "",
    series: Series = "",
    max_iterations: LastIterations = None,
    limit: Annotated[int, Query(ge=1, le=500, description="most plots")] = 200,
    cursor: Annotated[str, Query(description="`next_cursor` of the page before")] = "",
) -> Response:
    """Reported figures, tables and matrices, the latest iterations first; fewer where large."""
    found, after = await context.store.results.plots_page(
        task_id,
        title or None,
        series or None,
        n_last=max_iterations,
        after=two_numbers(cursor or None),
        limit=limit,
    )
    return await _reply(_PLOTS, Page(found, _cursor(after)))


@router.get("/media", dependencies=[auth.READS])
async def media(
    context: Ctx,
    task_id: auth.TaskId,
    page: Paged,
    title: Title = "",
    series: Series = "",
    max_iterations: LastIterations = None,
) -> Page[Media]:
    """Debug samples, the latest iterations first; the bytes of one are the blob `sha256`."""
    found = await context.store.results.media(
        task_id,
        title or None,
        series or None,
        n_last=max_iterations,
        after=two_numbers(page.cursor),
        limit=page.limit + 1,
    )
    return cut(found, page.limit, lambda one: f"{one.iteration}.{one.seq}")


@router.get("/media/{seq}/{filename:path}", response_class=FileResponse, dependencies=[auth.READS])
async def media_content(
    context: Ctx,
    task_id: auth.TaskId,
    seq: Annotated[int, Path(ge=0, lt=1 << 63)],
    filename: str,
) -> FileResponse:
    """The bytes of a sample, always as a download: no user's page is shown as one of ours."""
    found = await context.store.results.sample(task_id, seq)
    if found is None or found.filename != filename:
        raise NotFound(f"task {task_id[:8]} has no sample {filename!r} by number {seq}")
    if found.uri or not found.sha256:
        raise NotFound(
            f"the bytes of sample {filename!r} are not kept here but at {found.uri!r}",
            uri=found.uri,
        )
    return FileResponse(
        await context.store.blobs.path(found.sha256),
        media_type="application/octet-stream",
        filename=filename.rpartition("/")[2] or found.sha256,
        content_disposition_type="attachment",
    )


@router.post(
    "/reports",
    status_code=204,
    openapi_extra={"requestBody": {"required": True, "content": {"application/jsonl": {}}}},
)
async def report(request: Request, context: Ctx, task_id: auth.TaskId, by: auth.TaskWriter) -> None:
    """Report about a task from outside its run: records of scalars, plots, texts and media.

    The body is one record a line, as in a spool. Blobs of media are uploaded first. A published
    task takes none.
    """
    await context.store.outside.add(task_id, await request.body(), by)


@router.get("/attempts/{epoch}/offsets", dependencies=[auth.READS])
async def offsets(context: Ctx, task_id: auth.TaskId, epoch: auth.Epoch) -> dict[str, int]:
    """Bytes of each stream of an attempt that have arrived."""
    await context.store.tasks.head(task_id)
    found = await context.store.results.offsets(task_id, epoch)
    return {stream: found.get(stream, 0) for stream in records.STREAMS}


async def _reply(kind: TypeAdapter[T], value: T) -> Response:
    # A large answer is written off the loop, which has others to serve.
    body = await asyncio.to_thread(kind.dump_json, value)
    return Response(body, media_type="application/json")


def _cursor(after: tuple[int, int] | None) -> str | None:
    return None if after is None else f"{after[0]}.{after[1]}"
