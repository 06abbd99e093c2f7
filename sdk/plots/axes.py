"""From matplotlib's axes to a plotly figure: lines, points, bars, areas; else nothing at all.

Only whole figures are converted. An artist, scale or transform that is not known here ends the
conversion, and the caller keeps a picture.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from dray.sdk.plots.plain import plain

#: Points of a figure that are kept as numbers; more are a picture.
POINT_LIMIT = 100_000
#: Markers of matplotlib as plotly calls them; any other one is a circle.
_SYMBOLS = {
    "s": "square",
    "^": "triangle-up",
    "v": "triangle-down",
    "<": "triangle-left",
    ">": "triangle-right",
    "D": "diamond",
    "d": "diamond-tall",
    "*": "star",
    "p": "pentagon",
    "h": "hexagon",
    "+": "cross-thin-open",
    "x": "x-thin-open",
    "P": "cross",
    "X": "x",
    "|": "line-ns-open",
    "_": "line-ew-open",
}
_DASHES = {"--": "dash", "-.": "dashdot", ":": "dot"}
_STEPS = {"steps": "vh", "steps-pre": "vh", "steps-mid": "hvh", "steps-post": "hv"}
_NOTHING = ("", " ", "None", "none", None)
#: Formatters that write what plotly writes by itself.
_USUAL_FORMATTERS = (
    *("ScalarFormatter", "LogFormatter", "LogFormatterSciNotation", "NullFormatter"),
    *("AutoDateFormatter", "ConciseDateFormatter", "LogFormatterMathtext"),
)


class _Unknown(Exception):
    """Something that has no counterpart here."""


def converted(figure: Any) -> dict[str, Any] | None:
    """The figure as plotly's; None when it is not simple enough. Any: matplotlib is the user's."""
    try:
        return _figure(figure)
    except _Unknown:
        return None
    except (AttributeError, TypeError, ValueError, LookupError):
        return None  # another version of matplotlib, artists of another library


def _figure(figure: Any) -> dict[str, Any]:
    _demand(len(figure.axes) == 1)
    axes, suptitle = figure.axes[0], getattr(figure, "_suptitle", None)
    _demand(all(text is suptitle for text in figure.texts))
    _demand(not (figure.images or figure.legends or figure.artists or figure.lines))
    _demand(not figure.patches and not getattr(figure, "subfigs", None))
    _demand(axes.name == "rectilinear" and not axes.child_axes)
    _demand(not (axes.images or axes.artists or axes.texts or axes.tables))
    traces, shapes = _lines(axes)
    traces = [*_collections(axes), *_bars(axes), *traces]
    _demand(sum(len(trace["x"]) for trace in traces) <= POINT_LIMIT)
    titles = [suptitle.get_text() if suptitle is not None else ""]
    titles += [axes.get_title(loc=place) for place in ("left", "center", "right")]
    layout: dict[str, Any] = {
        "title": {"text": "<br>".join(text for text in titles if text)},
        "xaxis": _axis(axes, axes.xaxis, axes.get_xlim(), axes.get_xlabel()),
        "yaxis": _axis(axes, axes.yaxis, axes.get_ylim(), axes.get_ylabel()),
        "showlegend": _legend(axes, traces),
    }
    if axes.get_aspect() in ("equal", 1, 1.0):
        layout["yaxis"]["scaleanchor"] = "x"
    if any(trace["type"] == "bar" for trace in traces):
        layout["barmode"] = "overlay"
    if shapes:
        layout["shapes"] = shapes
    return plain({"data": traces, "layout": layout})


def _demand(is_known: Any) -> None:
    if not is_known:
        raise _Unknown


def _lines(axes: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    traces: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    for line in axes.lines:
        if not line.get_visible():
            continue
        transform = line.get_transform()
        if transform == axes.transData:
            traces.append(_line(axes, line))
        elif transform == axes.get_yaxis_transform(which="grid"):  # axhline
            shapes.append(_rule(axes, line, across="x"))
        elif transform == axes.get_xaxis_transform(which="grid"):  # axvline
            shapes.append(_rule(axes, line, across="y"))
        else:
            raise _Unknown
    return traces, shapes


def _line(axes: Any, line: Any) -> dict[str, Any]:
    has_line = line.get_linestyle() not in _NOTHING and line.get_linewidth() > 0
    has_markers = line.get_marker() not in _NOTHING
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "+".join(["lines"] * has_line + ["markers"] * has_markers) or "none",
        "x": _values(axes.xaxis, line.get_xdata(orig=False)),
        "y": _values(axes.yaxis, line.get_ydata(orig=False)),
        **_named(line),
    }
    if has_line:
        trace["line"] = _stroke(line)
    if has_markers:
        trace["marker"] = {
            "symbol": _SYMBOLS.get(str(line.get_marker()), "circle"),
            "size": line.get_markersize() * (0.5 if line.get_marker() == "." else 1.0),
            "color": _colour(_first(line.get_markerfacecolor(), line.get_markeredgecolor())),
        }
    return trace


def _stroke(line: Any) -> dict[str, Any]:
    stroke = {
        "color": _colour(line.get_color(), line.get_alpha()),
        "width": line.get_linewidth(),
        "dash": _DASHES.get(line.get_linestyle(), "solid"),
    }
    step = _STEPS.get(line.get_drawstyle())
    return {**stroke, "shape": step} if step else stroke


def _rule(axes: Any, line: Any, across: str) -> dict[str, Any]:
    """A straight line over the whole width or height."""
    xs, ys = list(line.get_xdata(orig=False)), list(line.get_ydata(orig=False))
    stroke = _stroke(line)
    shape: dict[str, Any] = {"type": "line", "line": {k: stroke[k] for k in stroke if k != "shape"}}
    if across == "x":
        ys = _values(axes.yaxis, ys)
        shape.update(xref="x domain", yref="y")
    else:
        xs = _values(axes.xaxis, xs)
        shape.update(xref="x", yref="y domain")
    return {**shape, "x0": xs[0], "x1": xs[-1], "y0": ys[0], "y1": ys[-1]}


def _collections(axes: Any) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    for collection in axes.collections:
        kind = type(collection).__name__
        if not collection.get_visible():
            continue
        if kind == "PathCollection":
            traces.append(_points(axes, collection))
        elif kind == "LineCollection":
            traces.append(_segments(axes, collection))
        elif kind in ("PolyCollection", "FillBetweenPolyCollection"):
            traces.append(_area(axes, collection))
        else:
            raise _Unknown
    return traces


def _points(axes: Any, collection: Any) -> dict[str, Any]:
    _demand(collection.get_offset_transform() == axes.transData)
    collection.update_scalarmappable()  # colours by value are made when it is drawn
    offsets = collection.get_offsets()
    faces = collection.get_facecolors()
    if not len(faces):
        faces = collection.get_edgecolors()
    colours = [_colour(face) for face in faces[: len(offsets)]]
    # Sizes are areas in points squared; plotly's are diameters in pixels.
    sizes = [float(size) ** 0.5 * 4 / 3 for size in collection.get_sizes()[: len(offsets)]]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": _values(axes.xaxis, offsets[:, 0]),
        "y": _values(axes.yaxis, offsets[:, 1]),
        "marker": {"color": _one_or_all(colours), "size": _one_or_all(sizes)},
        **_named(collection),
    }


def _segments(axes: Any, collection: Any) -> dict[str, Any]:
    _demand(collection.get_transform() == axes.transData)
    xs: list[Any] = []
    ys: list[Any] = []
    for segment in collection.get_segments():
        xs += [*_values(axes.xaxis, segment[:, 0]), None]
        ys += [*_values(axes.yaxis, segment[:, 1]), None]
    colours = {_colour(colour) for colour in collection.get_colors()}
    widths = {float(width) for width in collection.get_linewidths()}
    _demand(len(colours) == 1 and len(widths) == 1)
    line = {"color": colours.pop(), "width": widths.pop()}
    return {
        "type": "scatter",
        "mode": "lines",
        "x": xs[:-1],
        "y": ys[:-1],
        "line": line,
        **_named(collection),
    }


def _area(axes: Any, collection: Any) -> dict[str, Any]:
    _demand(collection.get_transform() == axes.transData and not collection.get_hatch())
    _demand(not any(any(offset) for offset in collection.get_offsets()))
    colours = {_colour(face) for face in collection.get_facecolors()}
    _demand(len(colours) == 1)
    xs: list[Any] = []
    ys: list[Any] = []
    for path in collection.get_paths():
        xs += [*_values(axes.xaxis, path.vertices[:, 0]), None]
        ys += [*_values(axes.yaxis, path.vertices[:, 1]), None]
    return {
        "type": "scatter",
        "mode": "none",
        "fill": "toself",
        "fillcolor": colours.pop(),
        "x": xs[:-1],
        "y": ys[:-1],
        **_named(collection),
    }


def _bars(axes: Any) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    seen: set[int] = set()
    for container in axes.containers:
        if type(container).__name__ == "BarContainer":
            seen.update(id(patch) for patch in container.patches)
            traces.append(_bar(axes, container))
    _demand(all(id(patch) in seen for patch in axes.patches if patch.get_visible()))
    return traces


def _bar(axes: Any, container: Any) -> dict[str, Any]:
    is_flat = container.orientation == "horizontal"
    boxes = [(p.get_x(), p.get_y(), p.get_width(), p.get_height()) for p in container.patches]
    _demand(not any(patch.get_hatch() for patch in container.patches))
    along, across = (axes.yaxis, axes.xaxis) if is_flat else (axes.xaxis, axes.yaxis)
    _demand(not _is_dated(along) and not _is_dated(across))  # widths would be milliseconds
    if is_flat:
        places = [(y + h / 2, w, h, x) for x, y, w, h in boxes]
    else:
        places = [(x + w / 2, h, w, y) for x, y, w, h in boxes]
    middles, lengths, widths, bases = (list(column) for column in zip(*places, strict=True))
    colours = [_colour(patch.get_facecolor()) for patch in container.patches]
    return {
        "type": "bar",
        "orientation": "h" if is_flat else "v",
        "x": lengths if is_flat else middles,
        "y": middles if is_flat else lengths,
        "width": widths,
        "base": bases,
        "marker": {"color": _one_or_all(colours)},
        **_named(container),
    }


def _axis(axes: Any, axis: Any, limits: tuple[float, float], title: str) -> dict[str, Any]:
    scale = axis.get_scale()
    _demand(scale in ("linear", "log"))
    made: dict[str, Any] = {"title": {"text": title}, "visible": bool(axes.axison)}
    if scale == "log":
        import math

        made["type"] = "log"
        made["range"] = [math.log10(limit) for limit in limits]
    else:
        made["range"] = _values(axis, list(limits))
    if _is_dated(axis):
        made["type"] = "date"
        return made
    formatter = axis.get_major_formatter()
    if type(formatter).__name__ not in _USUAL_FORMATTERS:
        low, high = sorted(limits)
        places = [float(at) for at in axis.get_majorticklocs()]
        names = formatter.format_ticks(places)
        shown = [(at, name) for at, name in zip(places, names, strict=True) if low <= at <= high]
        made.update(tickvals=[at for at, _ in shown], ticktext=[name for _, name in shown])
    return made


def _values(axis: Any, values: Iterable[Any]) -> list[Any]:
    """Numbers as the axis has them; moments where it shows dates."""
    found: list[Any] = [None if value is None else float(value) for value in plain(values)]
    if not _is_dated(axis):
        return found
    to_date = sys.modules["matplotlib.dates"].num2date
    return [None if at is None else to_date(at).replace(tzinfo=None).isoformat() for at in found]


def _is_dated(axis: Any) -> bool:
    get = getattr(axis, "get_converter", None)
    converter = get() if callable(get) else getattr(axis, "converter", None)
    if converter is None or type(converter).__name__ == "StrCategoryConverter":
        return False
    # Other libraries count their dates their own way.
    _demand(type(converter).__module__ == "matplotlib.dates")
    return True


def _legend(axes: Any, traces: list[dict[str, Any]]) -> bool:
    legend = axes.get_legend()
    if legend is None:
        return False
    names = {trace["name"] for trace in traces if trace["showlegend"]}
    _demand(all(text.get_text() in names for text in legend.get_texts()))
    return True


def _named(artist: Any) -> dict[str, Any]:
    label = str(artist.get_label() or "")
    is_shown = bool(label) and not label.startswith("_")
    return {"name": label if is_shown else "", "showlegend": is_shown}


def _first(*colours: Any) -> Any:
    return next((c for c in colours if not (isinstance(c, str) and c in _NOTHING)), "black")


def _colour(colour: Any, alpha: float | None = None) -> str:
    red, green, blue, opacity = sys.modules["matplotlib.colors"].to_rgba(colour, alpha)
    parts = ",".join(str(round(part * 255)) for part in (red, green, blue))
    return f"rgba({parts},{round(opacity, 3):g})"


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(set(values)) == 1 else values
