"""Delivery without ground truth: what the times of several samples prove, and what they leave open."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lab.audit.conclude.findings import Confidence, DeliveryFinding, conclude
from lab.endpoint.samples import Sample
from lab.vocabulary import Delivery

from ..foreign import Path, batching, holding, paging, sample, steady, straight, writes

Reads = list[tuple[float, bytes]]

PATHS: dict[str, tuple[Path, set[Delivery]]] = {
    "straight": (straight, {Delivery.INCREMENTAL}),
    "200 ms": (holding(0.2), {Delivery.COALESCED}),
    # An answer that takes no longer than the hold comes whole.
    "1 s": (holding(1.0), {Delivery.COALESCED, Delivery.BATCHED}),
    "whole": (batching, {Delivery.BATCHED}),
    "pages of 4 KiB": (paging(4096), {Delivery.COALESCED, Delivery.BATCHED}),
}
"""What each path does, and every word that is true of it."""


def found(samples: Sequence[Sample]) -> DeliveryFinding:
    """What is concluded of the path."""
    (group,) = [group for group in conclude(samples, longest=None).groups if group.route == "path"]
    return group.delivery


def through(path: Path, times: Sequence[Sequence[float]]) -> list[Sample]:
    """Samples of a path to a model that writes at those times, one row a sample."""
    return [sample(path(writes(row))) for row in times]


DIRECT = [sample(writes(steady(60, 0.04)), route="direct") for _ in range(3)]


@pytest.mark.parametrize("name", PATHS)
def test_with_the_models_own_address_it_is_certain(name: str) -> None:
    """A control that streams leaves no other reading of what the path does to the same answers."""
    path, true = PATHS[name]
    finding = found([*through(path, [steady(60, 0.04)] * 3), *DIRECT])
    assert finding.delivery in true
    assert finding.confidence is Confidence.CERTAIN


@pytest.mark.parametrize("name", ["straight", "200 ms", "whole"])
def test_alone_it_is_likely(name: str) -> None:
    """Without a control, a model can look like the path; its pace is not even, which tells a timer from its steps."""
    path, true = PATHS[name]
    draw = random.Random(3)
    finding = found(through(path, [sorted(time + draw.uniform(0, 0.03) for time in steady(60, 0.04))] * 3))
    assert finding.delivery in true
    assert finding.confidence is Confidence.LIKELY


def test_slow_tokens_do_not_exclude_a_hold() -> None:
    """Tokens that the model writes every 300 ms look alike with and without a hold of 200 ms."""
    for path in (straight, holding(0.2)):
        finding = found(through(path, [steady(60, 0.3)] * 3))
        assert finding.confidence is Confidence.CANNOT_TELL
        assert "do not exclude a hold of 200 ms" in finding.reason


def test_a_pause_of_the_models_does_not_hide_the_rest() -> None:
    """A tool call of five seconds in the middle leaves the proof on both sides of it."""
    times = [*steady(30, 0.04), *steady(30, 0.04, first=7.0)]
    assert found(through(straight, [times] * 2)).delivery is Delivery.INCREMENTAL
    assert found(through(holding(0.2), [times] * 2)).delivery is not Delivery.INCREMENTAL


def test_one_sample_is_no_proof_of_holding() -> None:
    """A path that holds does so in every sample, and one sample may be the machine's lateness."""
    assert found(through(holding(0.2), [steady(60, 0.04)])).confidence is Confidence.CANNOT_TELL


def test_samples_that_differ_prove_nothing() -> None:
    """Bursts in one sample and single tokens in the next: both words would be wrong for one of them."""
    samples = [*through(straight, [steady(60, 0.04)]), *through(batching, [steady(60, 0.04)])]
    finding = found(samples)
    assert finding.confidence is Confidence.CANNOT_TELL
    assert "differ" in finding.reason


def test_a_beginning_that_was_held_is_not_incremental() -> None:
    """A path that holds the first fifteen tokens and streams the rest shows many bursts all the same."""
    times = steady(60, 0.04)
    held = [max(time, times[14]) for time in times]
    assert found(through(straight, [held] * 3)).delivery is not Delivery.INCREMENTAL


def test_a_batch_over_a_slow_link_is_not_incremental() -> None:
    """A large answer, held to its end and then carried in packets, comes in many bursts that cut its events."""
    body = b"".join(data for _, data in writes(steady(400, 0.01)))
    packets = [(5.0 + 0.025 * place, body[at : at + 1448]) for place, at in enumerate(range(0, len(body), 1448))]
    assert len(packets) >= 40
    assert found([sample(packets)] * 3).confidence is Confidence.CANNOT_TELL


def test_longer_answers_with_a_later_first_token_are_named() -> None:
    """A slow start does not grow with the answer; a buffer's does."""
    finding = found(through(batching, [steady(60, 0.04), steady(120, 0.04)]))
    assert finding.delivery is Delivery.BATCHED
    assert "the first token of 60 came after 2.86 s and that of 120 after 5.26 s" in finding.reason


def test_a_late_start_and_a_fast_model_is_no_batch() -> None:
    """Ten seconds of thinking and then 200 tokens a second end in a short burst, which nobody held."""
    assert found(through(straight, [steady(60, 0.005, first=10.0)] * 3)).confidence is Confidence.CANNOT_TELL


def test_a_model_that_writes_in_bursts_is_not_the_paths_fault() -> None:
    """Bursts that the model's own address shows as well are held against nobody, and the reason names the model."""
    bursts = [0.5 + 0.3 * (number // 5) for number in range(60)]
    direct = [sample(writes(bursts), route="direct")] * 3
    finding = found([*through(straight, [bursts] * 3), *direct])
    assert finding.confidence is Confidence.CANNOT_TELL
    assert "a model's own steps" in finding.reason


def test_no_token_at_all() -> None:
    """Without a token there is no delivery."""
    assert found([sample([], status=504)]).delivery is Delivery.NONE


def merged(reads: Reads, away: Sequence[tuple[float, float]]) -> Reads:
    """What the machine reads if it cannot read in those stretches (start, length)."""
    done: Reads = []
    for time, data in reads:
        at = time
        for start, length in sorted(away):
            at = start + length if start <= at < start + length else at
        if done and at <= done[-1][0]:
            done[-1] = (done[-1][0], done[-1][1] + data)
        else:
            done.append((at, data))
    return done


NAPS = {
    "all the time": [(0.1, 2.8)],
    "evenly": [(0.45 + 0.3 * number, 0.28) for number in range(9)],
}
"""Start and length of the times in which the probe slept."""


@pytest.mark.parametrize("with_direct", [False, True], ids=["alone", "with-direct"])
@pytest.mark.parametrize("name", NAPS)
def test_what_the_probe_slept_through_is_held_against_no_path(name: str, *, with_direct: bool) -> None:
    """The times alone would be blamed on the path, with the control for certain; the noted stalls leave it open."""
    reads = merged(writes(steady(60, 0.04)), NAPS[name])
    noted = [(start, start + length) for start, length in NAPS[name]]
    control = DIRECT if with_direct else []
    assert found([*[sample(reads)] * 3, *control]).delivery in (Delivery.BATCHED, Delivery.COALESCED)
    assert found([*[sample(reads, stalls=noted)] * 3, *control]).confidence is Confidence.CANNOT_TELL


@pytest.mark.parametrize(("punctual", "told"), [(2, Delivery.BATCHED), (1, Delivery.UNPROVEN)])
def test_a_sample_that_the_probe_slept_through_contradicts_no_other(punctual: int, told: Delivery) -> None:
    """What it read as it woke came at the end or before; two others that came at the end are enough, one is not."""
    batch = batching(writes(steady(60, 0.04)))
    samples = [*[sample(batch)] * punctual, sample(batch, stalls=[(1.0, batch[-1][0])])]
    assert found(samples).delivery is told


@settings(max_examples=100)
@given(
    name=st.sampled_from(sorted(PATHS)),
    interval=st.sampled_from([0.01, 0.02, 0.04, 0.08, 0.15]),
    seed=st.integers(0, 2**32),
    stretches=st.lists(st.lists(st.tuples(st.floats(0, 13), st.floats(0.01, 0.5)), max_size=8), min_size=3, max_size=3),
    with_direct=st.booleans(),
)
def test_late_reading_never_makes_a_wrong_verdict(
    name: str, interval: float, seed: int, stretches: list[list[tuple[float, float]]], *, with_direct: bool
) -> None:
    """Whatever is read late, in stretches of up to half a second, the word is true of the path or cannot be told.

    Unless it is the first token of every sample, and nobody noted it: that is how a held beginning looks.
    """
    assume(not all(any(start <= 0.55 and start + length > 0.5 for start, length in away) for away in stretches))
    path, true = PATHS[name]
    jitter = random.Random(seed)
    times = sorted(time + jitter.uniform(0, 0.05) for time in steady(80, interval))
    samples = [sample(merged(path(writes(times)), away)) for away in stretches]
    finding = found([*samples, *(DIRECT if with_direct else [])])
    if finding.confidence is not Confidence.CANNOT_TELL:
        assert finding.delivery in true
