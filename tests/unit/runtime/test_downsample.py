"""Fewer points that look the same: bounds, ends, extremes."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from dray.runtime.downsample import lttb, min_max

numbers = st.floats(-1e6, 1e6)
series = st.lists(numbers, max_size=300)
holed = st.lists(st.none() | st.just(math.nan) | numbers, max_size=200)
limits = st.integers(-1, 60)


def check_indices(kept: list[int], n_points: int, limit: int) -> None:
    assert len(kept) <= max(limit, 2)
    assert kept == sorted(set(kept))
    assert all(0 <= i < n_points for i in kept)
    if n_points:
        assert kept[0] == 0
        assert kept[-1] == n_points - 1


@given(holed, limits)
def test_min_max_keeps_the_ends_and_the_bound(values: list[float | None], limit: int) -> None:
    check_indices(min_max(values, limit), len(values), limit)


@given(series, st.integers(4, 60))
def test_min_max_keeps_the_extremes(values: list[float], limit: int) -> None:
    kept = [values[i] for i in min_max(values, limit)]
    if values:
        assert (min(kept), max(kept)) == (min(values), max(values))


def test_min_max_keeps_a_single_spike_among_many() -> None:
    values = [0.0] * 100_000
    values[77_777] = 1.0
    assert 77_777 in min_max(values, 100)


@given(series, limits)
def test_lttb_keeps_the_ends_and_the_bound(values: list[float], limit: int) -> None:
    kept = lttb([float(i) for i in range(len(values))], values, limit)
    check_indices(kept, len(values), limit)


@given(series, st.integers(3, 60))
def test_lttb_uses_what_it_is_given(values: list[float], limit: int) -> None:
    kept = lttb([float(i) for i in range(len(values))], values, limit)
    assert len(kept) == min(limit, len(values))


def test_lttb_keeps_the_corner_of_a_line() -> None:
    values = [float(min(i, 500)) for i in range(1000)]
    assert any(abs(i - 500) <= 10 for i in lttb([float(i) for i in range(1000)], values, 20))


def test_what_is_short_enough_stays_as_it_is() -> None:
    assert min_max([3.0, None, 1.0], 3) == [0, 1, 2]
    assert lttb([0, 1, 2], [3.0, 2.0, 1.0], 3) == [0, 1, 2]
    assert min_max([], 5) == lttb([], [], 5) == []
