"""The recommendation, by rules that stand in a table and are printed with their answers. Pure.

The first rule whose answer decides gives the choice. What the figures cannot tell is said, and decides nothing: one
lost answer is no pattern, and two ways differ only where their intervals do not touch. Where the choice hangs on
something that cannot be told, the advice is to measure more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.compare.figures import LevelFigures, Loss, WayFigures, sum_losses
from lab.compare.intervals import NEVER, Interval, share_interval
from lab.durations import write_duration

SOONER = 0.25
"""Part of the batch reply's time by which the first text must come sooner for a person to gain by it."""

SAME = 0.1
"""Part by which two times may differ and still be called the same."""

PATTERN = 2
"""Losses without which nothing is said of a path: one may be anybody's."""


class Choice(StrEnum):
    """What to do."""

    STREAM = "stream"
    BATCH = "batch"
    MEND_THE_PATH = "mend the path first"
    CANNOT_TELL = "cannot tell"


class Question(StrEnum):
    """What the rules ask, as the reader sees it."""

    STREAMS_ARRIVE = "Do streamed answers come through whole?"
    SILENCE_SURVIVES = "Does the batch reply's silence outlive a timeout of the path?"
    BATCH_ARRIVES = "Do batch replies come through whole otherwise?"
    SAME_TIME = "Do both take the same time for the same length?"
    SOONER = f"Does a stream's first text come at least {SOONER:.0%} sooner than the batch reply?"
    PERSON_WAITS = "Does a person wait for it?"
    HALF_IS_USEFUL = "Is half an answer of use?"


class RuleAnswer(StrEnum):
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

    question: Question
    answer: RuleAnswer
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
            return Advice(choice, _sentence(rulings, need), tuple(rulings))
    raise AssertionError("the last rule decides")


def _streams_arrive(levels: Sequence[LevelFigures], need: Need) -> Ruling:
    question = Question.STREAMS_ARRIVE
    streams = [level.stream for level in levels]
    losses = _losses(streams)
    if sum(loss.count for loss in losses) >= PATTERN:
        return Ruling(question, RuleAnswer.NO, f"streams lost {tell(losses)}", Choice.MEND_THE_PATH)
    if losses:
        because = f"one of {_count(streams)} did not ({tell(losses)}), and one is no pattern"
        return Ruling(question, RuleAnswer.CANNOT_TELL, because)
    longest = max(way.longest for way in streams)
    if not longest:
        return Ruling(
            question, RuleAnswer.CANNOT_TELL, f"the endpoint refused all: {tell(_losses(streams, refused=True))}"
        )
    return _beyond(question, RuleAnswer.YES, f"all {_answered(streams)} did, of up to {longest:.1f} s", longest, need)


def _silence_survives(levels: Sequence[LevelFigures], need: Need) -> Ruling:
    question = Question.SILENCE_SURVIVES
    batch = [level.batch for level in levels]
    timeouts = [loss for loss in _losses(batch) if loss.by_timeout]
    if timeouts:
        streams = [level.stream for level in levels]
        because = f"batch replies lost {tell(timeouts)}; streams lost {_share(streams)}"
        return Ruling(question, RuleAnswer.YES, because, Choice.STREAM)
    survived = max(way.silence for way in batch)
    return _beyond(question, RuleAnswer.NO, f"silences of up to {survived:.1f} s were survived", survived, need)


def _beyond(question: Question, answer: RuleAnswer, because: str, proven: float, need: Need) -> Ruling:
    """That answer as far as was measured; nobody knows of anything longer."""
    if need.longest is None or need.longest <= proven:
        return Ruling(question, answer, because)
    return Ruling(question, RuleAnswer.CANNOT_TELL, f"{because}; {write_duration(need.longest)} was not tried")


def _batch_arrives(levels: Sequence[LevelFigures], _: Need) -> Ruling:
    question = Question.BATCH_ARRIVES
    batch, streams = [level.batch for level in levels], [level.stream for level in levels]
    losses = _losses(batch)
    if not losses:
        return Ruling(question, RuleAnswer.YES, f"all {_answered(batch)} did")
    because = f"batch replies lost {tell(losses)}; streams lost {_share(streams)}"
    more = _lost(batch)
    if more is not None and (less := _lost(streams)) is not None and more.above(less):
        return Ruling(question, RuleAnswer.NO, because, Choice.STREAM)
    return Ruling(question, RuleAnswer.CANNOT_TELL, f"{because}, which can be chance")


def _same_time(levels: Sequence[LevelFigures], _: Need) -> Ruling:
    question = Question.SAME_TIME
    level = _telling(levels, lambda level: level.slower)
    if level is None or level.slower is None:
        return Ruling(question, RuleAnswer.CANNOT_TELL, "no pair of whole answers was of the same length")
    slower = level.slower
    if slower.low is None or slower.high is None:
        because = f"a stream's time differs by {slower.value:+.0%}, of too few to be sure"
        return Ruling(question, RuleAnswer.CANNOT_TELL, because)
    pairs = slower.count + level.left_out + level.broken_pairs
    if 2 * level.broken_pairs >= pairs:
        because = f"of {pairs} pairs {level.broken_pairs} had a loss in them, and what survived stands for itself only"
        return Ruling(question, RuleAnswer.CANNOT_TELL, because)
    # A comparison of nothing but noise must not read as one of speed.
    because = f"a stream's time differs by {slower.low:+.1%} to {slower.high:+.1%} ({level.at_once} at once)"
    if max(-slower.low, slower.high) <= SAME:
        return Ruling(question, RuleAnswer.YES, because)
    differ = slower.low > SAME or slower.high < -SAME
    return Ruling(question, RuleAnswer.NO if differ else RuleAnswer.CANNOT_TELL, because)


def _first_text_comes_early(levels: Sequence[LevelFigures], _: Need) -> Ruling:
    answer, because = _gain(levels)
    return Ruling(Question.SOONER, answer, because, Choice.BATCH if answer is RuleAnswer.NO else None)


def _gain(levels: Sequence[LevelFigures]) -> tuple[RuleAnswer, str]:
    level = _telling(levels, lambda level: level.sooner)
    if level is None or level.sooner is None:
        return RuleAnswer.CANNOT_TELL, "no whole stream had any text"
    early, late, sooner = level.stream.first_text, level.batch.total, level.sooner
    because = f"{sooner.value:.0%} sooner ({level.at_once} at once)"
    if early is not None and late is not None:
        late_words = "never, for most are lost" if late.value == NEVER else f"{late.value:.2f} s"
        because = f"after {early.value:.2f} s instead of {late_words}: {because}"
    if sooner.low is None or sooner.high is None:
        return RuleAnswer.CANNOT_TELL, f"{because}, of too few to be sure"
    if sooner.low >= SOONER:
        return RuleAnswer.YES, because
    if sooner.high < SOONER:
        return RuleAnswer.NO, because
    return RuleAnswer.CANNOT_TELL, f"{because}, somewhere from {sooner.low:.0%} to {sooner.high:.0%}"


def _telling(levels: Sequence[LevelFigures], of: Callable[[LevelFigures], Interval | None]) -> LevelFigures | None:
    """The first level that has this figure with its interval, else the first that has it at all."""
    having = [(level, found) for level in levels if (found := of(level)) is not None]
    sure = [level for level, found in having if found.low is not None]
    return next(iter([*sure, *(level for level, _ in having)]), None)


def _person_waits(_: Sequence[LevelFigures], need: Need) -> Ruling:
    question = Question.PERSON_WAITS
    if need.person_waits:
        return Ruling(question, RuleAnswer.YES, "taken for granted without --program")
    return Ruling(question, RuleAnswer.NO, "--program; a program gains nothing by the first words", Choice.BATCH)


def _half_is_useful(levels: Sequence[LevelFigures], need: Need) -> Ruling:
    question = Question.HALF_IS_USEFUL
    if not need.half_is_useful:
        return Ruling(question, RuleAnswer.NO, "--whole-only; it can only be used whole", Choice.BATCH)
    if _gain(levels)[0] is RuleAnswer.CANNOT_TELL:
        because = "taken for granted without --whole-only; but whether it comes sooner cannot be told"
        return Ruling(question, RuleAnswer.YES, because, Choice.CANNOT_TELL)
    return Ruling(question, RuleAnswer.YES, "taken for granted without --whole-only", Choice.STREAM)


RULES: tuple[Callable[[Sequence[LevelFigures], Need], Ruling], ...] = (
    _streams_arrive,
    _silence_survives,
    _batch_arrives,
    _same_time,
    _first_text_comes_early,
    _person_waits,
    _half_is_useful,
)
"""In their order: what the path does to both, then what the application gains."""

_DIES = "Batch replies die of their own silence on this path, unless that timeout is raised."

_HELD = (
    "A stream gains nothing here, for its text comes hardly before its end: something on the path holds it, or the "
    "model writes that late. `lab audit` looks for what holds it."
)

_SENTENCES = {
    Choice.STREAM: "Stream, and handle a partial answer as a case of its own.",
    Choice.BATCH: "Ask for batch replies: a batch reply is whole or an error.",
    Choice.MEND_THE_PATH: "Mend the path first: it loses streamed answers.",
    Choice.CANNOT_TELL: "These figures cannot tell: compare again with more --runs and longer answers.",
}


def _sentence(rulings: Sequence[Ruling], need: Need) -> str:
    """What to do, by the last ruling; what was never tried is not recommended without saying so."""
    choice, question = rulings[-1].choice or Choice.CANNOT_TELL, rulings[-1].question
    sentence = _SENTENCES[choice]
    if question is Question.SILENCE_SURVIVES:
        sentence = f"{sentence} {_DIES}"
    if question is Question.SOONER:
        sentence = f"{sentence} {_HELD}"
    untried = any(
        ruling.question is Question.SILENCE_SURVIVES and ruling.answer is RuleAnswer.CANNOT_TELL for ruling in rulings
    )
    if choice is Choice.BATCH and untried and need.longest is not None:
        longest = write_duration(need.longest)
        sentence = f"{sentence} But first find out whether the path survives a silence of {longest}."
    return sentence


def tell(losses: Sequence[Loss]) -> str:
    """Losses in words: `5 to first-byte-timeout at 2.00 s, 1 to cut`."""
    return ", ".join(
        f"{loss.count} to {loss.to}" + (f" at {loss.timeout:.2f} s" if loss.timeout is not None else "")
        for loss in losses
    )


def _losses(ways: Sequence[WayFigures], *, refused: bool = False) -> tuple[Loss, ...]:
    """The losses of all levels, one entry a cause, without what the endpoint itself refused, or just that."""
    return sum_losses(loss for way in ways for loss in way.losses if loss.refused is refused)


def _lost(ways: Sequence[WayFigures]) -> Interval | None:
    return share_interval(sum(loss.count for loss in _losses(ways)), _answered(ways))


def _share(ways: Sequence[WayFigures]) -> str:
    return f"{sum(loss.count for loss in _losses(ways))} of {_answered(ways)}"


def _answered(ways: Sequence[WayFigures]) -> int:
    """How many the endpoint did not refuse."""
    return _count(ways) - sum(loss.count for loss in _losses(ways, refused=True))


def _count(ways: Sequence[WayFigures]) -> int:
    return sum(way.lost.count for way in ways if way.lost is not None)
