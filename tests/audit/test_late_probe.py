"""A probe that is late, on real sockets: its own lateness is never taken for a buffer, nor a buffer for streaming."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from busy import busy_processes

from lab.audit.conclude.findings import Confidence, DeliveryFinding, conclude
from lab.audit.programme import Wish, make_programme
from lab.audit.run import Run
from lab.endpoint.address import endpoints_of
from lab.endpoint.keys import Keys
from lab.endpoint.samples import Sample
from lab.vocabulary import Delivery

from .conftest import Answer, Foreign
from .test_bad_input import END, TEXT

TOKENS, INTERVAL = 60, 0.04
AT_ONCE = 6
LONGEST = 20.0
"""Seconds after which a blocked loop or a waiting handler gives up, so that a fault ends the test."""

# A process that does nothing but compute, and stops by itself whatever becomes of the test.


@dataclass
class Meeting:
    """Where the endpoint and a probe that sleeps wait for each other."""

    arrived: int = 0
    asleep: bool = False
    written: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait without a thread, for the event loops' threads are few."""
        async with asyncio.timeout(LONGEST):
            while not condition():  # noqa: ASYNC110  # the two loops live in different threads
                await asyncio.sleep(0.005)


def writing(burst: int, meeting: Meeting | None = None) -> Answer:
    """An endpoint that hands tokens on in bursts of a size; 1 is one that streams."""

    async def answer(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        if meeting is not None:
            meeting.arrived += 1
            await meeting.until(lambda: meeting.asleep)
        for _ in range(0, TOKENS, burst):
            await asyncio.sleep(INTERVAL * burst)
            await reply.write(TEXT % b"word " * burst)
        await reply.write(END)
        if meeting is not None:
            meeting.written.release()
        return reply

    return answer


async def asked(url: str, *beside: Callable[[], None]) -> list[Sample]:
    """A round of single requests and one at once, with something in the probe's own loop beside them."""
    programme = make_programme(endpoints_of(url), Wish(runs=1, at_once=AT_ONCE))
    rounds = tuple(each for each in programme.rounds if len(each) == AT_ONCE)
    run = Run(replace(programme, rounds=rounds), Keys(), "m", LONGEST, None, lambda _: None)
    for start in beside:
        asyncio.get_running_loop().call_soon(start)
    await run.run()
    return run.samples


def finding(samples: Sequence[Sample], direct: Sequence[Sample] = ()) -> DeliveryFinding:
    """What an audit says of the samples; `direct` ones are those of the model's own address."""
    control = [
        replace(one, setting=replace(one.setting, route=replace(one.setting.route, name="direct"))) for one in direct
    ]
    (group,) = [each for each in conclude([*samples, *control], longest=None).groups if each.route == "path"]
    return group.delivery


def wide_awake(sample: Sample) -> Sample:
    """The same sample as if nobody had noted that the probe was late."""
    trace = replace(sample.evidence.trace, stalls=())
    return replace(sample, evidence=replace(sample.evidence, trace=trace))


def test_a_probe_that_slept_through_the_answers_blames_nobody(foreign: Foreign) -> None:
    """All tokens lie in the sockets when the probe wakes; the times alone would be called a batch, for certain."""
    meeting = Meeting()

    async def nap() -> None:
        await meeting.until(lambda: meeting.arrived == AT_ONCE)
        meeting.asleep = True
        for _ in range(AT_ONCE):
            # Blocks the loop: this is the lateness.
            meeting.written.acquire(timeout=LONGEST)

    async def asked_by_a_sleeper(url: str) -> list[Sample]:
        samples, _ = await asyncio.gather(asked(url), nap())
        return samples

    samples = asyncio.run(asked_by_a_sleeper(foreign(writing(1, meeting))))
    control = asyncio.run(asked(foreign(writing(1))))
    for direct in ((), control):
        assert finding([wide_awake(each) for each in samples], direct).delivery is Delivery.BATCHED
        assert finding(samples, direct).confidence is Confidence.CANNOT_TELL


@pytest.fixture
def busy() -> Iterator[None]:
    """Four processes that take all the processor they get."""
    with busy_processes(4):
        yield


def napping_every(period: float, nap: float) -> Callable[[], None]:
    """Blocks the loop for so long, again and again, as other work of the same process would."""

    def again() -> None:
        time.sleep(nap)
        asyncio.get_running_loop().call_later(period - nap, again)

    return again


@pytest.mark.busy
@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("nap", [0.0, 0.15, 0.28], ids=["awake", "half asleep", "nearly asleep"])
def test_no_wrong_word_on_a_busy_machine(foreign: Foreign, nap: float) -> None:
    """Beside four busy processes, and with a loop that sleeps evenly: streaming is no buffer, a hold no streaming."""
    beside = [napping_every(0.3, nap)] if nap else []
    streams = asyncio.run(asked(foreign(writing(1)), *beside))
    holds = asyncio.run(asked(foreign(writing(5)), *beside))
    control = asyncio.run(asked(foreign(writing(1)), *beside))
    for direct in ((), control):
        assert finding(streams, direct).delivery in (Delivery.INCREMENTAL, Delivery.UNPROVEN)
        assert finding(holds, direct).delivery in (Delivery.COALESCED, Delivery.BATCHED, Delivery.UNPROVEN)
    if nap:
        assert any(sample.evidence.trace.stalls for sample in streams)
