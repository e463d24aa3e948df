"""A time axis that several pictures share.

Pictures are stretched to the width of the reader's window, so positions are in thousandths of the width
(for paths, whose view box is `WIDTH` wide) or in per cent of it (for marks and text, which must not be
stretched). Both are rounded to a tenth, which is less than a pixel on any screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from lab.results import ExchangeResult

WIDTH = 1000

_ROOM = 1.04  # the last event stands a little before the right edge
_LEAST_SPAN = 0.1
_MOST_STEPS = 5


@dataclass(frozen=True)
class Tick:
    """One labelled place on the axis; position in per cent of the width."""

    at: float
    label: str


@dataclass(frozen=True)
class Scale:
    """Seconds to places. `span` is the time, in seconds, that the whole width stands for."""

    span: float

    def x(self, seconds: float) -> float:
        """The place in thousandths of the width."""
        return round(WIDTH * seconds / self.span, 1)

    def percent(self, seconds: float) -> float:
        """The place in per cent of the width."""
        return round(100 * seconds / self.span, 1)

    def ticks(self) -> list[Tick]:
        """At most six round times from 0 on; the last carries the unit."""
        step = _round_step(self.span / _MOST_STEPS)
        times = [index * step for index in range(int(self.span / step) + 1)]
        return [Tick(self.percent(time), f"{time:g}{' s' if time == times[-1] else ''}") for time in times]


def scale_for(exchanges: Iterable[ExchangeResult]) -> Scale:
    """The smallest axis, from the request on, that holds every event of these exchanges."""
    latest = max((_latest(exchange) for exchange in exchanges), default=0.0)
    return Scale(max(latest, _LEAST_SPAN) * _ROOM)


def _latest(exchange: ExchangeResult) -> float:
    times = [time for token in exchange.tokens for time in (token.left, token.arrived) if time is not None]
    return max([exchange.total, *exchange.heartbeats, *times])


def _round_step(least: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= least * 0.999)
