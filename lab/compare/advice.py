"""The recommendation, by rules that stand in a table and are printed with their answers. Pure.

The first rule whose answer decides gives the choice. What the figures cannot tell is said, and never
decides. Streaming and batch take the same time, so nothing here weighs one total against the other; the
questions are whether the path carries both, and whether anybody gains by the first words' coming early.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.compare.figures import LevelFigures, Loss, WayFigures
from lab.durations import write_duration


class Choice(StrEnum):
    """What to do."""

    STREAM = "stream"
    BATCH = "batch"
    MEND_THE_PATH = "mend the path first"


class Answer(StrEnum):
    """The answer to a rule's question."""

    YES = "yes"
    NO = "no"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Need:
    """What the application needs, which no measurement can know.

    Args:
        person_waits: whether a person reads the answer while it comes.
        half_is_useful: whether the beginning of an answer is of use before its end has come.
        longest: the longest generation to expect, in seconds; None where the measured ones stand for all.
    """

    person_waits: bool = True
    half_is_useful: bool = True
    longest: float | None = None


@dataclass(frozen=True)
class Ruling:
    """One rule, applied: its question, the answer, the numbers, and the choice if it decides."""

    question: str
    answer: Answer
    because: str
    choice: Choice | None = None


@dataclass(frozen=True)
class Advice:
    """The choice, and every rule up to the one that made it."""

    choice: Choice
    sentence: str
    rulings: tuple[Ruling, ...]


def advise(levels: Sequence[LevelFigures], need: Need) -> Advice:
    """Apply the rules in their order until one decides; the last one always does.

    Raises:
        ValueError: there are no figures.
    """
    if not levels:
        raise ValueError("nothing was measured both ways")
    rulings: list[Ruling] = []
    for rule in RULES:
        rulings.append(rule(levels, need))
        choice = rulings[-1].choice
        if choice is not None:
            return Advice(choice, _SENTENCES[choice], tuple(rulings))
    raise AssertionError("the last rule decides")


def _streams_arrive(levels: Sequence[LevelFigures], _: Need) -> Ruling:
    question = "Do streamed answers come through whole?"
    losses = _all_losses([level.stream for level in levels])
    if losses:
        return Ruling(question, Answer.NO, f"streams lost {_tell(losses)}", Choice.MEND_THE_PATH)
    return Ruling(question, Answer.YES, f"all {_count([level.stream for level in levels])} did")


def _silence_survives(levels: Sequence[LevelFigures], need: Need) -> Ruling:
    question = "Does the batch reply's silence outlive a clock of the path?"
    batch = [level.batch for level in levels]
    clocks = [loss for loss in _all_losses(batch) if loss.by_clock]
    if clocks:
        return Ruling(question, Answer.YES, f"batch replies lost {_tell(clocks)}; no stream was", Choice.STREAM)
    survived = max(way.silence for way in batch)
    if need.longest is not None and need.longest > survived:
        because = f"silences of up to {survived:.1f} s were survived; {write_duration(need.longest)} was not tried"
        return Ruling(question, Answer.CANNOT_TELL, because)
    return Ruling(question, Answer.NO, f"silences of up to {survived:.1f} s were survived")


def _batch_arrives(levels: Sequence[LevelFigures], _: Need) -> Ruling:
    question = "Do batch replies come through whole otherwise?"
    batch = [level.batch for level in levels]
    losses = _all_losses(batch)
    if losses:
        return Ruling(question, Answer.NO, f"batch replies lost {_tell(losses)}; no stream was", Choice.STREAM)
    return Ruling(question, Answer.YES, f"all {_count(batch)} did")


def _first_text_comes_early(levels: Sequence[LevelFigures], _: Need) -> Ruling:
    question = "Does the first text of a stream come well before the batch reply?"
    first = next((level for level in levels if level.stream.first_text and level.batch.total), None)
    if first is None or first.stream.first_text is None or first.batch.total is None:
        return Ruling(question, Answer.CANNOT_TELL, "no whole answer had any text")
    early, late = first.stream.first_text, first.batch.total
    because = f"after {early.value:.2f} s instead of {late.value:.2f} s (median, {first.at_once} at once)"
    if late.low is None:
        return Ruling(question, Answer.CANNOT_TELL, f"{because}, of too few to be sure")
    if not late.above(early):
        return Ruling(question, Answer.NO, because, Choice.BATCH)
    return Ruling(question, Answer.YES, because)


def _person_waits(_: Sequence[LevelFigures], need: Need) -> Ruling:
    question = "Does a person wait for it?"
    if need.person_waits:
        return Ruling(question, Answer.YES, "as you say")
    return Ruling(question, Answer.NO, "as you say; a program gains nothing by the first words", Choice.BATCH)


def _half_is_useful(_: Sequence[LevelFigures], need: Need) -> Ruling:
    question = "Is half an answer of use?"
    if need.half_is_useful:
        return Ruling(question, Answer.YES, "as you say", Choice.STREAM)
    return Ruling(question, Answer.NO, "as you say; it can only be used whole", Choice.BATCH)


RULES: tuple[Callable[[Sequence[LevelFigures], Need], Ruling], ...] = (
    _streams_arrive,
    _silence_survives,
    _batch_arrives,
    _first_text_comes_early,
    _person_waits,
    _half_is_useful,
)
"""In their order: what the path does to both, then what the application gains."""

_SENTENCES = {
    Choice.STREAM: "Stream, and handle a partial answer as a case of its own.",
    Choice.BATCH: "Ask for batch replies: the total is the same, and a batch reply is whole or an error.",
    Choice.MEND_THE_PATH: "Mend the path first; until then neither way is safe.",
}


def _all_losses(ways: Sequence[WayFigures]) -> list[Loss]:
    """The losses of all levels, one entry a cause."""
    counts: dict[str, int] = {}
    clocks: dict[str, float | None] = {}
    for loss in (loss for way in ways for loss in way.losses):
        counts[loss.to] = counts.get(loss.to, 0) + loss.count
        clocks[loss.to] = clocks.get(loss.to) or loss.clock
    return [Loss(to, count, clocks[to]) for to, count in counts.items()]


def _tell(losses: Sequence[Loss]) -> str:
    return ", ".join(
        f"{loss.count} to {loss.to}" + (f" at {loss.clock:.2f} s" if loss.clock is not None else "") for loss in losses
    )


def _count(ways: Sequence[WayFigures]) -> int:
    return sum(way.lost.count for way in ways if way.lost is not None)
