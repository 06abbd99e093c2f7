"""Lengths of time as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dray.runtime.durations import seconds, written
from dray.runtime.errors import InvalidInput


@pytest.mark.parametrize(
    ("given", "length_s"),
    [
        ("90s", 90),
        ("2h30m", 9000),
        ("1d", 86400),
        ("1d 2h", 93600),
        (" 1.5H ", 5400),
        ("45", 45),
        (0.5, 0.5),
        (timedelta(minutes=3), 180),
    ],
)
def test_a_duration_is_read_as_seconds(given: str | float | timedelta, length_s: float) -> None:
    assert seconds(given, "max_run_time") == length_s


@pytest.mark.parametrize(
    "given", ["", "soon", "-1", "30m2h", "1w", True, -3, float("inf"), timedelta(days=-1)]
)
def test_what_is_no_duration_is_refused_by_field_and_value(given: str | float) -> None:
    with pytest.raises(InvalidInput, match=r"max_run_time .* write 90s, 2h30m, 1d") as refused:
        seconds(given, "max_run_time")
    assert repr(given) in refused.value.message


@pytest.mark.parametrize("text", ["2h30m", "1d", "1m30s", "0.25s", "0s", "1d1s"])
def test_what_is_written_is_read_again(text: str) -> None:
    assert written(seconds(text, "x")) == text
