"""Samples taken in turns, so that a busy moment of a shared machine hits all of them alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """What was seen, in order.

    Attributes:
        values: at least one.
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The first and the third quartile."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def minus(self, other: Sample) -> Sample:
        """The difference round by round."""
        return Sample(tuple(a - b for a, b in zip(self.values, other.values, strict=True)))

    def times(self, factor: float) -> Sample:
        """The same in another unit."""
        return Sample(tuple(value * factor for value in self.values))


@dataclass(frozen=True)
class Reading:
    """What a subject found for one name of the catalogue.

    Attributes:
        against: what stood beside it in the same run, in words and figures.
        ratio: of the medians; None where nothing stood beside it.
        note: what a reader should know of this run.
    """

    name: str
    sample: Sample
    against: str = ""
    ratio: float | None = None
    note: str = ""


def in_turns(n_rounds: int, *calls: Callable[[], float], n_warm_ups: int = 1) -> tuple[Sample, ...]:
    """Call each once a round, each round beginning with another one; a sample for each call."""
    seen: list[list[float]] = [[] for _ in calls]
    for n in range(-n_warm_ups, n_rounds):
        for k in range(len(calls)):
            i = (k + n) % len(calls)
            value = calls[i]()
            if n >= 0:
                seen[i].append(value)
    return tuple(Sample(tuple(values)) for values in seen)


def ratio(sample: Sample, base: Sample) -> float:
    """Of the medians."""
    return sample.median / base.median


def in_words(value: float) -> str:
    """A figure with three digits that matter."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which ``part`` of all lie."""
    ordered = sorted(values)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]
