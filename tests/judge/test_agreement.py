"""Deaths that agree: at one time, or in an interval that somebody looks at now and then."""

from __future__ import annotations

from random import Random

import pytest

from lab.judge.agreement import Agreement, agreement_of, tight


def agreed(times: list[float]) -> Agreement | None:
    """How deaths agree that were seen when they came."""
    return agreement_of([(time, 0.0) for time in times], tight(min(times)))


@pytest.mark.parametrize(
    ("timeout", "every"), [(5.0, 1.0), (5.0, 0.5), (5.0, 2.0), (30.0, 1.0), (60.0, 2.0), (3.0, 1.0)]
)
def test_a_clock_that_is_looked_at_now_and_then_is_an_interval(timeout: float, every: float, draw: Random) -> None:
    """Deaths at random moments of a round: the interval holds the timeout and is not much wider than the round."""
    coarse, inside, right_round = 0, 0, 0
    for _ in range(200):
        found = agreed([timeout + draw.random() * every for _ in range(9)])
        if found is None or not found.coarse:
            continue
        coarse += 1
        low, high = found.interval
        assert high - low <= every + 2
        assert low <= found.least
        assert found.ended >= found.most
        inside += low <= timeout <= high
        right_round += every / 2 <= found.round <= 2 * every
    # Nine random moments of half a second lie within 0.3 s now and then, and then they are one time.
    assert coarse >= 160
    assert inside >= 0.9 * coarse
    assert right_round >= 0.95 * coarse


def test_the_words_of_a_coarse_timeout_are_what_was_seen() -> None:
    """The deaths of a timeout of five seconds that is looked at once a second."""
    found = agreed([5.13, 5.24, 5.59, 5.63, 5.64, 5.78])
    assert found is not None
    assert found.interval == (5.0, 6.0)
    assert found.value == 5.0
    assert found.sentence == (
        "between 5.0 and 6.0 s, which is looked at about once a second "
        "(nothing lived longer than 5.78 s and nothing died before 5.13 s)"
    )


def test_deaths_at_one_time_are_exact() -> None:
    """Three deaths at thirty seconds."""
    found = agreed([30.0, 30.02, 30.2])
    assert found is not None
    assert not found.coarse
    assert (found.value, found.sentence) == (30.0, "at 30.00 s")


def test_what_was_seen_late_may_have_come_sooner() -> None:
    """A death that was seen a second late, by a probe that had not run."""
    assert agreement_of([(5.0, 0.0), (6.1, 1.05)], 0.3) == Agreement(5.0, 6.1 - 1.05, 2)


@pytest.mark.parametrize(
    "times",
    [
        [5.1, 5.8],
        [0.06, 0.12, 0.18, 0.54, 0.3, 0.42],
        [11.0, 30.0, 47.0],
        [20.0, 22.0, 26.0, 29.0, 24.0],
        [0.3, 0.4],
    ],
    ids=["two", "short ones", "scattered", "wider than any round", "two of them, short"],
)
def test_what_scatters_is_no_timeout(times: list[float]) -> None:
    """Too few to tell a round from faults, or wider apart than a round."""
    assert agreed(times) is None


def test_lives_that_end_at_random_hardly_ever_look_coarse(draw: Random) -> None:
    """Where each moment is as deadly as the next, six lives agree in two of ten thousand cases by the formula."""
    wrong = sum(agreed([draw.expovariate(0.5) for _ in range(6)]) is not None for _ in range(2000))
    assert wrong <= 5
