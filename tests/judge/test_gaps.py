"""What times of arrival prove, and that a probe which was late itself never makes a path look worse than it is."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.evidence import Stall, Trace, TransportEnd
from lab.judge.gaps import Pattern, delivery_by_gaps
from lab.vocabulary import Delivery

STEADY = [0.5 + 0.04 * number for number in range(60)]
"""A model that writes a token every 40 ms, from 0.5 s to 2.86 s."""


def asleep(times: Sequence[float], naps: Sequence[tuple[float, float]], total: float | None = None) -> Pattern:
    """What a probe reads that slept through these times, and knows that it did."""
    read = [next((until for since, until in naps if since < time <= until), time) for time in times]
    stalls = tuple(Stall(since, until) for since, until in naps)
    return Pattern(tuple(read), total or read[-1] + 0.01, stalls=stalls)


def unnoted(pattern: Pattern) -> Pattern:
    """The same times as a path would have made them: nobody slept."""
    return Pattern(pattern.times, pattern.total)


def delivery(pattern: Pattern) -> Delivery:
    """The delivery alone."""
    return delivery_by_gaps(pattern)[0]


EVERY_300_MS = [(0.45 + 0.3 * number, 0.73 + 0.3 * number) for number in range(9)]
NAPS = {
    "evenly, 280 ms of every 300": (asleep(STEADY, EVERY_300_MS), Delivery.COALESCED),
    "from the request to the end": (asleep(STEADY, [(0.1, 2.9)]), Delivery.BATCHED),
    "and was slow to wake": (
        Pattern((2.92,) * 60, 2.93, stalls=(Stall(0.1, 2.89), Stall(2.89, 2.95))),
        Delivery.BATCHED,
    ),
}
"""When the probe slept, and what the path would be called for it if nobody knew."""


@pytest.mark.parametrize("name", NAPS)
def test_what_the_probe_slept_through_is_not_the_paths_fault(name: str) -> None:
    """Times that are held against a path are held against nobody where the probe was late."""
    pattern, blamed = NAPS[name]
    assert delivery(unnoted(pattern)) is blamed
    assert delivery(pattern) is Delivery.UNPROVEN


def test_the_reason_of_a_batch_that_may_be_none_names_the_probe() -> None:
    """Whoever reads it knows that the machine was busy and the path not to blame."""
    assert "the probe itself was late" in delivery_by_gaps(asleep(STEADY, [(0.1, 2.9)]))[1]


UNEVEN = [0.5 + 0.04 * number + 0.03 * (number // 6 % 2) * (number % 6) for number in range(120)]
"""The same at the pace of a real model, which is not even to the millisecond."""


def held(hold: float, times: Sequence[float] = UNEVEN) -> list[float]:
    """When tokens come over a path that hands on what it has so long after the first that it holds."""
    found: list[float] = []
    for time in times:
        found.append(found[-1] if found and time <= found[-1] else time + hold)
    return found


def test_bursts_stay_bursts_where_the_probe_was_awake_for_most_of_the_silence() -> None:
    """A hold of 200 ms with a stall of 60 ms in the middle of every silence is still one."""
    naps = [(time - 0.15, time - 0.09) for time in sorted(set(held(0.2)))]
    assert delivery(asleep(held(0.2), naps)) is Delivery.COALESCED


def test_a_few_silences_that_were_slept_through_leave_the_others() -> None:
    """Three stalls at the ends of three silences do not hide that the path held in all others."""
    ends = sorted(set(held(0.2)))[2:5]
    assert delivery(asleep(held(0.2), [(end - 0.19, end) for end in ends])) is Delivery.COALESCED


def test_a_batch_stays_one_if_the_probe_was_awake_before_it() -> None:
    """The probe slept early on, and read for two seconds in which nothing came before all came at once."""
    batch = [2.86] * 60
    assert delivery(asleep(batch, [(0.2, 0.8)])) is Delivery.BATCHED
    assert delivery(asleep(batch, [(2.3, 2.86)])) is Delivery.UNPROVEN


@pytest.mark.parametrize(("reads", "told"), [(3, Delivery.BATCHED), (14, Delivery.UNPROVEN)])
def test_a_batch_that_a_busy_machine_reads_in_three_pieces_is_one(reads: int, told: Delivery) -> None:
    """Three segments, each read some hundredths of a second after the one before; fourteen may be a fast model's."""
    times = sorted(3.2 + 0.04 * (number * reads // 14) / (reads - 1) for number in range(14))
    assert delivery_by_gaps(Pattern(tuple(times), 3.25))[0] is told


def test_a_proof_of_streaming_needs_no_sleepless_probe() -> None:
    """Lateness merges moments and makes none, so those that lie apart prove what they prove."""
    assert delivery(asleep(STEADY, [(1.0, 1.1), (1.9, 2.0)])) is Delivery.INCREMENTAL


def test_times_are_laid_from_the_request() -> None:
    """A trace's stalls are on the clock of its reads, and the pattern's begin at the request as its times do."""
    trace = Trace(50.0, 53.0, TransportEnd.FRAMED, stalls=(Stall(51.0, 51.5),))
    assert Pattern.of(trace, [0.5, 1.5]) == Pattern((0.5, 1.5), 3.0, stalls=(Stall(1.0, 1.5),))


def test_bursts_of_one_size_are_as_well_the_models_own() -> None:
    """Sixteen events each 270 ms, again and again: a model's step and a timer over an even model look the same."""
    steps = [0.5 + 0.27 * (number // 16) for number in range(300)]
    found, reason = delivery_by_gaps(Pattern(tuple(steps), steps[-1] + 0.01))
    assert found is Delivery.UNPROVEN
    assert "a model's own steps" in reason


@pytest.mark.parametrize("at_end", [False, True], ids=["the beginning", "the end"])
def test_a_path_that_holds_only_a_part_is_not_incremental(*, at_end: bool) -> None:
    """Thirty-two of 250 tokens at once are worth 0.64 s of the model's time, at either end, in however many reads."""
    times = [0.5 + 0.02 * number for number in range(250)]
    held_part = [times[31] + 0.0005 * number for number in range(32)] + times[32:]
    if at_end:
        held_part = times[:218] + [times[249] + 0.0005 * number for number in range(32)]
    found, reason = delivery_by_gaps(Pattern(tuple(held_part), held_part[-1] + 0.01))
    assert found is Delivery.UNPROVEN
    assert f"at once at the {'end' if at_end else 'beginning'}" in reason


@settings(deadline=None, max_examples=400)
@given(
    interval=st.sampled_from([0.005, 0.01, 0.02, 0.04, 0.08, 0.15]),
    period=st.floats(0.1, 1.5),
    share=st.floats(0.1, 1.0),
    wobble=st.floats(0.0, 0.2),
    seed=st.integers(0, 2**32),
)
def test_no_pattern_of_naps_makes_a_streaming_path_hold(
    interval: float, period: float, share: float, wobble: float, seed: int
) -> None:
    """Whenever and however evenly the probe sleeps, a path that streams is streaming or cannot be told."""
    draw = random.Random(seed)
    times = sorted(0.5 + interval * number + draw.uniform(0, interval) for number in range(80))
    naps, at = [], draw.uniform(0.0, period)
    while at < times[-1] + 1:
        nap = max(period * share * (1 + draw.uniform(-wobble, wobble)), 0.05)
        naps.append((at, at + nap))
        at += max(period, nap)
    assert delivery(asleep(times, naps)) in (Delivery.INCREMENTAL, Delivery.UNPROVEN)
