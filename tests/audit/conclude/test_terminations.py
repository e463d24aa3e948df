"""What the terminations on a route have in common: a timeout, a number of tokens, or nothing."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from lab.audit.conclude.findings import Conclusions, TimeoutGuess, conclude
from lab.endpoint.samples import Sample
from lab.evidence import TransportEnd
from lab.vocabulary import Cause

from ..foreign import sample, steady, writes


def dying(at: float, pace: float = 0.04, *, tokens: int = 0, clean: bool = False, route: str = "path") -> Sample:
    """An answer that is ended at that time, amid running tokens or after so many."""
    count = tokens or int((at - 0.1) / pace)
    end = TransportEnd.FRAMED if clean else TransportEnd.SHORT_FIN
    made = sample(writes(steady(count, pace, 0.1), marker=False), end=end, ended=at, route=route)
    # Answers that are asked for one after another end at different times of the day.
    return _later(made, 10 * at * count % 1000)


def _later(made: Sample, seconds: float) -> Sample:
    trace = made.evidence.trace
    moved = replace(
        trace,
        started=trace.started + seconds,
        ended=trace.ended + seconds,
        headers_at=(trace.headers_at or 0) + seconds,
        reads=tuple(replace(read, at=read.at + seconds) for read in trace.reads),
        body=tuple(replace(read, at=read.at + seconds) for read in trace.body),
    )
    return replace(made, evidence=replace(made.evidence, trace=moved))


def whole(seconds: float, route: str = "path") -> Sample:
    """An answer that came to its end then."""
    return sample(writes(steady(int((seconds - 0.1) / 0.04), 0.04, 0.1)), route=route)


def concluded(*made: Sample) -> tuple[TimeoutGuess, Conclusions]:
    """What the audit makes of terminations on the path."""
    found = conclude(made, longest=None)
    return next(timeout for timeout in found.timeouts if timeout.route == "path"), found


@pytest.mark.parametrize(("timeout", "every", "often"), [(5.0, 1.0, "once a second"), (8.0, 2.0, "every 2 s")])
def test_a_clock_that_is_looked_at_now_and_then_is_a_timeout(timeout: float, every: float, often: str) -> None:
    """Deaths all through a round, tokens at all paces: an interval by its lower end, and neither a value nor faults."""
    moments = [0.05, 0.18, 0.35, 0.5, 0.6, 0.72, 0.8, 0.91, 0.97]
    guess, found = concluded(*[dying(timeout + every * moment, 0.03 + moment / 100) for moment in moments])
    assert (guess.cause, guess.value) == (Cause.TOTAL_TIMEOUT, timeout)
    assert f"between {timeout:.1f} and {timeout + every:.1f} s" in guess.sentence
    assert f"looked at about {often}" in guess.sentence
    assert "gunicorn: --timeout" in guess.sentence
    assert "faults" not in guess.sentence
    assert any(guess.sentence == problem.sentence for problem in found.problems)


@pytest.mark.parametrize("pace", [0.06, 0.02, 0.5])
def test_answers_that_end_after_a_random_token_show_no_timeout(pace: float, draw: Random) -> None:
    """Whatever the speed: some outlived the others, so no time ended them."""
    counts = [1, 9, *(draw.randint(1, 9) for _ in range(7))]
    guess, _ = concluded(*[dying(0.1 + pace * count, pace, tokens=count, clean=True) for count in counts])
    assert guess.cause is guess.value is None
    assert guess.sentence.endswith(
        "after 1 to 9 events and at no one time: the model or a limit on tokens, not a timeout"
    )


def test_no_timeout_that_a_longer_life_contradicts() -> None:
    """Three deaths between 5.0 and 5.4 s, and an answer of 5.3 s that came whole."""
    guess, _ = concluded(dying(5.0, 0.04), dying(5.02, 0.05), dying(5.25, 0.03), whole(5.9))
    assert guess.cause is None


def test_deaths_that_agree_as_no_faults_do_are_a_timeout_of_some_connections() -> None:
    """Four of six died at 60.06 s within 2 ms, and two outlived it: one survivor is no proof."""
    paces = [0.3, 0.4, 0.5, 0.6]
    made = [dying(60.06 + n / 2000, pace) for n, pace in enumerate(paces)]
    guess, _ = concluded(*made, whole(70.0), whole(70.0))
    assert guess.cause is Cause.TOTAL_TIMEOUT
    assert guess.value == pytest.approx(60.06)
    assert "2 of 6 answers did not, so that it may hold on some connections only" in guess.sentence


def test_deaths_of_one_moment_show_no_timeout_that_others_outlived() -> None:
    """Three that were asked at once died together, of one event."""
    made = [
        _later(sample(writes(steady(n, 1.8 / n, 0.1), marker=False), ended=2.0, end=TransportEnd.RESET), 5)
        for n in (9, 20, 30)
    ]
    guess, _ = concluded(*made, whole(7.0), whole(8.0))
    assert guess.cause is None


@pytest.mark.parametrize("missing", [1, 2])
def test_a_count_within_a_small_spread_is_the_same_count(missing: int) -> None:
    """A model that dies after sixty tokens, of which the path loses the last in some answers: no time is blamed."""
    made = [dying(1.18, 0.018, tokens=60 - (missing if n % 3 == 0 else 0)) for n in range(6)]
    guess, _ = concluded(*made)
    assert guess.cause is None
    assert f"after 1.18 s, each time after {60 - missing} to 60 events and at one time" in guess.sentence
    assert "or a model that dies there; the model's own address would tell (--direct URL)" in guess.sentence


def test_where_the_models_own_address_dies_alike_no_time_is_blamed() -> None:
    """The same count there, or the same time."""
    made = [dying(2.4, 0.03 + n / 500) for n in range(4)]
    assert concluded(*made)[0].cause is Cause.TOTAL_TIMEOUT
    guess, _ = concluded(*made, dying(2.4, 0.05, route="direct"), dying(2.4, 0.02, route="direct"))
    assert guess.cause is None
    assert "die alike: no timeout of the path's" in guess.sentence


def test_where_the_models_own_address_goes_beyond_a_timeout_may_be_blamed() -> None:
    """The model writes evenly, so that count and time agree; its own address sends more."""
    made = [dying(3.0, 0.05, tokens=58 + n % 2) for n in range(4)]
    assert concluded(*made)[0].cause is None
    guess, _ = concluded(*made, whole(9.0, "direct"), whole(8.0, "direct"))
    assert guess.cause is Cause.TOTAL_TIMEOUT
    assert "beyond which the model's own address goes: a timeout, or a limit on size" in guess.sentence


def test_a_list_of_times_never_contradicts_its_own_words() -> None:
    """Sixty events each time and times that differ by hundredths: the times are given as a span."""
    guess, _ = concluded(*[dying(1.18 + n / 100, 0.015, tokens=60) for n in range(5)])
    assert "after 1.18 to 1.22 s, each time after 60 events and not at one time" in guess.sentence


def test_nobody_sets_a_timeout_of_less_than_a_second() -> None:
    """Cuts at 0.6 s, whatever the pace."""
    guess, _ = concluded(*[dying(0.6, 0.02 + n / 200) for n in range(4)])
    assert guess.cause is None
    assert "sooner than any timeout that somebody sets" in guess.sentence
