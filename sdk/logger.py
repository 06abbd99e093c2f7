"""What a script reports while it runs: scalars, text, plots, media; each call is one record.

Part of the child's path: the standard library only, no network, no threads.
"""

from __future__ import annotations

import json
import sys

from dray.runtime.errors import WrongType
from dray.runtime.spool import SpoolWriter
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.reporting.logger_media import MediaReports
from dray.sdk.reporting.logger_plots import PlotReports
from dray.sdk.session import Session

if TYPE_CHECKING:
    from dray.sdk.reporting.log_capture import LogCapture

#: Numbers of the ``logging`` module as words of a text record.
_LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}


class Logger(PlotReports, MediaReports):
    """Reports of one task; calls append to the spool and return at once.

    ``Task.current_task().get_logger()`` or ``Logger.current_logger()`` gives it, the same one
    each time.
    """

    _group_scalars = False
    _single_series_per_graph = False

    def __init__(self, attempt: Session) -> None:
        self._attempt = attempt
        #: ``report_scalar(title, series, value, iteration)``, without the way through here.
        self._scalar = attempt.writer.scalar

    @classmethod
    def of(cls, attempt: Session) -> Logger:
        """The logger of a run; one object for each."""
        if attempt.logger is None:
            attempt.logger = cls(attempt)
        return attempt.logger

    @classmethod
    def current_logger(cls) -> Logger | None:
        """The logger of the running task; None when there is none."""
        attempt = session.current()
        if attempt is None:
            return None
        if attempt.logger is None:
            from dray.sdk.tasks import start as task_start

            task_start.current()  # a process that has asked for nothing yet joins the run
        return cls.of(attempt)

    def report_scalar(self, title: str, series: str, value: float, iteration: int) -> None:
        """Add a point to ``series`` of the chart ``title``.

        NaN and infinities are kept as what they are, gaps in the chart, unless
        :meth:`set_reporting_nan_value` says otherwise. A task that was continued counts on: its
        initial iteration is added to ``iteration``.

        Args:
            title: of the chart; lines of one title are drawn together.
            series: of the line.
            value: a number, or whatever ``float`` takes, such as a tensor of one element.
            iteration: a whole number, the place on the x axis.

        Raises:
            TypeError: title or series is no text, value or iteration no number.
            ValueError: text that is no number, an iteration that is not whole.
        """
        if self._attempt.initial_iteration:
            iteration = self._counted(iteration)
        self._scalar(title, series, iteration, value)

    def report_single_value(self, name: str, value: float) -> None:
        """Set a number of the task's summary; the last one stays.

        Raises:
            TypeError: the name is no text, or the value no number.
            ValueError: the value is text that is no number.
        """
        from dray.sdk.plots import plain

        name = plain.text("name", name)
        number = plain.number(f"value of {name!r}", value)
        if number - number != 0.0:
            number = float(json.loads(SpoolWriter.text_of_not_finite(number)))
        self._attempt.record("single", name=name, v=number)
        self._attempt.task.setdefault("single_values", {})[name] = number

    def report_text(
        self, msg: object, level: int | str = 20, print_console: bool = True, *args: object
    ) -> None:
        """Log a message.

        Args:
            msg: what to say; made text.
            level: of the ``logging`` module, or its name.
            print_console: False: keep it in the console of the task without showing it here.
            args: put into ``msg`` where it says ``%s``, as ``logging`` does.

        Raises:
            TypeError: ``level`` is neither a number nor text; ``args`` that do not fit.
        """
        message = str(msg) % args if args else str(msg)
        self._attempt.record("text", level=_word_of(level), message=message)
        if print_console:
            print(message)
        else:
            self._say_silently(f"{message}\n")

    def flush(self, wait: bool = False) -> bool:
        """Nothing waits in this process: each report is in the spool when its call returns.

        Args:
            wait: as without it; uploads belong to another process, which outlives this one.

        Returns:
            True.
        """
        del wait
        return True

    def set_flush_period(self, period: float | None) -> None:
        """Nothing to set: no report waits for a period to be over. Kept for scripts that call it.

        Args:
            period: seconds; not used.
        """
        del period

    def get_flush_period(self) -> float | None:
        """None: there is no period."""
        return None

    def capture_logging(self) -> LogCapture:
        """``with logger.capture_logging():`` keeps what ``logging`` says as texts of the task.

        They have their level, and what no handler prints is kept too.
        """
        from dray.sdk.reporting.log_capture import LogCapture

        return LogCapture(self._attempt.record, self._say_silently)

    @classmethod
    def set_reporting_nan_value(cls, value: float, warn_period: int = 1000) -> None:
        """Report ``value`` where a script reports NaN, from now on in this process.

        Without this call NaN is kept: a chart shows a gap, and that a loss became NaN can be
        seen.

        Args:
            value: a number; NaN again for NaN.
            warn_period: a line on stderr says so for each so many replaced values.

        Raises:
            TypeError: one of them is no number.
        """
        from dray.sdk.reporting import not_finite

        not_finite.replace("nan", value, warn_period)

    @classmethod
    def set_reporting_inf_value(cls, value: float, warn_period: int = 1000) -> None:
        """The same for infinity, of either sign."""
        from dray.sdk.reporting import not_finite

        not_finite.replace("inf", value, warn_period)

    @classmethod
    def tensorboard_auto_group_scalars(cls, group_scalars: bool = False) -> None:
        """Put scalars of TensorBoard whose tag has no ``/`` in one chart called ``Scalars``.

        Args:
            group_scalars: False: each has a chart of its own name.
        """
        cls._group_scalars = bool(group_scalars)

    @classmethod
    def tensorboard_single_series_per_graph(cls, single_series: bool = False) -> None:
        """Give each scalar of TensorBoard a chart of its own, whatever its tag.

        Args:
            single_series: False: tags that share what is before the last ``/`` share a chart.
        """
        cls._single_series_per_graph = bool(single_series)

    @classmethod
    def tensorboard_names(cls, tag: str) -> tuple[str, str]:
        """Title and series of a tag of TensorBoard, as the two calls above say."""
        head, slash, tail = tag.rpartition("/")
        if not slash:
            return ("Scalars", tag) if cls._group_scalars else (tag, tag)
        title = head.replace("/", "_").strip("_") or tail
        return (f"{title}/{tail}", tail) if cls._single_series_per_graph else (title, tail)

    def _say_silently(self, text: str) -> None:
        """Keep a line of the console; under an agent nobody looks on, so that is printing it."""
        if self._attempt.is_remote:
            sys.stdout.write(text)
        else:
            from dray.sdk.reporting import streams

            streams.keep(text)

    def _counted(self, iteration: int) -> int:
        """``iteration`` as the task counts; what is no number is left for the spool to refuse."""
        try:
            step = int(iteration or 0)
            is_whole = float(iteration or 0) == step
            return step + self._attempt.initial_iteration if is_whole else iteration
        except (TypeError, ValueError, OverflowError):
            return iteration


def _word_of(level: object) -> str:
    if isinstance(level, str):
        word = level.strip().lower()
        return _word_of(int(word)) if word.isdigit() else word
    if not isinstance(level, (int, float)):
        raise WrongType(
            f"level must be a number or name of the logging module, got {level!r}", field="level"
        )
    # A level between two of them is the lower one, as filters see it.
    lower = [number for number in _LEVELS if number <= level]
    return _LEVELS[max(lower)] if lower else "debug"
