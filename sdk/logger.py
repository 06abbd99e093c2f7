"""What a script reports while it runs: scalars, text, tables; each call is one record.

Part of the child's path: the standard library only, no network, no threads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from dray.runtime.errors import InvalidInput
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.session import Session

if TYPE_CHECKING:
    from typing import Any

#: Rows of a table kept; a longer one is an artifact.
TABLE_ROW_LIMIT = 10_000
#: Numbers of the ``logging`` module as words of a text record.
_LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}


class Logger:
    """Reports of one task; calls append to the spool and return at once."""

    def __init__(self, attempt: Session) -> None:
        self._attempt = attempt
        #: ``report_scalar(title, series, value, iteration)``, without the way through here.
        self._scalar = attempt.writer.scalar

    @classmethod
    def current_logger(cls) -> Logger | None:
        """The logger of the running task; None when there is none."""
        attempt = session.current()
        return None if attempt is None else cls(attempt)

    def report_scalar(self, title: str, series: str, value: float, iteration: int) -> None:
        """Add a point to ``series`` of the chart ``title``.

        A task that was continued counts on: its initial iteration is added to ``iteration``.

        Raises:
            InvalidInput: value or iteration is no number.
        """
        if self._attempt.initial_iteration:
            iteration = self._counted(iteration)
        self._scalar(title, series, iteration, value)

    def report_single_value(self, name: str, value: float) -> None:
        """Set a number of the task's summary; the last one stays."""
        try:
            number = float(value)
        except (TypeError, ValueError) as exc:
            raise InvalidInput(
                f"single value {name!r}: {value!r} is not a number", field="value"
            ) from exc
        self._attempt.record("single", name=str(name), v=number)
        self._attempt.task.setdefault("single_values", {})[str(name)] = number

    def report_text(self, msg: object, level: int | str = 20, print_console: bool = True) -> None:
        """Log a message.

        Args:
            msg: what to say; made text.
            level: of the ``logging`` module, or its name.
            print_console: also print it.
        """
        word = _LEVELS.get(level, str(level)) if isinstance(level, int) else level.lower()
        self._attempt.record("text", level=word, message=str(msg))
        if print_console:
            print(msg, file=sys.stdout)

    def report_table(
        self,
        title: str,
        series: str,
        iteration: int = 0,
        table_plot: Any = None,
    ) -> None:
        """Show a table.

        Args:
            title: of the plot.
            series: of the plot; the same title, series and iteration replace each other.
            iteration: step it belongs to.
            table_plot: a ``DataFrame``, or rows whose first one names the columns. Any: the
                data frames of several libraries share no type.
        """
        columns, rows = _table(table_plot)
        if len(rows) > TABLE_ROW_LIMIT:
            raise InvalidInput(
                f"table {title!r}/{series!r} has {len(rows)} rows, over the limit of "
                f"{TABLE_ROW_LIMIT}; upload it as an artifact",
                field="table_plot",
            )
        self._plot(title, series, iteration, "table", {"columns": columns, "rows": rows})

    def report_confusion_matrix(
        self,
        title: str,
        series: str,
        matrix: Sequence[Sequence[float]] | Any,
        iteration: int = 0,
        xaxis: str = "",
        yaxis: str = "",
        xlabels: Iterable[object] | None = None,
        ylabels: Iterable[object] | None = None,
    ) -> None:
        """Show a matrix as a heat map.

        Args:
            title: of the plot.
            series: of the plot.
            matrix: rows of numbers, top row first; a NumPy array will do.
            iteration: step it belongs to.
            xaxis: what the columns are.
            yaxis: what the rows are.
            xlabels: a name for each column.
            ylabels: a name for each row.
        """
        rows = [[_cell(value) for value in row] for row in _rows(matrix)]
        if any(len(row) != len(rows[0]) for row in rows):
            raise InvalidInput(
                f"matrix {title!r}/{series!r} has rows of different lengths", field="matrix"
            )
        data = {
            "matrix": rows,
            "xaxis": xaxis,
            "yaxis": yaxis,
            "xlabels": [str(label) for label in xlabels or ()],
            "ylabels": [str(label) for label in ylabels or ()],
        }
        self._plot(title, series, iteration, "confusion_matrix", data)

    def flush(self, wait: bool = False) -> bool:
        """Nothing waits in this process: each report is in the spool when its call returns."""
        del wait
        return True

    def _counted(self, iteration: int) -> int:
        """``iteration`` as the task counts; what is no number is left for the spool to refuse."""
        try:
            return int(iteration) + self._attempt.initial_iteration
        except (TypeError, ValueError, OverflowError):
            return iteration

    def _plot(self, title: str, series: str, iteration: int, kind: str, data: Any) -> None:
        self._attempt.record(
            "plot",
            title=str(title),
            series=str(series),
            i=int(self._counted(iteration)),
            type=kind,
            data=data,
        )


def _table(table: Any) -> tuple[list[str], list[list[Any]]]:
    if table is None:
        raise InvalidInput("give the rows or the DataFrame as table_plot", field="table_plot")
    if hasattr(table, "columns") and hasattr(table, "itertuples"):
        return _frame(table)
    rows = [[_cell(value) for value in row] for row in _rows(table)]
    if not rows:
        return [], []
    return [str(name) for name in rows[0]], rows[1:]


def _frame(frame: Any) -> tuple[list[str], list[list[Any]]]:
    # The default index only numbers the rows; any other one is a column worth seeing.
    is_default = type(frame.index).__name__ == "RangeIndex"
    columns = [str(name) for name in frame.columns]
    if not is_default:
        columns = [str(frame.index.name or ""), *columns]
    rows = frame.itertuples(index=not is_default, name=None)
    return columns, [[_cell(value) for value in row] for row in rows]


def _rows(table: Any) -> Iterable[Iterable[Any]]:
    values = table.tolist() if hasattr(table, "tolist") else table
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise InvalidInput(
            f"expected rows of values, got {type(table).__name__}", field="table_plot"
        )
    return cast("Iterable[Iterable[Any]]", values)


def _cell(value: Any) -> Any:
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", 1) == 0:
        value = item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return str(value)
