"""Tables as plotly draws them, from rows, data frames, CSV files and addresses of such."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.plots.parts import members_of, merged
from dray.sdk.plots.plain import plain

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Any

#: Rows of a table kept; a longer one is an artifact.
ROW_LIMIT = 10_000
#: Bytes of a CSV file that are read.
_CSV_BYTES = 64 << 20
#: How long the server of an address may take.
_URL_WAIT_S = 30.0


def table(
    title: str,
    series: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    extra_layout: Mapping[str, Any] | None = None,
    extra_data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A table of rows below the names of its columns; the first 10,000 rows of a longer one.

    Args:
        title: of the plot.
        series: of the plot.
        columns: their names.
        rows: of values; short ones are filled up.
        extra_layout: more members of plotly's layout.
        extra_data: more members of plotly's table.
    """
    width = max([len(columns), *(len(row) for row in rows[:ROW_LIMIT])], default=0)
    names = [*columns, *[""] * (width - len(columns))]
    cells = [
        [row[at] if at < len(row) else None for row in rows[:ROW_LIMIT]] for at in range(width)
    ]
    trace = {
        "type": "table",
        "header": {"values": names, "align": "left"},
        "cells": {"values": cells, "align": "left"},
    }
    heading = title if series == title else f"{title} / {series}"
    if len(rows) > ROW_LIMIT:
        heading = f"{heading}<br><sup>the first {ROW_LIMIT} of {len(rows)} rows</sup>"
    layout: dict[str, Any] = {"title": {"text": heading}}
    return {
        "data": [merged(trace, members_of("extra_data", extra_data))],
        "layout": merged(layout, members_of("extra_layout", extra_layout)),
    }


def cells_of(value: Any) -> tuple[list[str], list[list[Any]]]:
    """Names of columns, and rows, of whatever is a table.

    Args:
        value: a ``DataFrame`` or ``Series``; an array; rows, of which the first one names the
            columns; dicts, whose keys do. Any: the data frames of several libraries share no
            type.

    Raises:
        WrongType: it holds no rows.
    """
    if hasattr(value, "to_frame") and not hasattr(value, "columns"):
        value = value.to_frame()
    if hasattr(value, "columns") and hasattr(value, "itertuples"):
        return _pandas(value)
    if hasattr(value, "columns") and callable(getattr(value, "iter_rows", None)):  # polars
        return [str(name) for name in value.columns], [_row(row) for row in value.iter_rows()]
    listed: Any = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(listed, (str, bytes, Mapping)) or not isinstance(listed, Iterable):
        raise WrongType(
            f"table_plot must be a DataFrame or rows of values, got {type(value).__name__}",
            field="table_plot",
        )
    rows = list(cast("Iterable[Any]", listed))
    if rows and all(isinstance(row, Mapping) for row in rows):
        names = list(dict.fromkeys(name for row in rows for name in row))
        return [str(name) for name in names], [_row([row.get(n) for n in names]) for row in rows]
    made = [_row(row if _is_row(row) else [row]) for row in rows]
    if not made:
        return [], []
    return ["" if name is None else str(name) for name in made[0]], made[1:]


def cells_of_csv(path: str | os.PathLike[str]) -> tuple[list[str], list[list[Any]]]:
    """The same of a CSV file, whose first line names the columns.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return _csv(file.read(_CSV_BYTES))
    except OSError as exc:
        raise InvalidInput(f"csv {path!r} cannot be read: {exc}", field="csv") from exc


def cells_of_url(url: str) -> tuple[list[str], list[list[Any]]]:
    """The same of a CSV file at an address of the web, which is fetched now.

    Raises:
        InvalidInput: another kind of address, or it cannot be fetched.
    """
    import urllib.request

    if not str(url).startswith(("http://", "https://")):
        raise InvalidInput(
            f"url must begin with http:// or https://, got {url!r}; fetch it yourself and give "
            "the file as csv",
            field="url",
            value=str(url),
        )
    try:
        with urllib.request.urlopen(url, timeout=_URL_WAIT_S) as answer:  # noqa: S310
            return _csv(answer.read(_CSV_BYTES))
    except OSError as exc:
        raise InvalidInput(f"url {url!r} cannot be fetched: {exc}", field="url") from exc


def _csv(data: bytes) -> tuple[list[str], list[list[Any]]]:
    import csv

    lines = csv.reader(data.decode("utf-8-sig", "replace").splitlines())
    try:
        rows = [row for row in lines if row]
    except csv.Error as exc:
        raise InvalidInput(f"not a CSV file: {exc}", field="csv") from exc
    return (rows[0] if rows else []), [[_number(cell) for cell in row] for row in rows[1:]]


def _number(text: str) -> Any:
    for read in (int, float):
        try:
            return _cell(read(text))
        except ValueError:
            continue
    return text


def _pandas(frame: Any) -> tuple[list[str], list[list[Any]]]:
    # The default index only numbers the rows; any other one is columns worth seeing.
    is_default = type(frame.index).__name__ == "RangeIndex"
    columns = [_heading(name) for name in cast("Iterable[Any]", frame.columns)]
    rows = frame.itertuples(index=not is_default, name=None)
    if is_default:
        return columns, [_row(row) for row in rows]
    names = list(getattr(frame.index, "names", None) or [frame.index.name])
    levels = ["" if name is None else str(name) for name in names]
    if len(levels) > 1:
        return [*levels, *columns], [_row([*row[0], *row[1:]]) for row in rows]
    return [*levels, *columns], [_row(row) for row in rows]


def _heading(name: Any) -> str:
    """The name of a column; one of several levels is a tuple."""
    levels = cast("tuple[Any, ...]", name if isinstance(name, tuple) else (name,))
    return " / ".join(map(str, levels))


def _is_row(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes))


def _row(values: Iterable[Any]) -> list[Any]:
    return [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    """A value as a table shows it: a number that is not finite is a word here, no gap."""
    if isinstance(value, float) and value - value != 0.0:
        return "NaN" if value != value else "Inf" if value > 0 else "-Inf"
    made = plain(value) if _is_row(value) or hasattr(value, "tolist") else value
    if made is None and value is not None:
        return "NaN"
    if made is None or isinstance(made, (str, bool, int, float)):
        return plain(made)
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat() if callable(isoformat) else made)
