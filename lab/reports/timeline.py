"""The picture of one exchange: when each token left the model server, and when it arrived at the client.

Two lanes, a tick a token in each, and a thin line from departure to arrival: an upright line is a prompt
delivery, a slanted one a delay, a fan that meets in one point a burst, and a red stub a token that never
came. Here are only places; the template draws them. Ticks, lines and stubs are one path each, which keeps
a page with thousands of tokens small.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lab.reports.phrases import seconds, token_count
from lab.reports.scale import WIDTH, Scale
from lab.results import ExchangeResult, TokenTimes
from lab.vocabulary import Ending

MODEL_LANE = 26
CLIENT_LANE = 82
AXIS = 104
HEIGHT = 124
"""The places of the lanes and the axis from the top, and the height of the picture, in pixels."""

_TICK = 6  # half the height of a tick
_STUB = 16  # the length of the line below a token that never arrived

_BURST_LEAST = 3
_BURST_GAP = 2.5  # thousandths of the width: nearer arrivals than this cannot be told apart by eye
_BURST_SQUEEZE = 4.0  # departures lie at least this much further apart than arrivals
_BURST_SPREAD = 10.0  # and at least this far, in thousandths, or nothing was held back to speak of
_BURSTS_IN_WORDS = 2  # more of them stand too close for words, and have their number only


class EndMark(StrEnum):
    """What stands at the end of the client's lane."""

    WHOLE = "whole"
    PART = "part"
    BAD = "bad"
    HIDDEN = "hidden"
    """An end that the client cannot tell from a good one, and yet it is none."""


_MARKS = {
    Ending.COMPLETE: EndMark.WHOLE,
    Ending.DECLARED_PARTIAL: EndMark.PART,
    Ending.SILENTLY_TRUNCATED: EndMark.HIDDEN,
    Ending.FORGED_COMPLETE: EndMark.HIDDEN,
    Ending.CORRUPT: EndMark.HIDDEN,
}


@dataclass(frozen=True)
class BurstMark:
    """Tokens that left one after the other and arrived at once; position in per cent of the width."""

    at: float
    count: int
    words: str


@dataclass(frozen=True)
class Timeline:
    """Everything that the template draws for one exchange.

    Args:
        title: what the picture shows, for readers who do not see it.
        description: the same facts in a sentence.
        left, arrived, joins, lost: path data in a view box of `WIDTH` by `HEIGHT`.
        heartbeats: places of departure in per cent of the width.
        end: place of the end in per cent of the width.
    """

    title: str
    description: str
    scale: Scale
    left: str
    arrived: str
    joins: str
    lost: str
    heartbeats: tuple[float, ...]
    bursts: tuple[BurstMark, ...]
    end: float
    end_mark: EndMark
    end_words: str


def timeline(exchange: ExchangeResult, scale: Scale) -> Timeline:
    """Lay one exchange out on a scale, which may be shared with others."""
    tokens = exchange.tokens
    return Timeline(
        title=f"Timeline of {exchange.name}",
        description=_describe(exchange),
        scale=scale,
        left=_ticks((token.left for token in tokens), MODEL_LANE, scale),
        arrived=_ticks((token.arrived for token in tokens), CLIENT_LANE, scale),
        joins=_joins(tokens, scale),
        lost=_stubs(tokens, scale),
        heartbeats=tuple(scale.percent(time) for time in exchange.heartbeats),
        bursts=tuple(_bursts(tokens, scale)),
        end=scale.percent(exchange.total),
        end_mark=end_mark(exchange.ending),
        end_words=f"{exchange.ending.value.replace('-', ' ')}, {seconds(exchange.total)}",
    )


def end_mark(ending: Ending) -> EndMark:
    """The mark of an ending: whole, a declared part, bad, or bad and not to be seen by the client."""
    return _MARKS.get(ending, EndMark.BAD)


def _ticks(times: Iterable[float | None], lane: int, scale: Scale) -> str:
    # Ticks at the same tenth would only lie on each other; dict.fromkeys keeps the first of each.
    places = dict.fromkeys(scale.x(time) for time in times if time is not None)
    return "".join(f"M{x:g} {lane - _TICK}v{2 * _TICK}" for x in places)


def _joins(tokens: Iterable[TokenTimes], scale: Scale) -> str:
    return "".join(
        f"M{scale.x(token.left):g} {MODEL_LANE + _TICK}L{scale.x(token.arrived):g} {CLIENT_LANE - _TICK}"
        for token in tokens
        if token.left is not None and token.arrived is not None
    )


def _stubs(tokens: Iterable[TokenTimes], scale: Scale) -> str:
    return "".join(
        f"M{scale.x(token.left):g} {MODEL_LANE - _TICK}v{2 * _TICK + _STUB}"
        for token in tokens
        if token.left is not None and token.arrived is None
    )


def _bursts(tokens: Iterable[TokenTimes], scale: Scale) -> list[BurstMark]:
    """Runs of arrivals that the eye sees as one although their departures lie apart."""
    came = sorted(
        (scale.x(token.arrived), scale.x(token.left))
        for token in tokens
        if token.left is not None and token.arrived is not None
    )
    runs: list[list[tuple[float, float]]] = []
    for arrived, left in came:
        if runs and arrived - runs[-1][-1][0] < _BURST_GAP:
            runs[-1].append((arrived, left))
        else:
            runs.append([(arrived, left)])
    bursts = [run for run in runs if _is_burst(run)]
    words = " at once" if len(bursts) <= _BURSTS_IN_WORDS else ""
    return [BurstMark(round(run[-1][0] * 100 / WIDTH, 1), len(run), f"{len(run)}{words}") for run in bursts]


def _is_burst(run: list[tuple[float, float]]) -> bool:
    if len(run) < _BURST_LEAST:
        return False
    departures = [left for _, left in run]
    spread = max(departures) - min(departures)
    return spread >= _BURST_SPREAD and spread >= _BURST_SQUEEZE * (run[-1][0] - run[0][0])


def _describe(exchange: ExchangeResult) -> str:
    first = "no token arrived" if exchange.first_token is None else f"first token after {seconds(exchange.first_token)}"
    parts = [
        f"{token_count(exchange)} tokens arrived, {exchange.delivery.value}",
        first,
        f"longest silence {seconds(exchange.longest_silence)}",
        f"ending {exchange.ending.value} after {seconds(exchange.total)}",
    ]
    if exchange.heartbeats:
        parts.insert(2, f"{len(exchange.heartbeats)} heartbeats")
    return ", ".join(parts) + "."
