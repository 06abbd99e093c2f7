"""Pyplot: ``plt.show`` records every figure that changed; without a screen it shows none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from dray.sdk.hooks.capture import Arguments, Capture
from dray.sdk.hooks.matplotlib import FAMILY, PICTURES, Figures, is_inline

#: Backends that draw into files and memory; every other one needs a screen.
_WITHOUT_SCREEN = frozenset({"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"})
#: Set on a figure that a script under an agent has shown: at a desk its window would be closed.
_SHOWN = "_dray_shown"
#: What draws on the current figure, or makes one.
_DRAWING = ("gca", "subplot", "axes", "subplot2grid")


class _Asked:
    """What the script wants to draw with."""

    #: Whether it says itself that it draws into files and memory.
    for_files = False


def install(capture: Capture, pyplot: ModuleType) -> None:
    """Watch ``show`` and ``imshow``."""
    helpers = sys.modules["matplotlib._pylab_helpers"]
    showing = report_changed(capture)

    def drawn(*_: Any, **__: Any) -> None:
        manager = helpers.Gcf.get_active()
        if manager is not None:
            figure = manager.canvas.figure
            setattr(figure, PICTURES, int(getattr(figure, PICTURES, 0)) + 1)

    for name in ("matplotlib.pyplot", "matplotlib.pylab", "pylab"):
        module = sys.modules.get(name)
        capture.wrap(module, "show", before=showing, family=FAMILY)
        capture.wrap(module, "imshow", after=drawn)
    if capture.attempt.is_remote:
        _show_as_at_a_desk(capture, pyplot, helpers)


def report_changed(capture: Capture) -> Callable[..., None]:
    """What reports each figure of pyplot that was drawn on since it was reported."""
    figures = Figures.of(capture.attempt)

    def showing(*_: Any, **__: Any) -> None:
        for manager in list(sys.modules["matplotlib._pylab_helpers"].Gcf.figs.values()):
            figure = manager.canvas.figure
            # A notebook has drawn its figures by now; each is shown once, and closed.
            if figure.stale or getattr(figure, PICTURES, 0) or is_inline():
                figures.report(figure)

    return showing


def without_screen(capture: Capture, matplotlib: ModuleType) -> None:
    """Under an agent: draw with ``agg`` whatever the script asks for that needs a screen."""
    if not capture.attempt.is_remote:
        return
    named = os.environ.get("MPLBACKEND", "")
    # A child has the name from its parent, which may have been given it here.
    _Asked.for_files = capture.attempt.is_master and bool(named) and not _needs_screen(named)
    if _needs_screen(named):
        os.environ["MPLBACKEND"] = "agg"  # of processes that the script starts, too
    if "matplotlib.pyplot" not in sys.modules:
        matplotlib.rcParams["backend"] = "agg"
    elif _needs_screen(str(matplotlib.get_backend())):
        sys.modules["matplotlib.pyplot"].switch_backend("agg")

    def agg(backend: Any, *args: Any, **kwargs: Any) -> Arguments:
        _Asked.for_files = not _needs_screen(str(backend))
        return (("agg" if _needs_screen(str(backend)) else backend), *args), kwargs

    capture.wrap(matplotlib, "use", change=agg)


def _show_as_at_a_desk(capture: Capture, pyplot: ModuleType, helpers: ModuleType) -> None:
    """After ``show``, drawing begins a figure: at a desk, the window was closed by then."""

    def shown(*_: Any, **__: Any) -> None:
        for manager in helpers.Gcf.figs.values():
            setattr(manager.canvas.figure, _SHOWN, True)

    def begin_anew(*_: Any, **__: Any) -> None:
        manager = helpers.Gcf.get_active()
        if _Asked.for_files:  # its figures have no windows at a desk either
            return
        if manager is not None and getattr(manager.canvas.figure, _SHOWN, False):
            pyplot.figure()

    capture.wrap(pyplot, "show", after=shown)
    for name in _DRAWING:
        capture.wrap(pyplot, name, before=begin_anew, family="drawing")


def _needs_screen(backend: str) -> bool:
    name = backend.lower()
    return not name.startswith("module://") and name not in _WITHOUT_SCREEN
