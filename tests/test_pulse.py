from __future__ import annotations

import asyncio
import time

from lab.evidence import Evidence, Ledger, Stall, Trace, TransportEnd
from lab.pulse import BEAT, LATE, Pulse


def block(seconds: float) -> Stall:
    """Keep the event loop from running, as a busy machine does."""
    since = time.monotonic()
    time.sleep(seconds)
    return Stall(since, time.monotonic())


async def test_a_loop_that_stands_still_is_noted() -> None:
    """The stall that is found covers the time in which the loop was blocked."""
    with Pulse.of_running_loop() as pulse:
        await asyncio.sleep(BEAT)
        blocked = block(0.3)
        await asyncio.sleep(BEAT)
    (found,) = (stall for stall in pulse.between(blocked.since, blocked.until) if stall.until - stall.since >= 0.3)
    assert found.since <= blocked.since
    assert found.until >= blocked.until


async def test_a_stall_that_ends_with_the_exchange_is_noted_too() -> None:
    """No beat comes after it: leaving looks at the time itself."""
    with Pulse.of_running_loop() as pulse:
        blocked = block(0.2)
    assert any(stall.until >= blocked.until for stall in pulse.between(blocked.since, blocked.until))


async def test_a_stall_is_known_before_the_beat_that_it_put_off() -> None:
    """Who asks right after it is told of it, though the timer has yet to run."""
    with Pulse.of_running_loop() as pulse:
        blocked = block(0.2)
        assert any(stall.until >= blocked.until for stall in pulse.between(blocked.since, blocked.until))


async def test_only_the_stalls_of_the_time_in_question_are_given() -> None:
    """What was over before, and what came after, belongs to other exchanges."""
    with Pulse.of_running_loop() as pulse:
        first = block(0.2)
        await asyncio.sleep(2 * BEAT)
        second = block(0.2)
        await asyncio.sleep(2 * BEAT)
    found = pulse.between(second.since, second.until)
    assert found
    assert all(stall.until > second.since for stall in found)
    assert any(stall.since < first.until for stall in pulse.between(first.since, first.until))


async def test_all_of_a_loop_share_one_pulse_and_it_stops_with_the_last() -> None:
    """Two exchanges, one timer; when both are over, nothing beats."""
    with Pulse.of_running_loop() as one:
        with Pulse.of_running_loop() as other:
            assert one is other
        assert one._timer is not None
    assert one._timer is None
    idle = block(BEAT + LATE + 0.1)
    with one:
        pass
    # The time between two users is nobody's stall.
    assert one.between(idle.since, idle.until) == ()


def test_stalled_counts_only_what_overlaps() -> None:
    """Of a stall from 2 to 5, the time from 4 to 10 holds one second."""
    trace = Trace(0.0, 10.0, TransportEnd.FRAMED, stalls=(Stall(2.0, 5.0), Stall(8.0, 9.0)))
    assert trace.stalled(4.0, 10.0) == 2.0
    assert trace.stalled(5.0, 8.0) == 0.0


def test_what_both_ends_slept_through_counts_once() -> None:
    """Of a stall of the probe's from 2 to 5 and one of the model server's from 4 to 7, the time up to 6 holds four."""
    trace = Trace(0.0, 10.0, TransportEnd.FRAMED, stalls=(Stall(2.0, 5.0),))
    ledger = Ledger("r1", 0.0, stalls=(Stall(4.0, 7.0), Stall(4.5, 4.6)))
    evidence = Evidence("openai-chat", True, trace, ledger=ledger)
    assert evidence.stalled(0.0, 6.0) == 4.0
    assert evidence.stalled(4.5, 5.5) == 1.0
    assert evidence.stalled(7.0, 10.0) == 0.0
    assert Evidence("openai-chat", True, trace).stalled(0.0, 6.0) == 3.0
