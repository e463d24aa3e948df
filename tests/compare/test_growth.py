from __future__ import annotations

import pytest

from lab.compare.answers import Unit
from lab.compare.figures import LevelFigures, WayFigures
from lab.compare.growth import Growing, growths
from lab.compare.intervals import Interval


def level(at_once: int, rate: Interval | None) -> LevelFigures:
    """A level of which nothing but the rate of whole answers is known, the same both ways."""
    ways = [
        WayFigures(stream, at_once, None, None, None, 0.0, 0.0, rate, None, None, None, None, ())
        for stream in (True, False)
    ]
    return LevelFigures(at_once, Unit.TOKENS, *ways, slower=None, sooner=None, left_out=0)


def about(rate: float, part: float = 0.02) -> Interval:
    """A rate known to that part."""
    return Interval(rate, rate * (1 - part), rate * (1 + part), 6)


@pytest.mark.parametrize(
    ("rates", "growing", "at_once"),
    [
        ({1: about(1), 2: about(2), 4: about(2), 8: about(2)}, Growing.STOPS, 2),
        ({1: about(1), 2: about(1), 4: about(1)}, Growing.STOPS, 1),
        ({1: about(1), 2: about(2), 4: about(4)}, Growing.GROWS, 4),
        ({4: about(4), 1: about(1)}, Growing.GROWS, 4),
        ({1: about(1), 2: about(2, 0.5), 4: about(2)}, Growing.CANNOT_TELL, 4),
        ({1: about(1), 4: Interval(4, None, None, 2)}, Growing.CANNOT_TELL, 4),
        ({1: about(1), 4: None}, Growing.CANNOT_TELL, 4),
    ],
    ids=["two-slots", "one-slot", "no-end", "in-any-order", "too-uneven", "too-few", "none-whole"],
)
def test_where_throughput_stops_growing(rates: dict[int, Interval | None], growing: Growing, at_once: int) -> None:
    """Twice as many at once bring twice as much, or less than half of that gain beyond doubt, or nobody can tell."""
    found = growths([level(number, rate) for number, rate in rates.items()])
    assert [growth.stream for growth in found] == [True, False]
    assert {growth.growing for growth in found} == {growing}
    assert {growth.at_once for growth in found} == {at_once}


def test_one_level_says_nothing_of_growth() -> None:
    """There is nothing to compare it with."""
    assert growths([level(1, about(1))]) == ()
