from __future__ import annotations

import itertools
import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, randoms

from lab.evidence import Evidence, Stall, TransportEnd, Written
from lab.judge import judge, judge_all
from lab.judge.agreement import COARSE_DEATHS, COARSE_PART
from lab.judge.endings import Reading
from lab.judge.timeouts import SHORTEST_IDLE, Exposure, blame, exposure_of, tolerance
from lab.vocabulary import Cause, Ending

from .builder import START, Build

ROUNDING = 1e-6
"""Seconds: what sums of seconds lose."""

FIRST, IDLE, TOTAL = Cause.FIRST_BYTE_TIMEOUT, Cause.IDLE_TIMEOUT, Cause.TOTAL_TIMEOUT


def cut(times: list[float], at: float, *, status: int = 200, stream: bool = True) -> Evidence:
    """Tokens left at those seconds from the request, then something on the path ended it at second `at`."""
    whole = len(times) + 5
    arrivals = {number: START + time for number, time in enumerate(times, 1)}
    build = Build(
        whole=whole,
        written=len(times),
        sent=range(1, len(times) + 1),
        reason=None,
        marker=False,
        end=TransportEnd.FRAMED if status >= 400 else TransportEnd.SHORT_FIN,
        status=status if times or status >= 400 else 0,
        body=b"<html>" if status >= 400 else None,
        stream=stream,
        client_left=START + at,
        ended=START + at,
        arrivals=arrivals,
        interval=0.0,
    )
    return _timed(build.evidence(), times)


def whole(times: list[float]) -> Evidence:
    """Tokens left at those seconds from the request, and then the answer was over."""
    arrivals = {number: START + time for number, time in enumerate(times, 1)}
    return _timed(Build(whole=len(times), arrivals=arrivals, interval=0.0).evidence(), times)


def _timed(evidence: Evidence, times: list[float]) -> Evidence:
    assert evidence.ledger is not None
    tokens = tuple(Written(number, START + time) for number, time in enumerate(times, 1))
    ledger = replace(evidence.ledger, tokens=tokens, headers_at=tokens[0].at if tokens else None)
    return replace(evidence, ledger=ledger)


def steady(until: float, step: float = 0.2) -> list[float]:
    """Times of tokens that leave all `step` seconds until then."""
    return [step * n for n in range(1, int(until / step) + 1)]


def causes(*evidences: Evidence) -> list[Cause | None]:
    """The causes that the judge sees in exchanges over one route."""
    return [verdict.cause for verdict in judge_all(evidences)]


def test_no_byte_until_a_504_is_a_timeout_on_the_first_byte() -> None:
    """A proxy's own timeout page after two seconds without any byte."""
    verdict = judge(cut([], 2.0, status=504))
    assert (verdict.ending, verdict.cause) == (Ending.PROXY_ERROR_STATUS, FIRST)
    assert "2.00 s" in verdict.sentence


def test_a_new_silence_before_a_cut_is_an_idle_timeout() -> None:
    """Tokens all 0.2 s, then two seconds of silence, then the cut."""
    assert causes(cut(steady(2.0), 4.0)) == [IDLE]


def test_a_cut_amid_running_tokens_is_a_timeout_on_the_whole() -> None:
    """Tokens all 0.2 s to the very moment of the cut."""
    assert causes(cut(steady(4.0), 4.05)) == [TOTAL]


def test_one_exchange_says_what_it_cannot_exclude() -> None:
    """A silent death after one token fits an idle timeout, and a timeout on the whole too."""
    sentence = judge(cut([0.1], 2.1)).sentence
    assert "an idle timeout at 2.00 s" in sentence
    assert "also a timeout on the whole exchange" in sentence


def test_a_steady_stream_that_outlived_the_moment_excludes_the_total() -> None:
    """A control of ten seconds leaves nothing but the idle timeout."""
    first, _ = judge_all([cut([0.1], 2.1), whole(steady(10.0))])
    assert first.cause is IDLE
    assert "also" not in first.sentence


def test_a_survived_silence_excludes_the_idle_timeout() -> None:
    """A control survived five seconds of silence, so the silent death at two was the timeout on the whole."""
    assert causes(cut([0.1], 2.1), whole([0.1, 0.2, 0.3]), cut(steady(2.0), 2.1))[0] is TOTAL
    assert causes(cut([0.1], 7.0), whole([0.1, 6.5]))[0] is TOTAL


def test_first_byte_and_total_are_settled_by_a_control_that_streams_longer() -> None:
    """No byte until two seconds; a steady stream died at two as well, or lived for six."""
    assert causes(cut([], 2.0), cut(steady(2.0), 2.05)) == [TOTAL, TOTAL]
    assert causes(cut([], 2.0), whole(steady(6.0))) == [FIRST, None]


def test_a_batch_reply_that_waits_is_a_timeout_on_the_first_byte() -> None:
    """Nothing until the end: first-byte and idle timeouts coincide, and it is called the first-byte timeout."""
    assert causes(cut([], 2.0, status=504, stream=False)) == [FIRST]


def test_early_headers_count_as_a_byte() -> None:
    """After headers at once, a silence of two seconds cannot be the timeout on the first byte."""
    evidence = cut([], 2.0)
    assert evidence.ledger is not None
    assert causes(replace(evidence, ledger=replace(evidence.ledger, headers_at=START + 0.01))) == [IDLE]


def test_heartbeats_that_do_not_save_a_stream_exclude_the_idle_timeout() -> None:
    """Heartbeats all 0.5 s until the cut at three: nothing was idle."""
    evidence = cut([0.1], 3.0)
    assert evidence.ledger is not None
    beats = tuple(START + 0.5 * n for n in range(1, 6))
    assert causes(replace(evidence, ledger=replace(evidence.ledger, heartbeats=beats))) == [TOTAL]


def test_what_the_proxy_read_counts_even_if_it_handed_nothing_on() -> None:
    """A proxy that collects the reply: the probe saw no byte, the model wrote for two seconds and fell silent."""
    evidence = cut(steady(2.0), 4.0)
    trace = replace(evidence.trace, reads=(), body=(), status=None, headers=(), end=TransportEnd.NO_REPLY)
    assert causes(replace(evidence, trace=trace)) == [IDLE]


def test_a_death_that_the_probe_saw_late_agrees_with_the_others() -> None:
    """One cut at second 2; another at second 3.2, and since second 1.9 the probe had not run."""
    early, late = cut(steady(1.9), 2.0), cut(steady(1.9), 3.2)
    assert causes(early, late) != [TOTAL, TOTAL]
    stalled = replace(late, trace=replace(late.trace, stalls=(Stall(START + 1.9, START + 3.2),)))
    verdicts = judge_all([early, stalled])
    assert [verdict.cause for verdict in verdicts] == [TOTAL, TOTAL]
    assert verdicts[1].timeout == pytest.approx(2.0)


def test_a_stall_that_was_over_excuses_nothing() -> None:
    """The probe ran again for a second before the cut came."""
    early, late = cut(steady(1.9), 2.0), cut(steady(1.9), 3.2)
    stalled = replace(late, trace=replace(late.trace, stalls=(Stall(START + 1.0, START + 2.2),)))
    assert causes(early, stalled) == causes(early, late)


def test_what_a_path_does_after_the_model_died_is_no_survival() -> None:
    """It kept the client's side open for 1.5 s after the model had gone, on no timeout of the exchange's."""
    dead = Build(whole=9, sent=(1, 2), written=2, reason=None, marker=False, fault="rst@2", fault_at=START + 1.2)
    dead = dead.but(end=TransportEnd.RESET, ended=START + 2.7, interval=0.1)
    assert causes(cut(steady(1.9), 2.0), dead.evidence()) == [TOTAL, Cause.MODEL_DIED]


def test_two_timeouts_on_one_route_are_each_found() -> None:
    """One value cannot explain both deaths, so each is held against the survivors alone."""
    assert causes(cut([], 2.0), cut(steady(10.0), 10.05), whole(steady(6.0))) == [FIRST, TOTAL, None]


def test_two_silences_that_differ_are_not_one_idle_timeout() -> None:
    """One died after two seconds of silence and one after six, both eight seconds from the request."""
    first, second = judge_all([cut([6.0], 8.0), cut([2.0], 8.0)])
    assert first.cause is second.cause is TOTAL
    assert "8.00 s" in first.sentence
    assert "idle" not in first.sentence


def test_a_complete_answer_whose_connection_was_dropped_early_is_no_death() -> None:
    """The client had it all and left before the model server was done; that says nothing of a timeout."""
    control = whole(steady(10.0))
    assert control.ledger is not None
    control = replace(control, ledger=replace(control.ledger, client_left=START + 10.001))
    silent, _ = judge_all([cut([0.1], 2.1), control])
    assert silent.cause is IDLE
    assert "also" not in silent.sentence, "the control outlived the total, and counts as a survivor"


def test_a_model_that_died_does_not_mislead_about_another_exchange() -> None:
    """A stream died of its model at the moment of another's 504; taken for a timeout's, it would tell of a total."""
    died = cut(steady(2.0), 2.05)
    assert died.ledger is not None
    ledger = replace(died.ledger, fault="fin@10", fault_at=START + 2.0, client_left=None, finished=None)
    assert causes(cut([], 2.0), replace(died, ledger=ledger)) == [FIRST, Cause.MODEL_DIED]


def test_the_timeout_ran_out_when_the_proxy_left_the_model_not_when_the_client_heard_of_it() -> None:
    """A proxy that leaves the model after two seconds of silence and tells its client a second later."""
    evidence = cut(steady(2.0), 4.0)
    evidence = replace(evidence, trace=replace(evidence.trace, ended=START + 5.0))
    assert "an idle timeout at 2.00 s" in judge(evidence).sentence


def test_a_clean_end_by_a_timeout_is_a_silent_truncation_by_that_timeout() -> None:
    """A proxy that turns its own timeout into a clean end."""
    evidence = cut(steady(2.0), 4.0)
    verdict = judge(replace(evidence, trace=replace(evidence.trace, end=TransportEnd.FRAMED)))
    assert (verdict.ending, verdict.cause) == (Ending.SILENTLY_TRUNCATED, IDLE)


@pytest.mark.parametrize("fault", ["fin@10", "rst@10"])
def test_a_model_that_died_is_no_timeout(fault: str) -> None:
    """The ledger's fault explains the end; the same silence without it would be an idle timeout."""
    evidence = cut(steady(2.0), 4.0)
    assert evidence.ledger is not None
    ledger = replace(evidence.ledger, fault=fault, fault_at=START + 4.0, client_left=None)
    assert causes(replace(evidence, ledger=ledger)) == [Cause.MODEL_DIED]


def test_a_frozen_model_leaves_the_end_to_the_timeout() -> None:
    """Freezing ends nothing: the path's idle timeout did."""
    evidence = cut(steady(2.0), 4.0)
    assert evidence.ledger is not None
    ledger = replace(evidence.ledger, fault="freeze@10", fault_at=START + 2.0)
    assert causes(replace(evidence, ledger=ledger)) == [IDLE]


def test_the_probes_own_patience_is_no_timeout_of_the_path() -> None:
    """Whoever gave up was the probe."""
    evidence = cut(steady(2.0), 4.0)
    trace = replace(evidence.trace, end=TransportEnd.MIDDLE_TIMEOUT)
    assert causes(replace(evidence, trace=trace)) == [Cause.PROBE_TIMEOUT]


def test_a_request_that_never_reached_the_model_shows_no_timeout_of_the_reply() -> None:
    """A 504 without any ledger: the path failed before there was a reply to wait for."""
    evidence = cut([], 2.0, status=504)
    assert causes(replace(evidence, ledger=None)) == [None]


def test_a_retry_starts_the_timeout_again() -> None:
    """Two attempts of two seconds each: the timeout is two seconds, not four."""
    evidence = cut([], 4.0, status=504)
    assert evidence.ledger is not None
    ledger = replace(evidence.ledger, attempts=2, attempt=2, started=START + 2.0)
    assert "2.00 s" in judge(replace(evidence, ledger=ledger)).sentence


@pytest.mark.parametrize("kind", [FIRST, IDLE, TOTAL])
@given(draw=randoms(use_true_random=False), value=floats(2.0, 20.0))
@settings(max_examples=200)
def test_any_schedules_with_controls_find_the_timeout_that_was_there(kind: Cause, value: float, draw: Random) -> None:
    """A simulated route with one clock, and every exchange on it late by up to 0.3 s, as on a busy machine.

    The controls that a scenario has are among them: a steady stream of three times the timeout, and a
    silence that exceeds it.
    """
    schedules = [
        steady(3 * value, value / draw.uniform(4, 10)),
        [value * draw.uniform(1.5, 3)],
        [0.1, 0.2, 0.2 + value * draw.uniform(1.5, 3)],
        sorted(draw.uniform(0, value / 2) for _ in range(5)),
    ]
    exposed = [played(kind, value, schedule, draw) for schedule in schedules]
    finding = blame([exposure for exposure, _ in exposed])
    assert any(died for _, died in exposed)
    assert finding.cause is kind, finding.sentence
    assert finding.value is not None
    assert value - ROUNDING <= finding.value <= value + 0.3 + ROUNDING


def played(kind: Cause, value: float, schedule: list[float], draw: Random) -> tuple[Exposure, bool]:
    """What an exchange with tokens at those times becomes on a route with one clock of that kind."""
    points = [0.0, *schedule]
    ends = {
        FIRST: value if schedule[0] > value else None,
        TOTAL: value if schedule[-1] > value else None,
        IDLE: next((a + value for i, (a, b) in enumerate(itertools.pairwise(points)) if i and b - a > value), None),
    }
    end = ends[kind]
    came = [at for at in schedule if end is None or at < end]
    over = (came[-1] if end is None else end) + draw.uniform(0, 0.3)
    gaps = [b - a for a, b in itertools.pairwise(came)]
    exposure = Exposure(
        died=end is not None,
        first_byte=None if came else over,
        idle=over - (came[-1] if came else 0.0),
        total=over,
        survived_first_byte=came[0] if came else 0.0,
        survived_idle=max(gaps, default=0.0),
        survived_total=over if end is None else (came[-1] if came else 0.0),
    )
    return exposure, end is not None


def test_a_kind_that_something_outlived_is_never_named() -> None:
    """For random exposures the finding contradicts none of them."""
    draw = Random(7)
    for _ in range(2000):
        exposures = [_random_exposure(draw) for _ in range(draw.randrange(1, 5))]
        finding = blame(exposures)
        for kind in finding.kinds:
            deaths = [v for e in exposures if e.died and (v := e.at_death(kind)) is not None]
            value = min(deaths)
            # Four deaths within half of the shortest may be a coarse timeout's, which ends at a round value.
            coarse = len(deaths) >= COARSE_DEATHS and max(deaths) > value + tolerance(value)
            limit = math.ceil(max(deaths)) if coarse else value + tolerance(value)
            assert max(deaths) <= value + (COARSE_PART * value if coarse else tolerance(value))
            assert all(e.survived(kind) <= limit for e in exposures)
            assert kind is not IDLE or value >= SHORTEST_IDLE


def _random_exposure(draw: Random) -> Exposure:
    times = sorted(draw.uniform(0, 10) for _ in range(draw.randrange(0, 4)))
    end = (times[-1] if times else 0.0) + draw.uniform(0, 5)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    died = draw.random() < 0.6
    last = times[-1] if times else 0.0
    return Exposure(
        died=died,
        first_byte=None if times else end,
        idle=end - last,
        total=end,
        survived_first_byte=times[0] if times else 0.0,
        survived_idle=max(gaps, default=0.0),
        survived_total=last if died else end,
    )


@pytest.mark.parametrize("value", [0.3, 0.8, 1.2])
def test_half_a_second_is_no_tolerance_among_short_lives(value: float) -> None:
    """One died at that time, and another one half a time later: no one timeout ended both."""
    pace = value / 10
    sooner, later = cut(steady(value, pace), value), cut(steady(1.5 * value, pace), 1.5 * value)
    readings = [exposure_of(Reading.of(each)) for each in (sooner, later)]
    assert blame(readings).cause is None


def test_a_client_that_does_not_read_is_ended_by_no_timeout_of_the_model_s_side() -> None:
    """What ended it watched the client: no silence and no length of the model's answer explains it."""
    ended = cut([0.1, 0.2, 0.3], at=1.0)
    assert judge(ended).timeouts == (IDLE, TOTAL)
    rested = replace(ended, trace=replace(ended.trace, pause=Stall(START + 0.1, START + 3.1)))
    verdict = judge(rested)
    assert (verdict.timeouts, verdict.timeout, verdict.cause, verdict.ending) == ((), None, None, Ending.CUT)
    assert "the client read nothing for 3.00 s, in which the model came to token 3" in verdict.sentence
