"""The picture of a case with many exchanges: one bar each, its length the time that it lasted.

Behind each bar stands, faintly, how long the same exchange lasted on the side where it lasted longest, so
that a timeout shows itself as a wall that only the long ones run into. Bars are sorted by that length, in the
same order on every case of a pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lab.reports.phrases import seconds, token_count
from lab.reports.scale import Scale
from lab.reports.timeline import EndMark, end_mark
from lab.results import ExchangeResult

ROW = 13
"""The height of one bar with its space, in pixels."""

AXIS_ROOM = 22
"""Room for the axis below the bars, in pixels."""

_TOP = 16  # room for the label of the wall above the bars


@dataclass(frozen=True)
class Bar:
    """One exchange: places in per cent of the width, `top` in pixels."""

    name: str
    words: str
    top: int
    end: float
    full: float
    end_mark: EndMark


@dataclass(frozen=True)
class Wall:
    """Where a timeout cut the bars: place in per cent of the width, and what to write there."""

    at: float
    words: str


@dataclass(frozen=True)
class Bars:
    """Everything that the template draws for a case with many exchanges; `axis` and `height` in pixels."""

    title: str
    description: str
    scale: Scale
    bars: tuple[Bar, ...]
    wall: Wall | None
    axis: int
    height: int


def full_lengths(exchanges: Sequence[ExchangeResult]) -> dict[str, float]:
    """The longest time, in seconds, that an exchange of each name lasted on any of the cases given."""
    longest: dict[str, float] = {}
    for exchange in exchanges:
        longest[exchange.name] = max(longest.get(exchange.name, 0.0), exchange.total)
    return longest


def bars(exchanges: Sequence[ExchangeResult], full: Mapping[str, float], scale: Scale) -> Bars:
    """Lay the exchanges of one case out, shortest first by their full lengths."""
    ordered = sorted(exchanges, key=lambda exchange: (full[exchange.name], exchange.name))
    axis = _TOP + ROW * len(ordered)
    return Bars(
        title=f"Durations of {len(ordered)} exchanges",
        description=describe(ordered),
        scale=scale,
        bars=tuple(
            Bar(
                name=exchange.name,
                words=_words(exchange),
                top=_TOP + ROW * row,
                end=scale.percent(exchange.total),
                full=scale.percent(full[exchange.name]),
                end_mark=end_mark(exchange.ending),
            )
            for row, exchange in enumerate(ordered)
        ),
        wall=_wall(ordered, scale),
        axis=axis,
        height=axis + AXIS_ROOM,
    )


def _words(exchange: ExchangeResult) -> str:
    return f"{exchange.name}: {exchange.ending.value}, {seconds(exchange.total)}, {token_count(exchange)} tokens"


def describe(exchanges: Sequence[ExchangeResult]) -> str:
    """How many exchanges ended in which way: `9 of 16 complete, 7 of 16 cut`."""
    counts: dict[str, int] = {}
    for exchange in exchanges:
        counts[exchange.ending.value] = counts.get(exchange.ending.value, 0) + 1
    return ", ".join(f"{count} of {len(exchanges)} {ending}" for ending, count in counts.items())


def _wall(exchanges: Sequence[ExchangeResult], scale: Scale) -> Wall | None:
    """Where the bad ends stand, if there are several and they agree on the time."""
    ends = [exchange.total for exchange in exchanges if end_mark(exchange.ending) in (EndMark.BAD, EndMark.HIDDEN)]
    if len(ends) < 2:
        return None
    middle = median(ends)
    if any(abs(end - middle) > 0.1 * middle for end in ends):
        return None
    return Wall(scale.percent(middle), f"{len(ends)} end at {seconds(middle)}")
