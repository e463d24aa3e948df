"""From turns to figures: medians and shares with their intervals, each way beside the other. Pure.

An answer counts as whole when it came as far as the model meant it to; every other ending is a loss
(`lab.compare.judged`). A loss is the worst time that there is: to whoever waits for it, the answer comes `NEVER`.
Medians of what survived would praise the way that loses its long answers. Streamed and batch are compared pair by pair.
No two answers of a real model are alike, so times are set against the answers' lengths, and pairs whose lengths differ
too much are left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lab.compare.answers import Unit
from lab.compare.intervals import NEVER, Interval, median_interval, share_interval
from lab.compare.judged import Judged, judge_generations
from lab.compare.turns import Generation, Turn

ALIKE = 0.1
"""Part by which the lengths of a pair may differ; the time to the first token does not grow with the length, so that
time for each token says little of pairs that differ more."""

PER = 100
"""The time is given for so many tokens or characters."""


@dataclass(frozen=True)
class Loss:
    """Answers lost to one cause.

    Args:
        to: the cause, or the ending where no cause can be told.
        count: how many.
        timeout: the timeout's value in seconds, where the cause is one.
        refused: whether the endpoint itself said no, whichever way it was asked.
    """

    to: str
    count: int
    timeout: float | None = None
    refused: bool = False

    @property
    def by_timeout(self) -> bool:
        """Whether it was one of the path's timeouts."""
        return self.timeout is not None


@dataclass(frozen=True)
class WayFigures:
    """One way at one level; times in seconds, each a median with its interval.

    Args:
        stream: which way.
        at_once: the level.
        total: from the request to the end, of all answers; `NEVER` for a lost one.
        first_text: from the request to the first piece of text, of all answers; for a batch reply that is the whole of
            it. `NEVER` for one that was lost without any.
        held: how long each connection was held, lost answers included.
        longest: the longest that a whole answer took.
        silence: the longest time without a byte that a whole answer survived.
        rate: whole answers a second; one value a round.
        wire_bytes: bytes of a whole reply on the wire, HTTP's own framing included and TLS's not.
        length: of the whole answers, in the level's unit.
        pace: seconds for `PER` of that unit, of the whole answers.
        lost: the share of answers that did not come whole.
        losses: what they were lost to, the most frequent first.
    """

    stream: bool
    at_once: int
    total: Interval | None
    first_text: Interval | None
    held: Interval | None
    longest: float
    silence: float
    rate: Interval | None
    wire_bytes: Interval | None
    length: Interval | None
    pace: Interval | None
    lost: Interval | None
    losses: tuple[Loss, ...]


@dataclass(frozen=True)
class LevelFigures:
    """Both ways at one level; what compares them is None where nothing can be compared.

    Args:
        unit: what lengths are counted in.
        slower: by which part a stream took longer than its batch reply, length for length; negative if shorter.
        sooner: by which part of an answer's time a stream's first text came before the end: its own, or that of its
            batch reply, length for length, if sooner.
        left_out: pairs that are whole and not compared, for their lengths differ too much.
        broken_pairs: pairs that are not compared, for one of the two was lost, or both.
    """

    at_once: int
    unit: Unit
    stream: WayFigures
    batch: WayFigures
    slower: Interval | None
    sooner: Interval | None
    left_out: int
    broken_pairs: int = 0


@dataclass(frozen=True)
class _Turn:
    """A turn, judged; all of it went one way, at one level."""

    every: tuple[Judged, ...]
    seconds: float

    @property
    def kind(self) -> tuple[int, bool]:
        first = self.every[0].generation
        return first.at_once, first.stream

    @property
    def rate(self) -> float:
        return sum(each.whole for each in self.every) / self.seconds


def figures(turns: Sequence[Turn]) -> tuple[LevelFigures, ...]:
    """The figures of every level of which both ways were measured at least once, in the order of measuring."""
    judged = list(_judge(turns))
    unit = _unit([each for turn in judged for each in turn.every])
    by_kind: dict[tuple[int, bool], list[_Turn]] = {}
    for turn in judged:
        by_kind.setdefault(turn.kind, []).append(turn)
    levels = dict.fromkeys(at_once for at_once, _ in by_kind)
    return tuple(
        _level(unit, by_kind[at_once, True], by_kind[at_once, False])
        for at_once in levels
        if (at_once, True) in by_kind and (at_once, False) in by_kind
    )


def _judge(turns: Sequence[Turn]) -> Iterator[_Turn]:
    """All exchanges are judged together, so that each is a control for the timeouts of the others."""
    judged = iter(judge_generations([each for turn in turns for each in turn.generations]))
    for turn in turns:
        yield _Turn(tuple(next(judged) for _ in turn.generations), turn.seconds)


def _unit(every: Sequence[Judged]) -> Unit:
    """Tokens only where every whole answer has a count: the two ways must be measured alike."""
    counted = [each.answer.tokens is not None for each in every if each.whole]
    return Unit.TOKENS if counted and all(counted) else Unit.CHARACTERS


def _level(unit: Unit, streamed: Sequence[_Turn], batch: Sequence[_Turn]) -> LevelFigures:
    streams, replies = ([each for turn in turns for each in turn.every] for turns in (streamed, batch))
    pairs = _pairs(streams, replies)
    made_both_ways = {each.generation.number for each in streams} & {each.generation.number for each in replies}
    alike = [pair for pair in pairs if _alike(*(each.answer.length(unit) for each in pair))]
    return LevelFigures(
        at_once=streamed[0].kind[0],
        unit=unit,
        stream=_way(streamed, unit),
        batch=_way(batch, unit),
        slower=median_interval([stream.total / _would_take(stream, other, unit) - 1 for stream, other in alike]),
        sooner=median_interval(_head_starts(streamed, alike, unit)),
        left_out=len(pairs) - len(alike),
        broken_pairs=len(made_both_ways) - len(pairs),
    )


def _pairs(streamed: Sequence[Judged], batch: Sequence[Judged]) -> list[tuple[Judged, Judged]]:
    """Each generation's stream and batch reply, where both are whole."""
    other = {each.generation.number: each for each in batch if each.whole}
    return [
        (each, other[each.generation.number]) for each in streamed if each.whole and each.generation.number in other
    ]


def _alike(one: int, other: int) -> bool:
    return min(one, other) > 0 and max(one, other) <= (1 + ALIKE) * min(one, other)


def _would_take(stream: Judged, batch: Judged, unit: Unit) -> float:
    """Seconds that the batch reply would have taken for an answer of the stream's length."""
    return batch.total * stream.answer.length(unit) / batch.answer.length(unit)


def _head_starts(turns: Sequence[_Turn], alike: Sequence[tuple[Judged, Judged]], unit: Unit) -> list[float]:
    """By which part of an answer's time the first text comes before the end.

    The end is the stream's own, or that of its batch reply where they are of one length and that ends sooner.
    """
    other = {stream.generation.number: _would_take(stream, batch, unit) for stream, batch in alike}
    found: list[float] = []
    for each in (each for turn in turns for each in turn.every if each.whole):
        first, end = each.answer.first_text, min(each.total, other.get(each.generation.number, each.total))
        if first is not None and end > 0:
            found.append(1 - first / end)
    return found


def _way(turns: Sequence[_Turn], unit: Unit) -> WayFigures:
    at_once, stream = turns[0].kind
    every = [each for turn in turns for each in turn.every]
    whole = [each for each in every if each.whole]
    lengths = [(each.total, length) for each in whole if (length := each.answer.length(unit))]
    return WayFigures(
        stream=stream,
        at_once=at_once,
        total=median_interval([each.total if each.whole else NEVER for each in every]),
        first_text=median_interval([at for each in every if (at := _first_text(each)) is not None]),
        held=median_interval([each.total for each in every]),
        longest=max((each.total for each in whole), default=0.0),
        silence=max((each.silence for each in whole), default=0.0),
        rate=median_interval([turn.rate for turn in turns]),
        wire_bytes=median_interval([_wire_bytes(each.generation) for each in whole]),
        length=median_interval([length for _, length in lengths]),
        pace=median_interval([PER * total / length for total, length in lengths]),
        lost=share_interval(len(every) - len(whole), len(every)),
        losses=sum_losses(Loss(each.lost_to, 1, each.timeout, each.refused) for each in every if not each.whole),
    )


def _first_text(each: Judged) -> float | None:
    """When its reader had anything; None for a whole answer without text, which says nothing of the path."""
    if each.whole or (each.generation.stream and each.answer.first_text is not None):
        return each.answer.first_text
    return NEVER


def _wire_bytes(generation: Generation) -> int:
    return sum(len(read.data) for read in generation.evidence.trace.reads)


def sum_losses(losses: Iterable[Loss]) -> tuple[Loss, ...]:
    """One entry a cause, the most frequent first; a timeout's least value is the nearest to the truth."""
    sums: dict[tuple[str, bool], Loss] = {}
    for loss in losses:
        had = sums.get((loss.to, loss.refused))
        timeouts = [each.timeout for each in (had, loss) if each is not None and each.timeout is not None]
        count = loss.count + (had.count if had else 0)
        sums[loss.to, loss.refused] = Loss(loss.to, count, min(timeouts, default=None), loss.refused)
    return tuple(sorted(sums.values(), key=lambda loss: -loss.count))
