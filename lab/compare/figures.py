"""From turns to figures: medians and shares with their intervals, each way beside the other. Pure.

An answer counts as whole when the judge calls it complete or the model itself declared where it stopped;
every other ending is a loss. What a loss is put down to is the judge's cause, with all exchanges of the
comparison as each other's controls, and where no cause can be told, the ending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.compare.intervals import Interval, median_interval, share_interval
from lab.compare.made import Made, Turn
from lab.judge.endings import WHOLE
from lab.judge.verdict import Verdict, judge_all
from lab.words import Cause

CLOCKS = frozenset({Cause.FIRST_BYTE_CLOCK, Cause.IDLE_CLOCK, Cause.TOTAL_CLOCK})


@dataclass(frozen=True)
class Loss:
    """Answers lost to one cause.

    Args:
        to: the cause, or the ending where no cause can be told.
        count: how many.
        clock: the clock's value in seconds, where the cause is one.
    """

    to: str
    count: int
    clock: float | None = None

    @property
    def by_clock(self) -> bool:
        """Whether it was one of the path's clocks."""
        return self.to in CLOCKS


@dataclass(frozen=True)
class WayFigures:
    """One way at one level; times in seconds, each the median of the whole answers with its interval.

    Args:
        stream: which way.
        at_once: the level.
        total: from the request to the end.
        first_text: from the request to the first piece of text; for a batch reply that is the whole of it.
        held: how long each connection was held, lost answers included.
        silence: the longest time without a byte that a whole answer survived.
        rate: whole answers a second; one value a round.
        wire_bytes: bytes of reply on the wire, HTTP's own framing included and TLS's not.
        lost: the share of answers that did not come whole.
        losses: what they were lost to, the most frequent first.
    """

    stream: bool
    at_once: int
    total: Interval | None
    first_text: Interval | None
    held: Interval | None
    silence: float
    rate: Interval | None
    wire_bytes: Interval | None
    lost: Interval | None
    losses: tuple[Loss, ...]


@dataclass(frozen=True)
class LevelFigures:
    """Both ways at one level.

    Args:
        difference: the stream's total less the batch reply's, in seconds, pair by pair; None where no pair is whole.
    """

    at_once: int
    stream: WayFigures
    batch: WayFigures
    difference: Interval | None


@dataclass(frozen=True)
class _Judged:
    """One generation with its verdict."""

    made: Made
    verdict: Verdict

    @property
    def whole(self) -> bool:
        return self.verdict.ending in WHOLE


@dataclass(frozen=True)
class _JudgedTurn:
    """A turn with its verdicts; all of it went one way, at one level."""

    every: tuple[_Judged, ...]
    seconds: float

    @property
    def kind(self) -> tuple[int, bool]:
        first = self.every[0].made
        return first.at_once, first.stream

    @property
    def rate(self) -> float:
        return sum(each.whole for each in self.every) / self.seconds


def figures(turns: Sequence[Turn]) -> tuple[LevelFigures, ...]:
    """The figures of every level of which both ways were measured at least once, in the order of measuring."""
    by_kind: dict[tuple[int, bool], list[_JudgedTurn]] = {}
    for turn in _judge(turns):
        by_kind.setdefault(turn.kind, []).append(turn)
    levels = dict.fromkeys(at_once for at_once, _ in by_kind)
    return tuple(
        _level(at_once, by_kind[at_once, True], by_kind[at_once, False])
        for at_once in levels
        if (at_once, True) in by_kind and (at_once, False) in by_kind
    )


def _judge(turns: Sequence[Turn]) -> Iterator[_JudgedTurn]:
    """All exchanges are judged together, so that each is a control for the clocks of the others."""
    verdicts = iter(judge_all([made.evidence for turn in turns for made in turn.made]))
    for turn in turns:
        yield _JudgedTurn(tuple(_Judged(made, next(verdicts)) for made in turn.made), turn.seconds)


def _level(at_once: int, streamed: Sequence[_JudgedTurn], batch: Sequence[_JudgedTurn]) -> LevelFigures:
    differences = _differences(*([each for turn in turns for each in turn.every] for turns in (streamed, batch)))
    return LevelFigures(at_once, _way(streamed), _way(batch), median_interval(differences))


def _way(turns: Sequence[_JudgedTurn]) -> WayFigures:
    at_once, stream = turns[0].kind
    every = [each for turn in turns for each in turn.every]
    whole = [each for each in every if each.whole]
    return WayFigures(
        stream=stream,
        at_once=at_once,
        total=median_interval([each.verdict.total for each in whole]),
        first_text=median_interval([at for each in whole if (at := each.verdict.first_token) is not None]),
        held=median_interval([each.verdict.total for each in every]),
        silence=max((each.verdict.longest_silence for each in whole), default=0.0),
        rate=median_interval([turn.rate for turn in turns]),
        wire_bytes=median_interval([_wire_bytes(each.made) for each in whole]),
        lost=share_interval(len(every) - len(whole), len(every)),
        losses=_losses([each.verdict for each in every if not each.whole]),
    )


def _wire_bytes(made: Made) -> int:
    return sum(len(read.data) for read in made.evidence.trace.reads)


def _losses(verdicts: Sequence[Verdict]) -> tuple[Loss, ...]:
    counts = Counter(str(verdict.cause or verdict.ending) for verdict in verdicts)
    clocks = {str(verdict.cause): verdict.clock for verdict in verdicts if verdict.cause in CLOCKS}
    return tuple(Loss(to, count, clocks.get(to)) for to, count in counts.most_common())


def _differences(streamed: Sequence[_Judged], batch: Sequence[_Judged]) -> list[float]:
    """What each generation took longer as a stream, where both ways brought the whole of it."""
    totals = {each.made.generation: each.verdict.total for each in batch if each.whole}
    return [
        each.verdict.total - totals[each.made.generation]
        for each in streamed
        if each.whole and each.made.generation in totals
    ]
