from __future__ import annotations

from dataclasses import replace

import pytest

from lab.compare.advice import Choice, Need, RuleAnswer, advise
from lab.compare.answers import Unit
from lab.compare.figures import LevelFigures, Loss, WayFigures
from lab.compare.intervals import Interval, share_interval
from lab.vocabulary import Cause, Ending

COUNT = 12

EARLY = Interval(0.87, 0.85, 0.9, COUNT)
NO_SLOWER = Interval(0.0, -0.01, 0.01, COUNT)


def interval(value: float) -> Interval:
    """A measurement whose truth lies within a tenth."""
    return Interval(value, value * 0.9, value * 1.1, COUNT)


def way(stream: bool, *, total: float = 4.0, first: float = 0.5, losses: tuple[Loss, ...] = ()) -> WayFigures:
    """One way's figures; a batch reply's first text is its total, and so is its silence."""
    lost = sum(loss.count for loss in losses)
    return WayFigures(
        stream=stream,
        at_once=1,
        total=interval(total),
        first_text=interval(first if stream else total),
        held=interval(total),
        longest=total,
        silence=first if stream else total,
        rate=interval(1 / total),
        wire_bytes=interval(1000),
        length=interval(100),
        pace=interval(total),
        lost=share_interval(lost, COUNT),
        losses=losses,
    )


def level(
    stream: WayFigures | None = None,
    batch: WayFigures | None = None,
    *,
    sooner: Interval | None = EARLY,
    slower: Interval | None = NO_SLOWER,
) -> LevelFigures:
    """A level over a sound path, but for what is given."""
    return LevelFigures(1, Unit.TOKENS, stream or way(True), batch or way(False), slower, sooner, 0)


FIRST_BYTE = Loss(Cause.FIRST_BYTE_TIMEOUT, 5, 2.0)


@pytest.mark.parametrize(
    ("person_waits", "half_is_useful", "choice"),
    [
        (True, True, Choice.STREAM),
        (True, False, Choice.BATCH),
        (False, True, Choice.BATCH),
        (False, False, Choice.BATCH),
    ],
)
def test_over_a_sound_path_the_need_decides(person_waits: bool, half_is_useful: bool, choice: Choice) -> None:
    """Only a person who can use the beginning gains by the first words' coming early."""
    assert advise([level()], Need(person_waits, half_is_useful)).choice is choice


def test_a_timeout_that_ends_batch_replies_decides_for_streaming_even_in_a_pipeline() -> None:
    """Where silence is fatal, tokens keep the connection alive, whoever reads them."""
    advice = advise([level(batch=way(False, losses=(FIRST_BYTE,)))], Need(person_waits=False, half_is_useful=False))
    assert advice.choice is Choice.STREAM
    assert advice.rulings[-1].answer is RuleAnswer.YES
    assert "5 to first-byte-timeout at 2.00 s" in advice.rulings[-1].because


def test_a_path_that_loses_streams_is_to_be_mended() -> None:
    """A total timeout ends both ways, so that neither can be recommended."""
    loss = Loss(Cause.TOTAL_TIMEOUT, 2, 15.0)
    found = advise([level(way(True, losses=(loss,)), way(False, losses=(loss,)))], Need())
    assert found.choice is Choice.MEND_THE_PATH


def test_batch_replies_that_are_lost_to_no_timeout_count_too() -> None:
    """Eight of twelve batch replies against none of twelve streams is beyond chance, whatever takes them."""
    found = advise([level(batch=way(False, losses=(Loss(Ending.CUT, 8),)))], Need(person_waits=False))
    assert found.choice is Choice.STREAM
    assert found.rulings[-1].because.startswith("batch replies lost 8 to cut")


def test_pairs_of_which_most_had_a_loss_say_nothing_of_the_time() -> None:
    """Twelve pairs are alike to one in a hundred, and twelve more were never pairs: those that came are no sample."""
    lost = replace(level(batch=way(False, losses=(Loss(Ending.CUT, 1),))), broken_pairs=COUNT)
    ruling = advise([lost], Need()).rulings[3]
    assert (ruling.answer, ruling.because[:22]) == (RuleAnswer.CANNOT_TELL, "of 24 pairs 12 had a l")
    assert advise([replace(lost, broken_pairs=1)], Need()).rulings[3].answer is RuleAnswer.YES


def test_one_lost_batch_reply_can_be_chance() -> None:
    """The intervals of one of twelve and of none of twelve overlap: it is said, and decides nothing."""
    found = advise([level(batch=way(False, losses=(Loss(Ending.CUT, 1),)))], Need(person_waits=False))
    assert found.choice is Choice.BATCH
    assert found.rulings[2].answer is RuleAnswer.CANNOT_TELL


def test_one_lost_stream_is_no_pattern() -> None:
    """A path is to be mended for what it does again; a single cut may be anybody's."""
    once, twice = (way(True, losses=(Loss(Ending.CUT, count),)) for count in (1, 2))
    assert advise([level(once)], Need()).rulings[0].answer is RuleAnswer.CANNOT_TELL
    assert advise([level(once)], Need()).choice is Choice.STREAM
    assert advise([level(twice)], Need()).choice is Choice.MEND_THE_PATH


@pytest.mark.parametrize("stream", [True, False])
def test_what_the_endpoint_refused_is_held_against_no_way(stream: bool) -> None:
    """An endpoint that has too much to do says so to whichever request comes."""
    refused = way(stream, losses=(Loss("model-error-status 503", 9, refused=True),))
    found = advise([level(refused) if stream else level(batch=refused)], Need(person_waits=False))
    assert found.choice is Choice.BATCH
    assert found.rulings[0].answer is RuleAnswer.YES


def test_a_stream_that_comes_all_at_once_is_a_batch_reply_with_more_to_go_wrong() -> None:
    """Over a path that buffers, the first text comes when the batch reply does."""
    found = advise([level(stream=way(True, first=3.95), sooner=Interval(0.01, -0.02, 0.03, COUNT))], Need())
    assert found.choice is Choice.BATCH
    assert found.rulings[-1].answer is RuleAnswer.NO


@pytest.mark.parametrize("sooner", [Interval(0.3, 0.1, 0.6, COUNT), Interval(0.9, None, None, 2), None])
def test_where_the_gain_cannot_be_told_neither_can_the_choice_that_hangs_on_it(sooner: Interval | None) -> None:
    """A reader who waits gains by the first text if it comes early: whether it does, more runs must show."""
    found = advise([level(sooner=sooner)], Need())
    assert [ruling.answer for ruling in found.rulings if "first text" in ruling.question] == [RuleAnswer.CANNOT_TELL]
    assert found.choice is Choice.CANNOT_TELL
    assert advise([level(sooner=sooner)], Need(person_waits=False)).choice is Choice.BATCH


@pytest.mark.parametrize(
    ("slower", "answer"),
    [
        (Interval(0.0, -0.02, 0.03, COUNT), RuleAnswer.YES),
        (Interval(0.5, 0.4, 0.6, COUNT), RuleAnswer.NO),
        (Interval(-0.5, -0.6, -0.4, COUNT), RuleAnswer.NO),
        (Interval(0.05, -0.3, 0.4, COUNT), RuleAnswer.CANNOT_TELL),
        (Interval(0.0, None, None, 3), RuleAnswer.CANNOT_TELL),
        (None, RuleAnswer.CANNOT_TELL),
    ],
)
def test_whether_both_take_the_same_time_is_measured_and_not_believed(
    slower: Interval | None, answer: RuleAnswer
) -> None:
    """Within a tenth beyond doubt is the same; outside beyond doubt is not; else nobody can tell."""
    found = advise([level(slower=slower)], Need())
    assert [ruling.answer for ruling in found.rulings if "same time" in ruling.question] == [answer]
    assert found.choice is Choice.STREAM


def test_batch_is_not_recommended_for_a_silence_that_was_not_tried_without_saying_so() -> None:
    """The longest batch reply measured took 4 s; whether the path survives ten minutes is to be found out first."""
    found = advise([level()], Need(person_waits=False, longest=600.0))
    assert found.choice is Choice.BATCH
    assert "600s" in found.sentence
    assert "600s" not in advise([level()], Need(person_waits=False)).sentence


def test_a_longer_generation_than_was_tried_is_said_to_be_open() -> None:
    """A survived silence of 4 s says nothing of ten minutes."""
    found = advise([level()], Need(longest=600.0))
    ruling = found.rulings[1]
    assert ruling.answer is RuleAnswer.CANNOT_TELL
    assert "4.0 s" in ruling.because
    assert "600s" in ruling.because


def test_losses_of_all_levels_are_summed() -> None:
    """Five at one level and five at the next are ten to one clock."""
    both = [level(batch=way(False, losses=(FIRST_BYTE,)))] * 2
    assert "10 to first-byte-timeout" in advise(both, Need()).rulings[-1].because


def test_without_figures_there_is_no_advice() -> None:
    """A comparison that measured only one way has none."""
    with pytest.raises(ValueError, match="both ways"):
        advise([], Need())
