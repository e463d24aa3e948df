"""Batches as bars: the wall that a timeout makes."""

from __future__ import annotations

from lab.reports.bars import bars, full_lengths
from lab.reports.scale import Scale
from lab.vocabulary import Ending

from .making import exchange
from .sample import generations

FOUR_SECONDS = Scale(4.0)


def test_bars_are_as_long_as_their_exchanges() -> None:
    """One second of four is a quarter of the width, and the full length of the same name stands behind it."""
    cut, whole = exchange((), "", name="a", total=1.0, ending=Ending.CUT), exchange((), "", name="a", total=3.0)
    drawn = bars([cut], full_lengths([cut, whole]), FOUR_SECONDS)
    assert [(bar.end, bar.full) for bar in drawn.bars] == [(25.0, 75.0)]


def test_bars_stand_in_one_order_on_both_sides() -> None:
    """The order is that of the full lengths, so that a row is one answer on either side."""
    broken, fixed = generations(2.0), generations(None)
    full = full_lengths([*broken, *fixed])
    names = [[bar.name for bar in bars(case, full, FOUR_SECONDS).bars] for case in (broken, fixed)]
    assert names[0] == names[1]
    assert [full[name] for name in names[0]] == sorted(full.values())


def test_bad_ends_at_one_time_make_a_wall() -> None:
    """Answers cut at 2 s show a timeout of 2 s, at half of an axis of 4 s."""
    broken = generations(2.0)
    wall = bars(broken, full_lengths(broken), FOUR_SECONDS).wall
    assert wall is not None
    assert wall.at == 50.0
    assert wall.words == f"{sum(one.ending is Ending.CUT for one in broken)} end at 2.00 s"


def test_bad_ends_at_different_times_make_none() -> None:
    """Two model servers that died at 1 s and at 3 s are no timeout."""
    ends = [exchange((), "", name=name, total=total, ending=Ending.CUT) for name, total in (("a", 1.0), ("b", 3.0))]
    assert bars(ends, full_lengths(ends), FOUR_SECONDS).wall is None


def test_complete_answers_make_none() -> None:
    """Sixteen good ends have no wall and one description."""
    fixed = generations(None)
    drawn = bars(fixed, full_lengths(fixed), FOUR_SECONDS)
    assert drawn.wall is None
    assert drawn.description == "16 of 16 complete"
