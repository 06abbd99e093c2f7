"""Plots in space: points and surfaces, as plotly draws them (see ``sdk.plots``)."""

from __future__ import annotations

from dray.runtime.errors import InvalidInput
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.plots.parts import (
    columns_of,
    demand_one_each,
    members_of,
    merged,
    mode_of,
    names_of,
    title_of,
)
from dray.sdk.plots.plain import numbers, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def scatter3d(
    title: str,
    series: str | Sequence[str],
    scatter: Any,
    *,
    xaxis: str | None = None,
    yaxis: str | None = None,
    zaxis: str | None = None,
    labels: Sequence[Any] | None = None,
    mode: str = "markers",
    fill: bool = False,
    comment: str | None = None,
    extra_layout: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Points in space.

    Args:
        title: of the plot.
        series: name of the points; of each group of them.
        scatter: triples of x, y and z; or a list of such groups.
        xaxis: what x is.
        yaxis: what y is.
        zaxis: what z is.
        labels: of the points; of each group of them.
        mode: ``markers``, ``lines`` or ``lines+markers``.
        fill: fill what the points surround.
        comment: shown below the title.
        extra_layout: more members of plotly's layout.

    Raises:
        InvalidInput: points that are no triples.
    """
    found = plain(scatter)
    groups: list[Any] = found if _depth(found) > 2 else [found]
    traces: list[dict[str, Any]] = []
    for at, group in enumerate(groups):
        xs, ys, zs = columns_of("scatter", group, 3)
        trace: dict[str, Any] = {
            "type": "scatter3d",
            "mode": mode_of(mode),
            "x": xs,
            "y": ys,
            "z": zs,
            "marker": {"size": 5, "opacity": 0.8},
        }
        if isinstance(series, str):
            trace["name"] = series if len(groups) == 1 else f"{series} {at}"
        elif at < len(series):
            trace["name"] = str(series[at])
        named = _labels_of(labels, at, len(groups))
        if named is not None:
            trace["text"] = named
        if fill:
            trace["surfaceaxis"] = 2
        traces.append(trace)
    titles = {"xaxis": xaxis, "yaxis": yaxis, "zaxis": zaxis}
    layout = {
        "title": title_of(title, comment),
        "showlegend": len(groups) > 1,
        "scene": {name: {"title": {"text": text or ""}} for name, text in titles.items()},
    }
    return {"data": traces, "layout": merged(layout, members_of("extra_layout", extra_layout))}


def surface(
    title: str,
    series: str,
    values: Any,
    *,
    xaxis: str | None = None,
    yaxis: str | None = None,
    zaxis: str | None = None,
    xlabels: Sequence[Any] | None = None,
    ylabels: Sequence[Any] | None = None,
    camera: Sequence[float] | None = None,
    comment: str | None = None,
    extra_layout: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A matrix as heights over a plane.

    Args:
        title: of the plot.
        series: names the surface.
        values: rows of numbers.
        xaxis: what the columns are.
        yaxis: what the rows are.
        zaxis: what the heights are.
        xlabels: a name for each column.
        ylabels: a name for each row.
        camera: where it is seen from, as x, y and z; the middle is 0.
        comment: shown below the title.
        extra_layout: more members of plotly's layout.

    Raises:
        InvalidInput: rows that differ in length, a camera that is not at three numbers.
    """
    cells = numbers("matrix", values)
    scene: dict[str, Any] = {
        "xaxis": {"title": {"text": xaxis or ""}, "showgrid": False, "nticks": 10},
        "yaxis": {"title": {"text": yaxis or ""}, "showgrid": False, "nticks": 10},
        "zaxis": {"title": {"text": zaxis or ""}, "nticks": 5},
    }
    for key, name, labels in (("xaxis", "xlabels", xlabels), ("yaxis", "ylabels", ylabels)):
        names = names_of(name, labels)
        demand_one_each(
            name, names, len(cells[0]) if key == "xaxis" and cells else len(cells), "in it"
        )
        if names:
            scene[key].update(tickvals=list(range(len(names))), ticktext=names)
    if camera is not None:
        eye = numbers("camera", camera)
        if not eye or len(eye[0]) != 3:
            raise InvalidInput(f"camera must be x, y and z, got {camera!r}", field="camera")
        scene["camera"] = {"eye": dict(zip("xyz", eye[0], strict=True))}
    trace = {"type": "surface", "name": series, "z": cells, "showscale": False}
    layout = {"title": title_of(title, comment), "showlegend": False, "scene": scene}
    return {"data": [trace], "layout": merged(layout, members_of("extra_layout", extra_layout))}


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list):
        depth += 1
        items = cast("list[Any]", value)
        value = items[0] if items else None
    return depth


def _labels_of(labels: Sequence[Any] | None, at: int, n_groups: int) -> list[str] | None:
    if labels is None:
        return None
    given = list(labels)
    if given and isinstance(given[0], (list, tuple)):
        given = given[min(at, len(given) - 1)]
    elif n_groups > 1:
        return None if at else [str(label) for label in given]
    return [str(label) for label in given]
