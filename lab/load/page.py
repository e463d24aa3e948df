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

_WIDTH, _HEIGHT = 600, 120


@dataclass(frozen=True)
class Curve:
    """One value over the seconds of a load, as the page draws it.

    Args:
        title: what it is.
        unit: of the value, behind it.
        most: the largest value of this load.
        frame: the value at the top of the frame: the largest of all loads of the page, so that curves can be compared.
        points: of the line.
    """

    title: str
    unit: str
    most: int
    frame: int
    points: str


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
        results=results, rows=[*rows_of(results.loads)], curves=curves, style=page_style(("lab.load", "load.css"))
    )


def curves(load: Figures, loads: Sequence[Figures]) -> Iterator[Curve]:
    """What is drawn of one load among others; nothing of one that lasted for less than two seconds."""
    if len(load.seconds) < 2:
        return
    for (title, unit), value in _VALUES.items():
        values = [value(second) for second in load.seconds]
        frame = max(value(second) for each in loads for second in each.seconds)
        step = _WIDTH / (len(values) - 1)
        points = " ".join(
            f"{number * step:.1f},{_HEIGHT - (_HEIGHT - 10) * each / max(frame, 1):.1f}"
            for number, each in enumerate(values)
        )
        yield Curve(title, unit, max(values), frame, points)
