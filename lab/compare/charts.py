"""The charts of a comparison: for every level one bar streamed and one batch, each with its interval. Pure.

Places are in per cent of the width, so that a chart is as wide as the reader's window; heights are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.compare.figures import LevelFigures, WayFigures
from lab.compare.intervals import NEVER, Interval
from lab.compare.rows import interval_words
from lab.reports.scale import Tick

BAR, GAP, TOP = 14, 22, 20
"""Height of a bar, room between two levels and room above the first, in pixels."""

AXIS_ROOM = 24

_ROOM = 1.06  # the longest bar or interval ends a little before the right edge
_MOST_STEPS = 4


@dataclass(frozen=True)
class ChartBar:
    """One way at one level.

    Args:
        wait: the part that passes before the first text.
        missing: whether there is nothing to draw.
        never: whether the median answer was lost; such a bar has no end, and goes to the picture's edge.
    """

    stream: bool
    top: int
    length: float
    wait: float
    low: float | None
    high: float | None
    words: str
    missing: bool = False
    never: bool = False


@dataclass(frozen=True)
class ChartLevel:
    """One level: its name, where that stands, and both bars."""

    name: str
    top: int
    bars: tuple[ChartBar, ...]


@dataclass(frozen=True)
class Chart:
    """Everything that the template draws for one figure."""

    id: str
    title: str
    about: str
    ticks: tuple[Tick, ...]
    levels: tuple[ChartLevel, ...]
    axis: int
    height: int

    @property
    def description(self) -> str:
        """The same in words, for those who cannot see it."""
        bars = (f"{level.name}, {bar.words}" for level in self.levels for bar in level.bars)
        return f"{'; '.join(bars)}."


@dataclass(frozen=True)
class _Kind:
    """What a chart shows of a way, and how it is written."""

    id: str
    title: str
    about: str
    value: Callable[[WayFigures], Interval | None]
    form: str
    unit: str = ""
    tick: Callable[[float], str] = "{:g}".format
    waits: bool = False


_KINDS = (
    _Kind(
        "lost",
        "Lost answers",
        "Share of all answers; the line shows where the true share lies.",
        lambda way: way.lost,
        "{:.0%}",
        tick="{:.0%}".format,
    ),
    _Kind(
        "total",
        "Total time, and the wait for the first text",
        "Seconds from the request to the end of each answer, lost ones included, which never come; the pale part of a "
        "bar passes before any text is there.",
        lambda way: way.total,
        "{:.2f}",
        " s",
        waits=True,
    ),
    _Kind("held", "Connection held", "Seconds, lost answers included.", lambda way: way.held, "{:.2f}", " s"),
    _Kind(
        "rate",
        "Throughput at growing concurrency",
        "Whole answers a second.",
        lambda way: way.rate,
        "{:.2f}",
        " a second",
    ),
    _Kind(
        "bytes",
        "Bytes on the wire",
        "Bytes of one whole reply, HTTP's own included.",
        lambda way: way.wire_bytes,
        "{:,.0f}",
        tick="{:,.0f}".format,
    ),
)


def charts(levels: Sequence[LevelFigures]) -> list[Chart]:
    """One chart a figure; none of a figure that nothing has."""
    return [
        _chart(kind, levels)
        for kind in _KINDS
        if any(kind.value(way) is not None for level in levels for way in (level.stream, level.batch))
    ]


def _chart(kind: _Kind, levels: Sequence[LevelFigures]) -> Chart:
    span = max(_reach(kind.value(way)) for level in levels for way in (level.stream, level.batch)) * _ROOM or 1.0
    drawn = []
    for number, level in enumerate(levels):
        top = TOP + number * (2 * BAR + GAP)
        bars = [_bar(kind, way, top + place * BAR, span) for place, way in enumerate((level.stream, level.batch))]
        drawn.append(ChartLevel(f"{level.at_once} at once", top - 5, tuple(bars)))
    axis = TOP + len(levels) * (2 * BAR + GAP) - GAP + 6
    return Chart(kind.id, kind.title, kind.about, _ticks(kind, span), tuple(drawn), axis, axis + AXIS_ROOM)


def _bar(kind: _Kind, way: WayFigures, top: int, span: float) -> ChartBar:
    interval = kind.value(way)
    name = "streamed" if way.stream else "batch"
    if interval is None:
        return ChartBar(way.stream, top, 0.0, 0.0, None, None, f"{name}: no whole answer", missing=True)
    if interval.value == NEVER:
        words = f"{name}: {interval_words(interval, kind.form, kind.unit)}, most were lost"
        return ChartBar(way.stream, top, 100.0, 0.0, None, None, words, never=True)
    wait = min(way.first_text.value, interval.value) if kind.waits and way.first_text is not None else 0.0
    has_ends = interval.low is not None and interval.high is not None
    words = f"{name}: {interval_words(interval, kind.form, kind.unit)}"
    return ChartBar(
        stream=way.stream,
        top=top,
        length=_percent(interval.value, span),
        wait=_percent(wait, span),
        low=_percent(interval.low or 0.0, span) if has_ends else None,
        high=_percent(interval.high or 0.0, span) if has_ends else None,
        words=words + (f", first text after {way.first_text.value:.2f} s" if wait and way.first_text else ""),
    )


def _reach(interval: Interval | None) -> float:
    """The largest value that has to be drawn; what never came is drawn to the edge."""
    drawn = (interval.value, interval.high or 0.0) if interval is not None else ()
    return max((value for value in drawn if value != NEVER), default=0.0)


def _percent(value: float, span: float) -> float:
    return 100.0 if value == NEVER else round(100 * value / span, 1)


def _ticks(kind: _Kind, span: float) -> tuple[Tick, ...]:
    power = 10.0 ** math.floor(math.log10(span / _MOST_STEPS))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= span / _MOST_STEPS * 0.999)
    return tuple(
        Tick(_percent(number * step, span), kind.tick(round(number * step, 9)))
        for number in range(int(span / step) + 1)
    )
