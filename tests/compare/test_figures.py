from __future__ import annotations

import pytest
from judge.builder import START, Build

from lab.compare.answers import Unit
from lab.compare.figures import Loss, figures
from lab.compare.intervals import NEVER, Interval
from lab.compare.turns import Generation, Turn
from lab.evidence import TransportEnd
from lab.vocabulary import Cause, Ending
from lab.wire.events import FinishReason

ONE_SECOND = Build(whole=10, interval=0.1)


def turn(stream: bool, *builds: Build, first: int = 0, seconds: float = 1.0) -> Turn:
    """All requests of one way, numbered from `first`."""
    made = [
        Generation(number, stream, len(builds), build.but(stream=stream).evidence())
        for number, build in enumerate(builds, first)
    ]
    return Turn(tuple(made), seconds)


def timed_out(after: float) -> Build:
    """A batch reply that the path ended with a 504; the model server saw the connection close."""
    at = START + after
    return Build(whole=50, status=504, body=b"<html>", ended=at, written=0, finished=False, client_left=at)


def test_a_stream_and_its_batch_reply_are_compared_pair_by_pair() -> None:
    """Of three generations of different length, each stream's total is held against its own batch reply's."""
    builds = [Build(whole=whole, interval=0.1) for whole in (5, 20, 40)]
    (level,) = figures([turn(True, *builds), turn(False, *builds)])
    assert level.slower is not None
    # The builder ends a stream one millisecond after the last token, the finish taking another.
    assert level.slower.count == 3
    assert 0 <= level.slower.value < 0.01
    assert level.left_out == 0


def test_time_is_set_against_length() -> None:
    """A stream of 21 tokens in 2.1 s is no slower than a batch reply of 20 in 2.0 s."""
    (level,) = figures([turn(True, Build(whole=21)), turn(False, Build(whole=20))])
    assert level.slower is not None
    assert abs(level.slower.value) < 0.02


def test_pairs_of_different_length_are_left_out_and_counted() -> None:
    """Twelve tokens against ten are a fifth more, which says nothing of the ways."""
    (level,) = figures([turn(True, Build(whole=12)), turn(False, Build(whole=10))])
    assert (level.slower, level.left_out) == (None, 1)


def test_how_much_sooner_is_held_against_the_streams_own_end_where_no_batch_reply_is_of_its_length() -> None:
    """The first of twelve tokens comes after a twelfth of the stream's time."""
    (level,) = figures([turn(True, Build(whole=12)), turn(False, Build(whole=10))])
    assert level.sooner is not None
    assert abs(level.sooner.value - 11 / 12) < 0.01


def test_tokens_are_counted_only_where_every_answer_counts_them() -> None:
    """The builder's batch reply counts its tokens and its stream does not: both are measured in characters."""
    (level,) = figures([turn(True, ONE_SECOND), turn(False, ONE_SECOND)])
    assert level.unit is Unit.CHARACTERS
    assert level.stream.length == level.batch.length
    ollama = ONE_SECOND.but(wire_format="ollama-chat")
    (level,) = figures([turn(True, ollama), turn(False, ollama)])
    assert level.unit is Unit.TOKENS
    assert level.stream.length is not None
    assert level.stream.length.value == 10


def test_how_much_sooner_the_first_text_comes_is_a_part_of_the_batch_replys_time() -> None:
    """The first of ten tokens comes after a tenth of the time, which is nine tenths sooner."""
    (level,) = figures([turn(True, ONE_SECOND), turn(False, ONE_SECOND)])
    assert level.sooner is not None
    assert abs(level.sooner.value - 0.9) < 0.01


def test_the_first_text_of_a_stream_is_early_and_that_of_a_batch_reply_is_its_end() -> None:
    """With ten tokens 100 ms apart, the first comes after 0.1 s one way and after 1 s the other."""
    (level,) = figures([turn(True, ONE_SECOND), turn(False, ONE_SECOND)])
    assert level.stream.first_text is not None
    assert level.batch.first_text is not None
    assert abs(level.stream.first_text.value - 0.1) < 0.01
    assert abs(level.batch.first_text.value - 1.0) < 0.01


def test_a_rate_counts_whole_answers_only() -> None:
    """Two requests in a turn of two seconds, one of them lost, are half an answer a second."""
    (level,) = figures(
        [turn(True, ONE_SECOND, ONE_SECOND, seconds=2), turn(False, ONE_SECOND, timed_out(0.9), seconds=2)]
    )
    assert (level.stream.rate, level.batch.rate) == (Interval(1.0, None, None, 1), Interval(0.5, None, None, 1))


def test_batch_replies_that_died_of_silence_are_put_down_to_a_timeout() -> None:
    """Two 504 after two seconds without a byte, streams outlived that moment: a first-byte timeout of 2 s."""
    longer = Build(whole=50, interval=0.1)
    (level,) = figures([turn(True, longer, longer), turn(False, timed_out(2.0), timed_out(2.01))])
    assert level.stream.losses == ()
    assert [(loss.to, loss.count, loss.by_timeout) for loss in level.batch.losses] == [
        (Cause.FIRST_BYTE_TIMEOUT, 2, True)
    ]
    assert level.batch.losses[0].timeout is not None
    assert abs(level.batch.losses[0].timeout - 2.0) < 0.05
    assert level.slower is None


def test_a_loss_without_a_cause_is_called_by_its_ending() -> None:
    """A foreign reply that ends cleanly without a marker has no cause that the evidence carries."""
    silent = Build(whole=10, marker=False, reason=None, has_ledger=False, has_plan=False)
    (level,) = figures([turn(True, silent), turn(False, ONE_SECOND)])
    assert level.stream.losses == (Loss(Ending.SILENTLY_TRUNCATED, 1),)


def test_a_token_limit_is_no_loss() -> None:
    """The model itself said where it stopped, which is what an audit's own limit brings about."""
    limited = ONE_SECOND.but(reason=FinishReason.LENGTH)
    (level,) = figures([turn(True, limited), turn(False, limited)])
    assert level.stream.losses == level.batch.losses == ()


def test_held_counts_lost_answers_too() -> None:
    """A connection that ended in a 504 was held as well."""
    (level,) = figures([turn(True, ONE_SECOND), turn(False, timed_out(2.0))])
    assert level.batch.total == Interval(NEVER, None, None, 1)
    assert level.batch.held is not None
    assert level.batch.held.value == 2.0


def test_a_loss_is_the_worst_time() -> None:
    """Of two short batch replies that came and four long ones that did not, the median never comes.

    The same six generations streamed came whole, and cannot look slower for it: the two that came both ways are pairs,
    and the other four are counted beside them.
    """
    long = Build(whole=50, interval=0.1)
    (level,) = figures(
        [turn(True, ONE_SECOND, ONE_SECOND, *[long] * 4), turn(False, ONE_SECOND, ONE_SECOND, *[timed_out(2.0)] * 4)]
    )
    assert level.stream.total is not None
    assert level.stream.total.value == pytest.approx(5.0, abs=0.1)
    assert level.batch.total is not None
    assert level.batch.total.value == NEVER
    assert level.batch.total.low == pytest.approx(1.0, abs=0.1)
    assert level.batch.first_text is not None
    assert level.batch.first_text.value == NEVER
    assert level.slower is not None
    assert (level.slower.count, level.broken_pairs) == (2, 4)


def test_the_first_text_of_a_stream_that_was_cut_later_did_come() -> None:
    """Its reader had the first of ten tokens after 0.1 s; that of a stream which a 504 answered had nothing."""
    cut = ONE_SECOND.but(sent=[1, 2, 3], reason=None, marker=False, end=TransportEnd.SHORT_FIN)
    (level,) = figures([turn(True, cut), turn(False, ONE_SECOND)])
    assert level.stream.total == Interval(NEVER, None, None, 1)
    assert level.stream.first_text is not None
    assert level.stream.first_text.value == pytest.approx(0.1, abs=0.02)
    (level,) = figures([turn(True, timed_out(2.0)), turn(False, ONE_SECOND)])
    assert level.stream.first_text == Interval(NEVER, None, None, 1)


def test_a_turn_whose_other_way_was_not_made_has_no_lost_pair() -> None:
    """A comparison that was stopped amid a round lost nothing by that."""
    (level,) = figures([turn(True, ONE_SECOND), turn(False, ONE_SECOND), turn(True, ONE_SECOND, first=1)])
    assert level.broken_pairs == 0


def test_levels_stand_in_the_order_of_measuring_and_only_where_both_ways_were_measured() -> None:
    """A comparison that was stopped after the streams of the second level has figures of the first."""
    turns = [turn(True, ONE_SECOND), turn(False, ONE_SECOND), turn(True, ONE_SECOND, ONE_SECOND, first=1)]
    assert [level.at_once for level in figures(turns)] == [1]
    assert [level.at_once for level in figures([*turns, turn(False, ONE_SECOND, ONE_SECOND, first=1)])] == [1, 2]


def test_a_cut_is_lost() -> None:
    """Half an answer is no answer for the rate."""
    cut = ONE_SECOND.but(
        sent=[1, 2, 3], reason=None, marker=False, end=TransportEnd.SHORT_FIN, has_ledger=False, has_plan=False
    )
    (level,) = figures([turn(True, cut), turn(False, ONE_SECOND)])
    assert level.stream.lost is not None
    assert level.stream.lost.value == 1.0
