"""How TensorBoard's tags become titles and series, and what becomes of a second writer's."""

from __future__ import annotations

import os
import re
import threading
from typing import ClassVar

from dray.sdk.logger import Logger
from dray.sdk.session import Session

#: A step below this part of the last one begins to count anew.
_ANEW = 0.9
_UNFIT = re.compile(r"[^-/\w.]")


class Names:
    """The names of one run, shared by all writers of the process.

    A tag is split at ``/``: the last part is the series, the rest, joined by ``_``, the title.
    Samples keep up to three parts for the series. The first writer of a title and series has it;
    a second one gets what is its own in its log directory beside it.
    """

    _current: ClassVar[tuple[Session | None, Names | None]] = (None, None)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[tuple[str, str], str] = {}
        self._known: dict[tuple[str, str, str], tuple[str, str]] = {}
        self._steps: dict[tuple[str, str], tuple[int, int]] = {}

    @classmethod
    def of(cls, attempt: Session) -> Names:
        """The names of ``attempt``; a new run begins with none taken."""
        known, names = cls._current
        if names is None or known is not attempt:
            names = cls()
            cls._current = (attempt, names)
        return names

    def scalar(self, logdir: str, tag: str) -> tuple[str, str]:
        """Title and series of a scalar."""
        known = self._known.get(("scalar", logdir, tag))
        return known or self._remember("scalar", logdir, tag, self._new_scalar(logdir, tag))

    def histogram(self, logdir: str, tag: str) -> tuple[str, str]:
        """Title and series of a histogram."""
        known = self._known.get(("histogram", logdir, tag))
        if known:
            return known
        title, series = _split(tag, 1, "Histograms")
        mine = self._owned(logdir, title, series, "{series} :{own}")
        return self._remember("histogram", logdir, tag, mine)

    def sample(self, logdir: str, tag: str, default: str) -> tuple[str, str]:
        """Title and series of an image, a sound or a text; ``default`` is the title without one."""
        known = self._known.get((default, logdir, tag))
        if known:
            return known
        title, series = _split(tag, max(1, min(3, tag.count("/"))), default)
        mine = self._owned(logdir, title, series, "{title} {own}")
        return self._remember(default, logdir, tag, mine)

    def step(self, title: str, series: str, step: int) -> int:
        """``step``, or beyond the last one where a script counts anew in each epoch."""
        last, added = self._steps.get((title, series), (step, 0))
        if step < last * _ANEW:
            added += last + max(1, step)
        self._steps[title, series] = (step, added)
        return step + added

    def _new_scalar(self, logdir: str, tag: str) -> tuple[str, str]:
        part = _part_of_scalars(logdir, tag)
        if part:
            return tag.replace("/", "_"), part
        return self._owned(logdir, *Logger.tensorboard_names(tag), "{own}: {series}")

    def _owned(self, logdir: str, title: str, series: str, form: str) -> tuple[str, str]:
        """The pair, changed by ``form`` where another log directory has it already."""
        logdir = logdir.replace(os.sep, "/")
        with self._lock:
            owner = self._owners.setdefault((title, series), logdir)
            if owner == logdir:
                return title, series
            theirs = set(owner.split("/"))
            own = "/".join(part for part in logdir.split("/") if part not in theirs) or logdir
            pair = _formed(form, title, series, own)
            if self._owners.setdefault(pair, logdir) != logdir:
                pair = _formed(form, title, series, logdir)
            return pair

    def _remember(self, kind: str, logdir: str, tag: str, pair: tuple[str, str]) -> tuple[str, str]:
        self._known[kind, logdir, tag] = pair
        return pair


def _split(tag: str, n_last: int, default: str) -> tuple[str, str]:
    parts = tag.split("/")
    return "_".join(parts[:-n_last]) or default, "_".join(parts[-n_last:])


def _formed(form: str, title: str, series: str, own: str) -> tuple[str, str]:
    changed = form.format(title=title, series=series, own=own)
    return (changed, series) if form.startswith("{title}") else (title, changed)


def _part_of_scalars(logdir: str, tag: str) -> str:
    """The name within ``add_scalars``, which has a log directory below the writer's for each.

    PyTorch calls it ``<tag>_<name>``, with ``_`` for each ``/``, tensorboardX ``<tag>/<name>``.
    """
    above, _, folder = logdir.replace(os.sep, "/").rstrip("/").rpartition("/")
    if f"{above}/".endswith(f"/{tag}/"):
        return folder
    prefix = _UNFIT.sub("_", tag).replace("/", "_") + "_"
    return folder[len(prefix) :] if folder.startswith(prefix) else ""
