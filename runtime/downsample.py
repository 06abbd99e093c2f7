"""Fewer points that look the same: min-max for spikes, largest triangles for shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast


def min_max(values: Sequence[float | None], limit: int) -> list[int]:
    """Indices of at most ``limit`` points that keep every extreme of every stretch.

    First and last point are always among them. Values that are None or not finite are kept
    only where a stretch has nothing else. The way oscilloscopes do it: one low and one high
    for each stretch.

    Args:
        values: of the points, in order.
        limit: how many points may stay; less than 2 counts as 2.
    """
    n_points, limit = len(values), max(2, limit)
    if n_points <= limit:
        return list(range(n_points))
    kept = {0, n_points - 1}
    n_buckets = (limit - 2) // 2
    for bucket in range(n_buckets):
        start = 1 + bucket * (n_points - 2) // n_buckets
        end = 1 + (bucket + 1) * (n_points - 2) // n_buckets
        if start < end:
            kept.update(start + i for i in _extremes(values[start:end]))
    return sorted(kept)


def _extremes(values: Sequence[float | None]) -> tuple[int, ...]:
    """Indices of the first lowest and the first highest; of the first where none is finite."""
    try:
        total = sum(cast("Sequence[float]", values))
    except TypeError:
        total = math.nan
    if math.isfinite(total):  # then all are, and C can look for them
        numbers = cast("list[float]", values)
        return numbers.index(min(numbers)), numbers.index(max(numbers))
    finite = [i for i, value in enumerate(values) if _is_finite(value)]
    if not finite:
        return (0,)
    number = [_number(value) for value in values].__getitem__
    return min(finite, key=number), max(finite, key=number)


def lttb(xs: Sequence[float], ys: Sequence[float], limit: int) -> list[int]:
    """Indices of at most ``limit`` points that keep the shape of a line.

    Largest-Triangle-Three-Buckets, after Sveinn Steinarsson, "Downsampling Time Series for
    Visual Representation" (2013): of each bucket stays the point that spans the largest
    triangle with the point kept before and the mean of the bucket after.

    Args:
        xs: ascending.
        ys: as many as ``xs``, finite.
        limit: how many points may stay; less than 3 keeps the ends.
    """
    n_points = len(xs)
    if n_points <= max(2, limit):
        return list(range(n_points))
    if limit < 3:
        return [0, n_points - 1]
    edges = [1 + i * (n_points - 2) // (limit - 2) for i in range(limit - 1)]
    kept = [0]
    for start, end in pairwise(edges):
        after = range(end, min(n_points, end + max(1, end - start)))
        mean_x = sum(xs[i] for i in after) / len(after)
        mean_y = sum(ys[i] for i in after) / len(after)
        x, y = xs[kept[-1]], ys[kept[-1]]

        def area(
            i: int, x: float = x, y: float = y, mx: float = mean_x, my: float = mean_y
        ) -> float:
            return abs((x - mx) * (ys[i] - y) - (x - xs[i]) * (my - y))

        kept.append(max(range(start, end), key=area))
    return [*kept, n_points - 1]


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
