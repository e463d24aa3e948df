"""Confidence intervals that assume nothing about the distribution.

Times of streamed replies are skewed and have outliers, so the median is compared and not the mean. Its
interval comes from order statistics: how many of n values lie below the true median is binomial, whatever
the values are. Shares have Wilson's interval, which holds for small counts and for none at all. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, inf, sqrt
from statistics import NormalDist, median
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

CONFIDENCE = 0.95
FEWEST = 6
"""Values below which not even the smallest and the largest enclose the median with 95 % confidence."""

NEVER = inf
"""Seconds after which comes what was lost: later than anything, so that a median counts it as the worst time."""

NEVER_WORD = "never"
"""How that is printed and saved; JSON has no number without bounds."""


def _read(value: Any) -> Any:
    return NEVER if value == NEVER_WORD else value


def _written(value: float) -> float | str:
    return NEVER_WORD if value == NEVER else value


Number = Annotated[float, BeforeValidator(_read), PlainSerializer(_written, return_type=Any, when_used="json")]


@dataclass(frozen=True)
class Interval:
    """An estimate and where the truth lies with 95 % confidence.

    Args:
        value: the median, or the share.
        low: the lower end; None where there are too few values to tell.
        high: the upper end; None likewise.
        count: how many values it rests on.
    """

    value: Number
    low: Number | None
    high: Number | None
    count: int

    def above(self, other: Interval) -> bool:
        """Whether this is larger beyond doubt: the two intervals do not touch."""
        return self.low is not None and other.high is not None and self.low > other.high


def median_interval(values: Sequence[float]) -> Interval | None:
    """The median of values and its interval; None without values.

    The interval runs from the k-th smallest to the k-th largest value, with the largest k that still has
    the confidence.
    """
    if not values:
        return None
    ordered, count = sorted(values), len(values)
    cut = _outside(count)
    if cut == 0:
        return Interval(median(ordered), None, None, count)
    return Interval(median(ordered), ordered[cut - 1], ordered[count - cut], count)


def share_interval(hits: int, count: int) -> Interval | None:
    """The share of hits and Wilson's interval; None where nothing was counted.

    Raises:
        ValueError: more hits than were counted, or less than none.
    """
    if not 0 <= hits <= count:
        raise ValueError(f"{hits} hits of {count}")
    if not count:
        return None
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, weight = hits / count, z * z / count
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * sqrt(share * (1 - share) / count + weight / (4 * count))
    # Rounding must not move a share of nothing or of all off the end of its own interval.
    low, high = (0.0 if hits == 0 else middle - half), (1.0 if hits == count else middle + half)
    return Interval(share, low, high, count)


def _outside(count: int) -> int:
    """The largest k for which the k-th smallest and the k-th largest enclose the median often enough; 0 if none.

    They miss it if fewer than k values, or all but fewer than k, lie below it.
    """
    cut, missed = 0, 0.0
    while cut < count // 2:
        missed += 2 * comb(count, cut) / 2**count
        if missed > 1 - CONFIDENCE:
            break
        cut += 1
    return cut
