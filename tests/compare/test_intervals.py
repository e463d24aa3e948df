from __future__ import annotations

import random

import pytest

from lab.compare.intervals import FEWEST, Interval, median_interval, share_interval


def test_few_values_have_a_median_and_no_interval() -> None:
    """Five values enclose the median with 93.75 %, which is not enough; six do with 96.9 %."""
    assert median_interval([3.0, 1.0, 2.0, 5.0, 4.0]) == Interval(3.0, None, None, 5)
    assert median_interval([3.0, 1.0, 2.0, 5.0, 4.0, 6.0]) == Interval(3.5, 1.0, 6.0, FEWEST)


def test_the_ranks_are_those_of_the_table_of_the_sign_test() -> None:
    """For 20 values the published 95 % interval of a median runs from the 6th to the 15th; for 50, from 18 to 33."""
    assert median_interval([float(n) for n in range(1, 21)]) == Interval(10.5, 6.0, 15.0, 20)
    assert median_interval([float(n) for n in range(1, 51)]) == Interval(25.5, 18.0, 33.0, 50)


def test_a_median_needs_a_value() -> None:
    """Nothing was measured: there is no estimate."""
    assert median_interval([]) is None
    assert share_interval(0, 0) is None


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    """Of 1,000 skewed batches at least 93 % enclose the median that the distribution has."""
    draw = random.Random(5)
    truth = 2**0.5  # the median of a Pareto distribution with exponent 2
    found = [median_interval([draw.paretovariate(2) for _ in range(15)]) for _ in range(1_000)]
    held = sum(each is not None and each.low is not None and each.low <= truth <= (each.high or 0) for each in found)
    # The standard error of a share of 0.95 among 1,000 is 0.7 %, so 93 % lies three of them below.
    assert held >= 930


def test_a_share_has_wilsons_interval() -> None:
    """Newcombe (1998) gives, for 81 of 263, the ends 0.2553 and 0.3662; and 0 to 0.1611 for 0 of 20."""
    some, none = share_interval(81, 263), share_interval(0, 20)
    assert some is not None
    assert none is not None
    assert (some.low, some.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    assert (none.low, none.high) == (0.0, pytest.approx(0.1611, abs=5e-5))


def test_a_share_of_all_reaches_to_all() -> None:
    """Twenty of twenty mirror none of twenty."""
    found = share_interval(20, 20)
    assert found is not None
    assert found.high == 1.0
    assert found.low == pytest.approx(1 - 0.1611, abs=5e-5)


@pytest.mark.parametrize(("hits", "count"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(hits: int, count: int) -> None:
    """A share is between none and all."""
    with pytest.raises(ValueError, match="hits"):
        share_interval(hits, count)


def test_above_means_that_the_intervals_do_not_touch() -> None:
    """Without an interval, nothing is beyond doubt."""
    assert Interval(5, 4, 6, 9).above(Interval(2, 1, 3, 9))
    assert not Interval(5, 3, 6, 9).above(Interval(2, 1, 3, 9))
    assert not Interval(5, None, None, 2).above(Interval(2, 1, 3, 9))
