"""The page of a load: the figures, and over time how many streams were open, how many tokens came, and how late."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lab.load.figures import Figures, Second
from lab.load.results import LoadResults
from lab.load.text import rows_of
from lab.reports.pages import page_environment
from lab.reports.style import page_style

PAGE = "load.html"

_WIDTH, _HEIGHT, _FREE = 600, 120, 10


@dataclass(frozen=True)
class Curve:
    """One load in a chart.

    Args:
        target: of the load.
        most: the largest value.
        points: of the line.
    """

    target: str
    most: int
    points: str


@dataclass(frozen=True)
class TimeChart:
    """One value over the seconds, of every load: two that are drawn apart are hard to compare.

    Args:
        title: what it is.
        unit: of the value, behind it.
        top: the value at the top of the frame: the largest of all.
        seconds: at the right end of the frame.
        curves: one of each load.
    """

    title: str
    unit: str
    top: int
    seconds: float
    curves: tuple[Curve, ...]


_VALUES: dict[tuple[str, str], Callable[[Second], int]] = {
    ("streams that were open", ""): lambda second: second.open,
    ("streams that had their first token, and not their last", ""): lambda second: second.streaming,
    ("tokens in each second", ""): lambda second: second.tokens,
    ("lateness that 99 of 100 tokens stayed below", " ms"): lambda second: second.late,
}


def load_page(results: LoadResults) -> str:
    """The whole page."""
    template = page_environment("lab.load").get_template("load.html.j2")
    return template.render(
        results=results,
        rows=[*rows_of(results.loads)],
        charts=[*charts(results.loads)],
        style=page_style(("lab.load", "load.css")),
    )


def charts(loads: Sequence[Figures]) -> Iterator[TimeChart]:
    """What is drawn; of loads that lasted for less than two seconds there is nothing to draw."""
    drawn = [load for load in loads if len(load.seconds) > 1]
    if not drawn:
        return
    end = max(load.seconds[-1].at for load in drawn)
    for (title, unit), value in _VALUES.items():
        top = max(value(second) for load in drawn for second in load.seconds)
        curves = tuple(
            Curve(load.target, max(map(value, load.seconds)), _points(load.seconds, value, top, end)) for load in drawn
        )
        yield TimeChart(title, unit, top, end, curves)


def _points(seconds: Sequence[Second], value: Callable[[Second], int], top: int, end: float) -> str:
    """A line from the beginning on, in a frame of which some pixels above stay free."""
    points = [
        f"{_WIDTH * second.at / end:.1f},{_HEIGHT - (_HEIGHT - _FREE) * value(second) / max(top, 1):.1f}"
        for second in seconds
    ]
    return " ".join(points)
