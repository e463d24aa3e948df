from __future__ import annotations

import random
from dataclasses import replace

import pytest

from lab.evidence import Hold, Stall, TransportEnd
from lab.judge import judge
from lab.vocabulary import Cause, Delivery

from .builder import START, Build, lockstep

TEN = Build(whole=10)


def delivery(build: Build) -> Delivery:
    """The delivery that the judge sees."""
    return judge(build.evidence()).delivery


def test_lockstep_with_every_hold_confirmed_at_once_is_incremental() -> None:
    """Each token arrives a millisecond after it left."""
    assert delivery(lockstep(TEN)) is Delivery.INCREMENTAL


def test_lockstep_with_no_hold_confirmed_is_batched() -> None:
    """Nothing arrives until the model server has given up holding and ended."""
    verdict = judge(lockstep(TEN, confirmed=False).evidence())
    assert (verdict.delivery, verdict.cause) == (Delivery.BATCHED, Cause.BUFFER)


def test_a_floor_under_every_token_is_coalesced() -> None:
    """A path that waits 200 ms for more confirms every hold, late (HAProxy's defaults)."""
    verdict = judge(lockstep(TEN, late=0.2).evidence())
    assert (verdict.delivery, verdict.cause) == (Delivery.COALESCED, Cause.BUFFER)


def test_some_holds_that_ran_out_are_coalesced() -> None:
    """Tokens 1 to 5 arrive together before the answer is over, the others at once."""
    build = lockstep(TEN)
    burst = {number: build.left(5) + 0.01 for number in range(1, 6)}
    holds = tuple(
        Hold(n, build.left(n) + 0.05, confirmed=False) if n < 5 else Hold(n, build.left(n) + 0.02, confirmed=True)
        for n in range(1, 11)
    )
    assert delivery(build.but(arrivals={**build.arrivals, **burst}, holds=holds)) is Delivery.COALESCED


def test_a_burst_with_every_hold_run_out_is_coalesced_if_it_came_before_the_end() -> None:
    """A buffer of five tokens breaks every hold, and yet the first five come long before the last is written."""
    build = lockstep(TEN, confirmed=False)
    arrivals = {number: build.left(5 if number <= 5 else 10) + 0.06 for number in range(1, 11)}
    assert delivery(build.but(arrivals=arrivals)) is Delivery.COALESCED


@pytest.mark.parametrize("seed", range(20))
def test_load_does_not_turn_an_incremental_path_into_another(seed: int) -> None:
    """Nine tokens of ten are late by up to a second; one that is not shows that the path has no floor."""
    draw = random.Random(seed)
    build = lockstep(TEN.but(interval=1.5))
    prompt = draw.randrange(1, 11)
    arrivals = {n: build.left(n) + (0.02 if n == prompt else draw.uniform(0.02, 1.0)) for n in range(1, 11)}
    holds = tuple(Hold(n, arrivals[n] + draw.uniform(0, 0.3), confirmed=True) for n in range(1, 11))
    assert delivery(build.but(arrivals=arrivals, holds=holds)) is Delivery.INCREMENTAL


def test_a_late_confirmation_of_a_token_that_had_come_is_no_fault_of_the_path() -> None:
    """The side channel was slow: the token arrived before its hold ran out."""
    build = lockstep(TEN)
    late = Hold(4, build.left(4) + 0.09, confirmed=False)
    holds = tuple(late if hold.number == 4 else hold for hold in build.holds)
    assert delivery(build.but(holds=holds)) is Delivery.INCREMENTAL


def test_a_hold_that_the_cut_ended_proves_nothing() -> None:
    """The path's timeout cut in a hold: the tokens before had come at once."""
    build = lockstep(TEN).but(written=6, sent=range(1, 6), reason=None, marker=False, end=TransportEnd.RESET)
    left = build.left(6) + 0.05
    holds = (*build.holds[:5], Hold(6, left, confirmed=False))
    verdict = judge(build.but(holds=holds, client_left=left, ended=left).evidence())
    assert verdict.delivery is Delivery.INCREMENTAL


class TestTheProbeWasLateItself:
    """What lay in the probe's socket while it did not run was not held by the path."""

    def test_holds_that_ran_out_meanwhile_prove_nothing(self) -> None:
        """A probe that stands still for the whole exchange reads everything at its end."""
        build = lockstep(TEN, confirmed=False).but(stalls=(Stall(START, START + 60),))
        assert delivery(build) is Delivery.UNPROVEN

    def test_holds_that_ran_out_while_it_ran_still_prove_their_case(self) -> None:
        """It stood still during one hold of ten, and none of the other nine was confirmed either."""
        stall = Stall(TEN.left(3), TEN.left(3) + 0.05)
        assert delivery(lockstep(TEN, confirmed=False).but(stalls=(stall,))) is Delivery.BATCHED

    def test_one_whole_hold_that_it_was_awake_for_is_proof_enough(self) -> None:
        """It ran for two seconds, in which the first token did not come, and slept through the other holds."""
        build = lockstep(TEN.but(interval=0.2), confirmed=False)
        end = build.left(1) + 6.0
        holds = tuple(Hold(n, build.left(1) + 2.0 + 0.2 * (n - 1), confirmed=False) for n in range(1, 11))
        held = build.but(arrivals=dict.fromkeys(range(1, 11), end), holds=holds, ended=end + 0.01)
        asleep = (Stall(build.left(1) + 2.0, end),)
        assert delivery(held.but(stalls=asleep)) is Delivery.BATCHED
        assert delivery(held.but(stalls=(Stall(START, end),))) is Delivery.UNPROVEN

    def test_short_holds_behind_one_that_it_slept_through_prove_nothing(self) -> None:
        """They run out by themselves where the machine has no time: the first was to be the proof."""
        build = lockstep(TEN.but(plan={"hold": 2.0}), confirmed=False)
        assert delivery(build.but(stalls=(Stall(START, build.left(1) + 0.05),))) is Delivery.UNPROVEN
        assert judge(build.but(stalls=(Stall(START, build.left(1) + 0.05),)).evidence()).late

    def test_short_stalls_do_not_hide_a_stamped_batch(self) -> None:
        """All ten tokens came after the last had left; the probe slept a tenth of the second in which they left."""
        late = TEN.but(arrivals={number: TEN.left(10) + 0.01 for number in range(1, 11)})
        assert delivery(late.but(stalls=(Stall(TEN.left(9), TEN.left(10) + 0.01),))) is Delivery.BATCHED

    def test_a_floor_under_tokens_that_it_was_late_for_proves_nothing(self) -> None:
        """Every token is 200 ms late, of which the probe slept 150: the path may have held it, or not."""
        slow = lockstep(TEN.but(interval=0.3), late=0.2)
        asleep = tuple(Stall(slow.left(n), slow.left(n) + 0.15) for n in range(1, 11))
        assert delivery(slow) is Delivery.COALESCED
        assert delivery(slow.but(stalls=asleep)) is Delivery.UNPROVEN

    def test_short_stalls_do_not_excuse_a_path_that_holds_longer(self) -> None:
        """Of the 200 ms that every token was late, the probe slept 60: it was awake for 140, and nothing was there."""
        slow = lockstep(TEN.but(interval=0.3), late=0.2)
        naps = tuple(Stall(slow.left(n) + 0.02, slow.left(n) + 0.08) for n in range(1, 11))
        assert delivery(slow.but(stalls=naps)) is Delivery.COALESCED

    def test_on_a_machine_that_has_no_time_for_anybody_nearly_every_token_must_show_it(self) -> None:
        """Each token was 250 ms late; the probe slept through most of that for five of ten, or for two of them."""
        slow = lockstep(TEN.but(interval=0.3), late=0.25)
        naps = [Stall(slow.left(n) + 0.01, slow.left(n) + 0.24) for n in range(1, 11)]
        verdict = judge(slow.but(stalls=tuple(naps[:5])).evidence())
        assert (verdict.delivery, verdict.late) == (Delivery.UNPROVEN, True)
        assert delivery(slow.but(stalls=tuple(naps[:2]))) is Delivery.COALESCED
        # As much sleep in all, but for every token there were 150 ms in which it would have come.
        short = tuple(Stall(stall.since, stall.since + 0.09) for stall in naps)
        assert delivery(slow.but(stalls=short)) is Delivery.COALESCED

    def test_one_stall_does_not_excuse_a_path_that_holds_every_token(self) -> None:
        """It slept through one of ten tokens that came 200 ms late each; the other nine it saw."""
        slow = lockstep(TEN.but(interval=0.3), late=0.2)
        assert delivery(slow.but(stalls=(Stall(slow.left(4), slow.left(4) + 0.2),))) is Delivery.COALESCED

    def test_a_token_that_came_at_once_proves_its_case_whatever_else_was_slept_through(self) -> None:
        """A stall only ever adds to a delay."""
        slow = lockstep(TEN.but(interval=0.3), late=0.2)
        quick = slow.but(arrivals={**slow.arrivals, 7: slow.left(7) + 0.01})
        asleep = tuple(Stall(slow.left(n), slow.left(n) + 0.2) for n in range(1, 11) if n != 7)
        assert delivery(quick.but(stalls=asleep)) is Delivery.INCREMENTAL

    def test_stamped_tokens_that_waited_for_the_probe_were_not_held(self) -> None:
        """Ten tokens over a second, all read when the probe woke up after the last: batched, or nobody knows."""
        late = TEN.but(arrivals={number: TEN.left(10) + 0.01 for number in range(1, 11)})
        assert delivery(late) is Delivery.BATCHED
        assert delivery(late.but(stalls=(Stall(TEN.left(1), TEN.left(10) + 0.01),))) is Delivery.UNPROVEN


def test_nothing_came_is_none() -> None:
    """Without a token there is no delivery, whatever the holds say."""
    build = lockstep(TEN, confirmed=False).but(sent=(), reason=None, marker=False, end=TransportEnd.NO_REPLY)
    assert delivery(build) is Delivery.NONE


SLOW = TEN.but(interval=0.15)

STAMPED = {
    "each at once": ({}, Delivery.UNPROVEN),
    "all at the end": (dict.fromkeys(range(1, 11), 101.52), Delivery.BATCHED),
    "bursts of five": ({n: START + (0.77 if n <= 5 else 1.52) for n in range(1, 11)}, Delivery.COALESCED),
    "in pairs": ({n: START + 0.02 + 0.15 * (n + n % 2) for n in range(1, 11)}, Delivery.UNPROVEN),
    "one late read of three": (dict.fromkeys((2, 3, 4), 100.62), Delivery.UNPROVEN),
}


@pytest.mark.parametrize("name", STAMPED)
def test_stamped_delivery_is_told_by_when_tokens_left(name: str) -> None:
    """Ten tokens leave over 1.35 s; one late read of a busy probe is not yet a burst, and neither are pairs."""
    arrivals, expected = STAMPED[name]
    assert delivery(SLOW.but(arrivals=arrivals)) is expected


@pytest.mark.parametrize("name", STAMPED)
def test_due_stamps_stand_in_for_a_ledger(name: str) -> None:
    """The same without a ledger: the tokens themselves say how far apart they left."""
    arrivals, expected = STAMPED[name]
    assert delivery(SLOW.but(arrivals=arrivals, has_ledger=False)) is expected


def test_tokens_that_left_together_say_nothing_of_the_path() -> None:
    """Ten tokens within 90 ms in one read: on a busy machine every path does that."""
    build = TEN.but(interval=0.01, arrivals=dict.fromkeys(range(1, 11), 100.11))
    assert delivery(build) is Delivery.UNPROVEN


FOREIGN = {
    "steady": ([0.2 * n for n in range(1, 21)], Delivery.UNPROVEN),
    "all at the end": ([4.0] * 20, Delivery.BATCHED),
    "bursts of a timer": ([1.0] * 5 + [2.0] * 3 + [3.0] * 4 + [4.0] * 7 + [5.0] * 5 + [6.0] * 9, Delivery.COALESCED),
    "bursts of a model's even steps": ([float(n // 5) for n in range(5, 35)], Delivery.UNPROVEN),
    "too few to tell": ([4.0] * 3, Delivery.UNPROVEN),
    "too short to tell": ([0.3] * 20, Delivery.UNPROVEN),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_endpoint_is_judged_by_gaps(name: str) -> None:
    """Without plan, ledger and stamps only the times of arrival are known."""
    times, expected = FOREIGN[name]
    build = Build(whole=len(times), has_plan=False, has_ledger=False, sent=["word "] * len(times))
    evidence = build.evidence()
    body = tuple(
        replace(read, at=START + at) for read, at in zip(evidence.trace.body, [*times, times[-1]], strict=True)
    )
    trace = replace(evidence.trace, body=body, reads=body, ended=START + times[-1] + 0.01)
    assert judge(replace(evidence, trace=trace)).delivery is expected


def test_a_batch_reply_that_was_asked_for_has_no_cause() -> None:
    """All at once is what a batch reply is."""
    verdict = judge(Build(stream=False).evidence())
    assert (verdict.delivery, verdict.cause) == (Delivery.BATCHED, None)


def test_a_client_that_rested_tells_nothing_of_delivery() -> None:
    """All came at once after its pause, and a client that reads on would blame the path for that."""
    held = Build(whole=10, interval=0.1, arrivals=dict.fromkeys(range(1, 11), START + 3.0))
    assert judge(held.evidence()).delivery is Delivery.BATCHED
    assert judge(held.but(pause=Stall(START + 0.1, START + 3.0)).evidence()).delivery is Delivery.UNPROVEN
