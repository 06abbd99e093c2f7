"""Figures of matplotlib as plots: interactive where they are simple, as a picture otherwise.

The figure is drawn by the matplotlib that made it; nothing of it is imported here. What is read
from the axes is checked artist by artist: one that the conversion does not know makes the whole
figure a picture, so that nothing of it goes missing silently.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from dray.runtime.errors import InvalidInput, WrongType
from dray.runtime.spool import RECORD_LIMIT_BYTES
from dray.sdk.plots import axes as plots_axes
from dray.sdk.plots import reports

if TYPE_CHECKING:
    from dray.sdk.session import Session

#: Dots per inch a picture is drawn with, and what is tried when it gets too large.
_DPI = (150, 75, 36)
#: What a figure held when the script reported it: showing that later is no second report.
_REPORTED = "_dray_reported"
#: ``Logger.matplotlib_force_report_non_interactive``: figures of this process stay pictures.
_forced: dict[str, bool] = {"picture": False}


def force_pictures(force: bool) -> None:
    """Keep every figure of this process as a picture, or not."""
    _forced["picture"] = bool(force)


def is_reported(figure: Any) -> bool:
    """Whether the script itself has reported ``figure`` as it is by a call of the logger.

    One that it drew more into, or cleared and used again, is another one.
    """
    drawn = figure_of(figure)
    return getattr(drawn, _REPORTED, None) == _artists(drawn)


def record_figure(
    attempt: Session,
    figure: Any,
    title: str,
    series: str,
    iteration: int | None = None,
    *,
    report_image: bool = False,
    report_interactive: bool = True,
    is_explicit: bool = False,
    max_history: int | None = None,
) -> None:
    """Record a figure of matplotlib.

    Args:
        attempt: the run that reports.
        figure: a ``Figure``, ``Axes`` or ``matplotlib.pyplot``. Any: matplotlib is the user's.
        title: of the plot; see :func:`title_of` where the user gave none.
        series: of the plot.
        iteration: step it belongs to; None is 0.
        report_image: keep it among the debug samples, as a PNG file.
        report_interactive: convert it where that is possible without loss.
        is_explicit: the script asked for it; then hooks leave the figure alone.
        max_history: newest samples kept of the title and series, with ``report_image``.

    Raises:
        WrongType: no figure, or a title that is no text.
        InvalidInput: matplotlib cannot draw it.
    """
    drawn = figure_of(figure)
    if is_explicit:
        setattr(drawn, _REPORTED, _artists(drawn))
    if report_image:
        from dray.sdk.reporting import media

        data = _png(drawn, _DPI[0])
        media.put_bytes(attempt, title, series, iteration, data, ".png", max_history=max_history)
        return
    converted: dict[str, Any] | None = None
    if report_interactive and not _forced["picture"]:
        converted = plots_axes.converted(drawn)
    reports.put_plot(attempt, title, series, iteration, converted or picture(drawn, series))


def title_of(figure: Any) -> str:
    """What the figure calls itself: its title, that of its axes, or of its window."""
    drawn = figure_of(figure)
    suptitle = getattr(drawn, "_suptitle", None)
    texts = [suptitle.get_text() if suptitle is not None else ""]
    texts += [axes.get_title() for axes in drawn.axes[:1]]
    return next((text.strip() for text in texts if text and text.strip()), "")


def figure_of(figure: Any) -> Any:
    """The figure behind a figure, axes, or ``matplotlib.pyplot``.

    Raises:
        WrongType: there is none.
    """
    if callable(getattr(figure, "gcf", None)):
        figure = figure.gcf()
    elif not hasattr(figure, "savefig"):
        figure = getattr(figure, "figure", figure)
    if not (hasattr(figure, "savefig") and hasattr(figure, "axes")):
        raise WrongType(
            f"figure must be a matplotlib figure or pyplot, got {type(figure).__name__}",
            field="figure",
        )
    return figure


def _artists(figure: Any) -> list[list[int]]:
    return [[id(artist) for artist in axes.get_children()] for axes in figure.axes]


def picture(figure: Any, title: str = "") -> dict[str, Any]:
    """A plot that is nothing but the figure's picture, held in itself."""
    data = b""
    for dpi in _DPI:
        data = _png(figure, dpi)
        if len(data) * 4 // 3 < RECORD_LIMIT_BYTES - (64 << 10):
            break
    # Width and height stand at a fixed place of a PNG's head.
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    image = {
        "source": source,
        "xref": "x",
        "yref": "y",
        "x": 0,
        "y": height,
        "sizex": width,
        "sizey": height,
        "sizing": "contain",
        "layer": "below",
    }
    return {
        "data": [],
        "layout": {
            "title": {"text": title},
            "xaxis": {"visible": False, "range": [0, width]},
            "yaxis": {"visible": False, "range": [0, height], "scaleanchor": "x"},
            "margin": {"l": 0, "r": 0, "t": 64, "b": 0},
            "showlegend": False,
            "images": [image],
        },
    }


def _png(figure: Any, dpi: int) -> bytes:
    buffer = io.BytesIO()
    try:
        # The function that ``savefig`` calls: a hook on that one is not to see this.
        figure.canvas.print_figure(
            buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.1
        )
    except Exception as exc:  # artists of any library draw themselves here
        raise InvalidInput(
            f"matplotlib cannot draw the figure: {type(exc).__name__}: {exc}", field="figure"
        ) from exc
    return buffer.getvalue()
