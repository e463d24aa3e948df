from __future__ import annotations

from dataclasses import replace

import pytest

from lab.compare.advice import Answer, Choice, Need, advise
from lab.compare.figures import LevelFigures, Loss, WayFigures
from lab.compare.intervals import Interval, share_interval
from lab.words import Cause, Ending

COUNT = 12


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
        silence=first if stream else total,
        rate=interval(1 / total),
        wire_bytes=interval(1000),
        lost=share_interval(lost, COUNT),
        losses=losses,
    )


def level(stream: WayFigures | None = None, batch: WayFigures | None = None) -> LevelFigures:
    """A level over a sound path, but for what is given."""
    return LevelFigures(1, stream or way(True), batch or way(False), interval(0.1))


FIRST_BYTE = Loss(Cause.FIRST_BYTE_CLOCK, 5, 2.0)


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


def test_a_clock_that_ends_batch_replies_decides_for_streaming_even_in_a_pipeline() -> None:
    """Where silence is fatal, tokens keep the connection alive, whoever reads them."""
    advice = advise([level(batch=way(False, losses=(FIRST_BYTE,)))], Need(person_waits=False, half_is_useful=False))
    assert advice.choice is Choice.STREAM
    assert advice.rulings[-1].answer is Answer.YES
    assert "5 to first-byte-clock at 2.00 s" in advice.rulings[-1].because


def test_a_path_that_loses_streams_is_to_be_mended() -> None:
    """A total clock ends both ways, so that neither can be recommended."""
    loss = Loss(Cause.TOTAL_CLOCK, 2, 15.0)
    found = advise([level(way(True, losses=(loss,)), way(False, losses=(loss,)))], Need())
    assert found.choice is Choice.MEND_THE_PATH


def test_batch_replies_that_are_lost_to_no_clock_count_too() -> None:
    """Whatever it is that takes batch replies, the streams came through."""
    found = advise([level(batch=way(False, losses=(Loss(Ending.CUT, 1),)))], Need(person_waits=False))
    assert found.choice is Choice.STREAM
    assert found.rulings[-1].because.startswith("batch replies lost 1 to cut")


def test_a_stream_that_comes_all_at_once_is_a_batch_reply_with_more_to_go_wrong() -> None:
    """Over a path that buffers, the first text comes when the batch reply does."""
    found = advise([level(stream=way(True, first=3.95))], Need())
    assert found.choice is Choice.BATCH
    assert found.rulings[-1].answer is Answer.NO


def test_too_few_answers_leave_the_gain_open() -> None:
    """Without an interval, the rule says that it cannot tell, and the need decides."""
    few = replace(way(False), total=Interval(4.0, None, None, 2))
    found = advise([level(batch=few)], Need())
    assert [ruling.answer for ruling in found.rulings if "first text" in ruling.question] == [Answer.CANNOT_TELL]
    assert found.choice is Choice.STREAM


def test_a_longer_generation_than_was_tried_is_said_to_be_open() -> None:
    """A survived silence of 4 s says nothing of ten minutes."""
    found = advise([level()], Need(longest=600.0))
    ruling = found.rulings[1]
    assert ruling.answer is Answer.CANNOT_TELL
    assert "4.0 s" in ruling.because
    assert "600s" in ruling.because


def test_losses_of_all_levels_are_summed() -> None:
    """Five at one level and five at the next are ten to one clock."""
    both = [level(batch=way(False, losses=(FIRST_BYTE,)))] * 2
    assert "10 to first-byte-clock" in advise(both, Need()).rulings[-1].because


def test_without_figures_there_is_no_advice() -> None:
    """A comparison that measured only one way has none."""
    with pytest.raises(ValueError, match="both ways"):
        advise([], Need())
