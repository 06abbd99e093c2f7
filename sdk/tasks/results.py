"""The part of ``Task`` that reads back what was reported, in the shapes ClearML users know."""

from __future__ import annotations

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dray.runtime.answers import Series
    from dray.sdk.client import Client

    Scalars = dict[str, dict[str, dict[str, Any]]]

#: Most points of a series the server gives thinned.
ALL_POINTS = 100_000
#: Where single values are in a summary of all scalars.
SUMMARY = "Summary"
#: Bytes of console asked for, for each report that is wanted.
_REPORT_BYTES = 64 << 10
_X_AXES = ("iter", "timestamp", "iso_time")


class TaskResults(TaskBase):
    """What was reported, as the server has it; of the running task all of it, up to the call."""

    def get_reported_scalars(self, max_samples: int = 0, x_axis: str = "iter") -> Scalars:
        """Scalars as ``{title: {series: {"name": series, "x": [...], "y": [...]}}}``.

        Args:
            max_samples: most points of a series, thinned so that peaks stay; 0: all, up to
                100,000.
            x_axis: what ``x`` is: ``iter``, ``timestamp`` (milliseconds since the epoch) or
                ``iso_time`` (text, in UTC).

        Raises:
            InvalidInput: another axis (it is a ``ValueError``).
            ServerUnreachable: nobody answers.
        """
        x_of = _axis(x_axis)
        wanted = _whole("max_samples", max_samples)
        limit = min(max(2, wanted), ALL_POINTS) if wanted else ALL_POINTS
        found = self._server().scalars(self.id, max_points=limit)
        n_last = max(1, wanted) if wanted else 0
        return {
            title: {name: _as_dict(name, points, x_of, n_last) for name, points in series.items()}
            for title, series in found.items()
        }

    def get_all_reported_scalars(self, x_axis: str = "iter") -> Scalars:
        """Every point of every scalar, in the shape of :meth:`get_reported_scalars`.

        Args:
            x_axis: what ``x`` is, likewise.

        Raises:
            InvalidInput: another axis (it is a ``ValueError``).
            ServerUnreachable: nobody answers.
        """
        x_of, client = _axis(x_axis), self._server()
        found = client.scalars(self.id, max_points=ALL_POINTS)
        # What was thinned keeps more than half of what one series may have in an answer.
        longest = max((len(p.values) for s in found.values() for p in s.values()), default=0)
        answer: Scalars = {}
        for title, series in found.items():
            for name, points in series.items():
                is_sure = len(points.values) <= longest // 2
                whole = points if is_sure else client.points(self.id, title, name)
                answer.setdefault(title, {})[name] = _as_dict(name, whole, x_of)
        return answer

    def get_last_scalar_metrics(self) -> dict[str, dict[str, dict[str, float]]]:
        """Summary of each series: ``{title: {series: {"last", "min", "max"}}}``.

        Of finite values alone. Single values are under the title ``Summary``.
        """
        self._reload_settled()
        metrics: dict[str, dict[str, dict[str, Any]]] = self._data.get("metrics") or {}
        singles: dict[str, float] = self._data.get("single_values") or {}
        found: dict[str, dict[str, dict[str, float]]] = {
            title: {
                name: {"last": one["last"], "min": one["min"], "max": one["max"]}
                for name, one in series.items()
            }
            for title, series in metrics.items()
        }
        for name, value in singles.items():
            summary = {"last": value, "min": value, "max": value}
            found.setdefault(SUMMARY, {}).setdefault(name, summary)
        return found

    def get_reported_single_values(self) -> dict[str, float]:
        """Numbers of the summary, as ``report_single_value`` left them."""
        self._reload_settled()
        return dict(self._data.get("single_values") or {})

    def get_reported_single_value(self, name: str) -> float | None:
        """One number of the summary; None when there is none by that name."""
        return self.get_reported_single_values().get(name)

    def get_reported_plots(self, max_iterations: int | None = None) -> list[dict[str, Any]]:
        """Reported plots, the latest iterations first, each as an event of ClearML.

        Members are ``metric`` (title), ``variant`` (series), ``iter``, ``plot_str`` (JSON of a
        plotly figure), ``plot_len``, ``timestamp`` (milliseconds since the epoch),
        ``@timestamp``, ``type``, ``task`` and ``worker``.

        Args:
            max_iterations: so many of the latest iterations of each series; None: the latest.

        Raises:
            InvalidInput: less than 1.
        """
        from dray.sdk.tasks import result_events

        n_last = _count("max_iterations", max_iterations, unless=1)
        plots = self._server().plots(self.id, max_iterations=n_last)
        return [result_events.plot_event(self.id, self._worker(), plot) for plot in plots]

    def get_debug_samples(
        self, title: str, series: str, n_last_iterations: int | None = None
    ) -> list[dict[str, Any]]:
        """Debug samples of one series, the latest iterations first, each as an event of ClearML.

        Members are ``metric`` (title), ``variant`` (series), ``iter``, ``url``, ``key`` (name of
        the file), ``timestamp`` (milliseconds since the epoch), ``@timestamp``, ``type``,
        ``task`` and ``worker``. ``StorageManager.get_local_copy`` takes the ``url``.

        Args:
            title: of the samples.
            series: of the samples; one that is not there has none.
            n_last_iterations: so many of the latest; None or 0: all that are kept.

        Raises:
            WrongType: it is no whole number, or below 0 (it is a ``TypeError``).
        """
        from dray.sdk.tasks import result_events

        wanted = _whole("n_last_iterations", n_last_iterations or 0)
        if wanted < 0:
            raise WrongType(
                f"n_last_iterations must be 0 or more, not {wanted}", field="n_last_iterations"
            )
        client = self._server()
        found = client.media(self.id, title=title, series=series, max_iterations=wanted or None)
        return [
            result_events.sample_event(self.id, self._worker(), one, client.url) for one in found
        ]

    def get_reported_console_output(self, number_of_reports: int = 1) -> list[str]:
        """The last reports of the console, oldest first, each as a terminal shows it.

        A report is what one stream brought at a time. Progress bars are one line in it, and a
        line in brackets says so where output is not stored.

        Args:
            number_of_reports: so many at most.
        """
        from dray.runtime.console_text import lines_of_pieces

        wanted = max(1, number_of_reports)
        page = self._handle.client().console(self.id, tail_bytes=wanted * _REPORT_BYTES)
        return [
            "".join(f"{line.text}\n" for line in lines_of_pieces([piece]))
            for piece in page.pieces[-wanted:]
        ]

    def _server(self) -> Client:
        """The client, once the server has what this process reported so far."""
        client = self._handle.client()
        attempt = self._attempt
        if attempt is not None:
            from dray.sdk.tasks.arrival import await_records

            await_records(attempt, client)
        return client

    def _reload_settled(self) -> None:
        self._server()
        self._handle.reload()

    def _worker(self) -> str:
        """Who runs it, or ran it last."""
        attempt: dict[str, Any] = self._data.get("attempt") or {}
        return str(attempt.get("agent") or "")


def _axis(x_axis: str) -> Callable[[int, float], Any]:
    """What ``x`` is of an iteration and a time in seconds; whatever it is, it has an order."""
    if x_axis == "iter":
        return lambda iteration, _at: iteration
    if x_axis == "timestamp":
        return lambda _iteration, at: round(at * 1000)
    if x_axis == "iso_time":
        from dray.sdk.tasks.result_events import iso_time

        return lambda _iteration, at: iso_time(at)
    raise InvalidInput(
        f"x_axis {x_axis!r} is none of {', '.join(map(repr, _X_AXES))}", field="x_axis"
    )


def _as_dict(
    name: str, points: Series, x_of: Callable[[int, float], Any], n_last: int = 0
) -> dict[str, Any]:
    """One series; what was reported again for an iteration counts.

    Args:
        n_last: the last so many points; 0: all.
    """
    by_iteration = dict(
        zip(points.iterations, zip(points.values, points.times, strict=True), strict=True)
    )
    found = [(x_of(i, at), value) for i, (value, at) in by_iteration.items()]
    found.sort(key=_first)  # times need not follow the iterations
    kept = found[-n_last:]
    return {"name": name, "x": [x for x, _ in kept], "y": [y for _, y in kept]}


def _first(pair: tuple[Any, float]) -> Any:
    return pair[0]


def _count(name: str, value: int | None, *, unless: int) -> int:
    number = unless if value is None else _whole(name, value)
    if number < 1:
        raise InvalidInput(f"{name} must be 1 or more, not {number}", field=name)
    return number


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int):
        raise WrongType(f"{name} must be a whole number, not {value!r}", field=name)
    return value
