"""Plots as plotly draws them: small pure functions from numbers to ``{"data", "layout"}``.

Everything they return is plain (see ``sdk.plain``): JSON holds it, and plotly takes it.
"""

from __future__ import annotations

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.plots.parts import (
    columns_of,
    demand_one_each,
    members_of,
    merged,
    mode_of,
    names_of,
    plane,
)
from dray.sdk.plots.plain import numbers, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

#: Points of a plot that are kept; a longer line keeps the extremes of every stretch.
POINT_LIMIT = 100_000
#: Members of an ``extra_layout`` that belong to the matrix itself, not to the paper around it.
_OF_A_MATRIX = frozenset(
    {"autocolorscale", "coloraxis", "colorbar", "colorscale", "customdata", "hoverinfo"}
    | {"hoverongaps", "hovertemplate", "opacity", "reversescale", "showscale", "text"}
    | {"textfont", "texttemplate", "xgap", "ygap", "zauto", "zmax", "zmid", "zmin", "zsmooth"}
)


def histogram(
    title: str,
    series: str,
    values: Any,
    *,
    labels: Sequence[Any] | None = None,
    xlabels: Sequence[Any] | None = None,
    xaxis: str | None = None,
    yaxis: str | None = None,
    mode: str | None = None,
    data_args: Mapping[str, Any] | None = None,
    extra_layout: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Bars whose heights are given: one group a row.

    Args:
        title: of the plot.
        series: names the bars where ``labels`` do not.
        values: a row of numbers, or several.
        labels: a name for each row.
        xlabels: a name for each column.
        xaxis: what the columns are.
        yaxis: what the heights are.
        mode: ``group`` (as None), ``stack`` or ``relative``.
        data_args: more members of plotly's bars.
        extra_layout: more members of plotly's layout.

    Raises:
        InvalidInput: rows that differ in length, labels that are not one each.
    """
    if (mode or "group") not in ("group", "stack", "relative"):
        raise InvalidInput(f"mode must be group, stack or relative, got {mode!r}", field="mode")
    bars = numbers("values", values)
    width = len(bars[0]) if bars else 0
    names = names_of("labels", labels)
    if len(names) == 1:
        names *= len(bars)
    demand_one_each("labels", names, len(bars), "rows of values")
    columns = names_of("xlabels", xlabels)
    demand_one_each("xlabels", columns, width, "values in a row")
    traces = [
        {
            "type": "bar",
            "name": names[at] if names else series,
            "x": columns or list(range(width)),
            "y": row,
            **members_of("data_args", data_args),
        }
        for at, row in enumerate(bars)
    ]
    layout = {
        **plane(title, None, xaxis, yaxis),
        "barmode": mode or "group",
        "bargap": 0.08,
        "bargroupgap": 0,
    }
    return {"data": traces, "layout": merged(layout, members_of("extra_layout", extra_layout))}


def lines(
    title: str,
    series: Sequence[tuple[str, Any, Sequence[Any] | None]],
    *,
    xaxis: str | None = None,
    yaxis: str | None = None,
    mode: str = "lines",
    reverse_xaxis: bool = False,
    comment: str | None = None,
    extra_layout: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Lines or points in a plane.

    Args:
        title: of the plot.
        series: of each line its name, pairs of x and y, and labels of the points or None.
        xaxis: what x is.
        yaxis: what y is.
        mode: ``lines``, ``markers`` or ``lines+markers``.
        reverse_xaxis: high numbers to the left.
        comment: shown below the title.
        extra_layout: more members of plotly's layout.

    Raises:
        InvalidInput: points that are no pairs, labels that are not one each.
    """
    layout = plane(title, comment, xaxis, yaxis)
    if reverse_xaxis:
        layout["xaxis"]["autorange"] = "reversed"
    limit = POINT_LIMIT // max(1, len(series))
    traces = [_trace(name, pairs, labels, mode, limit) for name, pairs, labels in series]
    return {"data": traces, "layout": merged(layout, members_of("extra_layout", extra_layout))}


def matrix(
    title: str,
    series: str,
    values: Any,
    *,
    xaxis: str | None = None,
    yaxis: str | None = None,
    xlabels: Sequence[Any] | None = None,
    ylabels: Sequence[Any] | None = None,
    yaxis_reversed: bool = False,
    comment: str | None = None,
    extra_layout: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A heat map, such as a confusion matrix.

    Args:
        title: of the plot.
        series: names the map.
        values: rows of numbers; the first is the lowest, unless ``yaxis_reversed``.
        xaxis: what the columns are.
        yaxis: what the rows are.
        xlabels: a name for each column.
        ylabels: a name for each row.
        yaxis_reversed: the first row is on top.
        comment: shown below the title.
        extra_layout: more members of plotly's layout, or of its heat map.

    Raises:
        InvalidInput: rows that differ in length, labels that are not one each.
    """
    cells = numbers("matrix", values)
    trace: dict[str, Any] = {"type": "heatmap", "name": series, "z": cells}
    for key, name, labels in (("x", "xlabels", xlabels), ("y", "ylabels", ylabels)):
        names = names_of(name, labels)
        demand_one_each(
            name, names, len(cells[0]) if key == "x" and cells else len(cells), "in the matrix"
        )
        if names:
            trace[key] = names
    extra = members_of("extra_layout", extra_layout)
    own = {key: extra.pop(key) for key in list(extra) if key in _OF_A_MATRIX}
    if extra_layout is None:
        own = {"texttemplate": "%{z}"}
    layout = plane(title, comment, xaxis, yaxis)
    if yaxis_reversed:
        layout["yaxis"]["autorange"] = "reversed"
    return {"data": [merged(trace, own)], "layout": merged(layout, extra)}


def plotly(figure: Any) -> dict[str, Any]:
    """A figure of plotly, or what one looks like in JSON.

    Args:
        figure: a ``plotly.graph_objects.Figure``, a dict of ``data`` and ``layout``, or such as
            text. Any: plotly is the user's.

    Raises:
        WrongType: it is none of them.
        InvalidInput: text that is no JSON, or without data.
    """
    if isinstance(figure, str):
        import json

        try:
            figure = json.loads(figure)
        except ValueError as exc:
            raise InvalidInput(f"figure is text and no JSON: {exc}", field="figure") from exc
    is_figure = callable(getattr(figure, "to_plotly_json", None))
    made: Any = plain(figure) if is_figure or isinstance(figure, dict) else None
    if not isinstance(made, dict):
        raise WrongType(
            f"figure must be a plotly Figure or a dict, got {figure!r:.100}",
            field="figure",
        )
    found = cast("dict[str, Any]", made)
    if "data" not in found and "layout" not in found:
        raise InvalidInput(
            f"figure has neither data nor layout; it has {sorted(found)}", field="figure"
        )
    data: Any = found.get("data") or []
    return {
        **{key: member for key, member in found.items() if key in ("frames", "config")},
        "data": data if isinstance(data, list) else [data],
        "layout": found.get("layout") or {},
    }


def _trace(
    name: str, pairs: Any, labels: Sequence[Any] | None, mode: str, limit: int
) -> dict[str, Any]:
    xs, ys = columns_of("scatter", pairs, 2)
    texts = None if labels is None else names_of("labels", labels)
    if texts is not None:
        demand_one_each("labels", texts, len(xs), "points", may_be_empty=False)
    if len(xs) > limit:
        kept = _extremes(ys, limit)
        xs, ys = [xs[at] for at in kept], [ys[at] for at in kept]
        texts = None if texts is None else [texts[at] for at in kept]
    trace = {"type": "scatter", "mode": mode_of(mode), "name": str(name), "x": xs, "y": ys}
    return trace if texts is None else {**trace, "text": texts}


def _extremes(values: list[Any], limit: int) -> list[int]:
    """Which points of a long line are kept."""
    from dray.runtime.downsample import min_max

    if all(value is None or isinstance(value, (int, float)) for value in values):
        return min_max(values, limit)
    step = -(-len(values) // limit)
    return list(range(0, len(values), step))
