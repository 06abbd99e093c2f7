"""Matplotlib: figures that are shown or saved are plots of the task; pictures debug samples."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any, ClassVar

from dray.runtime.errors import DrayError
from dray.sdk.hooks.capture import Capture
from dray.sdk.hooks.watch import tell_once
from dray.sdk.session import Session

FAMILY = "figure"
#: Figures without a title are numbered, up to so many; then the first one is replaced.
N_UNTITLED = 100
#: Set on a figure: how often ``pyplot.imshow`` has drawn on it since it was reported.
PICTURES = "_dray_pictures"


def install(capture: Capture, module: ModuleType) -> None:
    """Watch ``Figure.savefig`` and ``Figure.show`` of ``module``, ``matplotlib.figure``."""
    figures = Figures.of(capture.attempt)

    def saved(_: Any, figure: Any, fname: Any = None, *__: Any, **___: Any) -> None:
        if isinstance(fname, (str, os.PathLike)):
            figures.report(figure)

    def shown(figure: Any, *_: Any, **__: Any) -> None:
        figures.report(figure)

    capture.wrap(module.Figure, "savefig", after=saved, family=FAMILY)
    capture.wrap(module.Figure, "show", before=shown, family=FAMILY)


class Figures:
    """The figures of one run: how they are called, and where they belong."""

    _current: ClassVar[tuple[Session | None, Figures | None]] = (None, None)

    def __init__(self, attempt: Session) -> None:
        self._attempt = attempt
        self._n_untitled = {"plot": 0, "picture": 0}
        #: Title → the iteration it came at last, and how often it did there.
        self._titles: dict[str, tuple[int, int]] = {}

    @classmethod
    def of(cls, attempt: Session) -> Figures:
        """The figures of ``attempt``."""
        known, figures = cls._current
        if figures is None or known is not attempt:
            figures = cls(attempt)
            cls._current = (attempt, figures)
        return figures

    def report(self, figure: Any) -> None:
        """Record ``figure``, unless the script itself has reported it through its logger."""
        from dray.sdk.plots import matplotlib_figures as plots_matplotlib

        figure = plots_matplotlib.figure_of(figure)
        if plots_matplotlib.is_reported(figure) or not figure.axes:
            return
        n_pictures = int(getattr(figure, PICTURES, 0))
        iteration = self._iteration()
        title = self._title(plots_matplotlib.title_of(figure), iteration, bool(n_pictures))
        try:
            plots_matplotlib.record_figure(
                self._attempt,
                figure,
                title,
                "plot image" if n_pictures else "plot",
                iteration,
                report_image=bool(n_pictures),
            )
        except DrayError as exc:  # one figure that cannot be drawn is no reason to lose others
            tell_once(f"figure {title}", f"figure {title!r} was not recorded: {exc}")
        setattr(figure, PICTURES, max(0, n_pictures - 1))
        if not _redraws(figure):
            # Nobody else draws it, so it would count as changed each time others are shown.
            figure.stale = False

    def _iteration(self) -> int:
        """The step the script has come to: that of its last scalar."""
        from dray.sdk.tasks import iterations as task_iterations

        came_to = task_iterations.last_recorded(self._attempt)
        return max(0, came_to - self._attempt.initial_iteration)

    def _title(self, title: str, iteration: int, is_picture: bool) -> str:
        """A title that no other figure of the same iteration has."""
        if not title:
            kind = "picture" if is_picture else "plot"
            number, self._n_untitled[kind] = self._n_untitled[kind], self._n_untitled[kind] + 1
            return f"untitled {number % N_UNTITLED:02d}"
        at, n_before = self._titles.get(title, (iteration, -1))
        n_before = n_before + 1 if at == iteration else 0
        self._titles[title] = (iteration, n_before)
        return f"{title}/{n_before}" if n_before else title


def is_inline() -> bool:
    """Whether a notebook shows figures, each in the cell that has drawn it."""
    return "inline" in str(sys.modules["matplotlib"].get_backend())


def _redraws(figure: Any) -> bool:
    """Whether its canvas has a window that draws it anew once it is stale."""
    return bool(getattr(figure.canvas, "required_interactive_framework", None))
