"""Whether requests per second grow with how many run at once, or where they stop. Pure.

If requests did not disturb each other, twice as many at once would bring twice as many whole answers a second. They
stop growing at the first level above which every level brings, beyond doubt, less than half of that gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from lab.compare.figures import LevelFigures, WayFigures
from lab.compare.intervals import Interval


class Growing(StrEnum):
    """What the rates show."""

    STOPS = "stops growing"
    GROWS = "still grows"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Growth:
    """How one way's rate of whole answers behaves as more run at once.

    Args:
        stream: which way.
        growing: what the rates show.
        at_once: the level at which it stops at the latest, or the highest level measured.
        sentence: the finding with its numbers.
    """

    stream: bool
    growing: Growing
    at_once: int
    sentence: str


def growths(levels: Sequence[LevelFigures]) -> tuple[Growth, ...]:
    """The finding for each way; none of fewer than two levels."""
    if len(levels) < 2:
        return ()
    ordered = sorted(levels, key=lambda level: level.at_once)
    return tuple(_growth([level.stream if stream else level.batch for level in ordered]) for stream in (True, False))


def _growth(ways: Sequence[WayFigures]) -> Growth:
    stream, most = ways[0].stream, ways[-1].at_once
    name = "Streamed" if stream else "Batch"
    rates = ", ".join(f"{_rate(way.rate)} at {way.at_once}" for way in ways)
    for place, way in enumerate(ways[:-1]):
        if all(_flat(way, higher) for higher in ways[place + 1 :]):
            words = f"{name}: no more whole answers a second from {way.at_once} at once on, if not before ({rates})."
            return Growth(stream, Growing.STOPS, way.at_once, words)
    if all(after.rate and before.rate and after.rate.above(before.rate) for before, after in pairwise(ways)):
        words = f"{name}: whole answers a second still grow at {most} at once ({rates})."
        return Growth(stream, Growing.GROWS, most, words)
    words = f"{name}: whether whole answers a second grow up to {most} at once cannot be told ({rates})."
    return Growth(stream, Growing.CANNOT_TELL, most, words)


def _flat(way: WayFigures, higher: WayFigures) -> bool:
    """Whether the higher level brings less than half of the gain that it would without any disturbance."""
    less, more = way.rate, higher.rate
    if less is None or more is None or less.low is None or more.high is None:
        return False
    return more.high < less.low * (1 + higher.at_once / way.at_once) / 2


def _rate(rate: Interval | None) -> str:
    return "none" if rate is None else f"{rate.value:.2f}"
