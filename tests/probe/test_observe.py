from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lab.evidence import Evidence, Ledger, TransportEnd
from lab.judge import judge, judge_all
from lab.model.server import ModelServer
from lab.plan import Plan, plan_from_query
from lab.probe.exchange import Patience
from lab.probe.observe import observe
from lab.probe.side_channel import SideChannel
from lab.vocabulary import Cause, Delivery, Ending, Flag
from lab.wire import FORMATS, format_named

from .conftest import Run
from .fault_server import FaultServer
from .relay import Downstream, all_at_the_end, at_once, idle_timeout, late, relay

CHAT = format_named("openai-chat")
LOCKSTEP = "tokens=6&interval=1ms&lockstep=yes"
HELD = "tokens=3&interval=1ms&lockstep=yes&hold=2s"
"""A probe that does not run for a moment does not make the whole of such a hold doubtful."""


async def through(downstream: Downstream | None, *queries: str, **options: Any) -> list[Evidence]:
    """Observe plans at once, through one relay or directly."""
    wire_format, attempts = options.pop("wire_format", CHAT), options.pop("attempts", 1)
    async with ModelServer() as model, SideChannel(model.base_url) as channel:

        async def observe_all(route: str) -> list[Evidence]:
            plans: list[Plan] = [plan_from_query(query) for query in queries]
            return await asyncio.gather(
                *(observe(route, model.base_url, wire_format, plan, channel=channel, **options) for plan in plans)
            )

        if downstream is None:
            return await observe_all(model.base_url)
        with FaultServer(relay(model.base_url, downstream, attempts)) as server:
            return await observe_all(server.url)


@pytest.mark.parametrize("wire_format", FORMATS)
def test_a_path_without_hops_is_incremental_in_lockstep(run: Run, wire_format: str) -> None:
    """Each token is confirmed before the next is written, and both ends agree on all of them."""
    (evidence,) = run(through(None, LOCKSTEP, wire_format=format_named(wire_format)))
    verdict = judge(evidence)
    assert (verdict.delivery, verdict.ending) == (Delivery.INCREMENTAL, Ending.COMPLETE)
    assert (verdict.received, verdict.written) == (6, 6)
    assert list(evidence.confirmed) == [1, 2, 3, 4, 5, 6]
    assert evidence.ledger is not None
    assert all(hold.confirmed for hold in evidence.ledger.holds)


RELAYS: dict[str, tuple[Callable[[], Downstream], str, Delivery, Cause | None]] = {
    "at once": (lambda: at_once, LOCKSTEP, Delivery.INCREMENTAL, None),
    "all at the end": (lambda: all_at_the_end, HELD, Delivery.BATCHED, Cause.BUFFER),
    "late by 200 ms": (lambda: late(0.2), LOCKSTEP, Delivery.COALESCED, Cause.BUFFER),
}


@pytest.mark.parametrize("name", RELAYS)
def test_relays_are_told_apart_by_lockstep(run: Run, name: str) -> None:
    """A relay that hands on, one that collects and one that waits get three different verdicts."""
    downstream, query, delivery, cause = RELAYS[name]
    (evidence,) = run(through(downstream(), query))
    verdict = judge(evidence)
    assert (verdict.delivery, verdict.ending, verdict.cause) == (delivery, Ending.COMPLETE, cause), verdict.sentence


def test_an_idle_timeout_on_the_path_is_found_and_settled_by_a_control(run: Run) -> None:
    """A relay gives up after two seconds; a silence of six dies of it, and a steady stream of four lives."""
    plans = ("tokens=4&gaps=3@6s&interval=10ms", "tokens=40&interval=100ms")
    silent, steady = judge_all(run(through(idle_timeout(2), *plans)))
    assert (silent.ending, silent.cause, silent.received) == (Ending.CUT, Cause.IDLE_TIMEOUT, 2), silent.sentence
    assert (steady.ending, steady.cause) == (Ending.COMPLETE, None)
    assert "also" not in silent.sentence


def test_ledger_times_are_on_the_probes_timeout(run: Run) -> None:
    """The model server's timeout here is the probe's own, so the measured offset must be next to nothing."""
    (evidence,) = run(through(None, "tokens=3&interval=50ms"))
    assert evidence.ledger is not None
    now = time.monotonic()
    assert all(now - 30 < token.at < now for token in evidence.ledger.tokens)
    arrived = evidence.trace.body[0].at
    # The offset is wrong by half the round trip at most, and a round trip was never a fifth of a second.
    assert evidence.ledger.tokens[0].at - arrived < 0.1


def test_an_offset_clock_is_moved(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model server whose clock is 1000 s ahead gives the same evidence."""
    real = time.monotonic

    class Ahead:
        monotonic = staticmethod(lambda: real() + 1000.0)
        time = staticmethod(time.time)

    for module in ("server", "side_routes", "reply", "ledger", "lockstep"):
        monkeypatch.setattr(f"lab.model.{module}.time", Ahead)
    monkeypatch.setattr("lab.model.reply.wait_until", lambda due: asyncio.sleep(max(0.0, due - Ahead.monotonic())))
    (evidence,) = run(through(None, LOCKSTEP))
    assert evidence.ledger is not None
    assert abs(evidence.ledger.tokens[0].at - evidence.trace.body[0].at) < 100
    assert judge(evidence).delivery is Delivery.INCREMENTAL


def test_a_frozen_model_is_waited_for_no_longer_than_settling(run: Run) -> None:
    """The probe gives up, and the ledger says how far the model came."""
    (evidence,) = run(through(None, "tokens=5&interval=1ms&fault=freeze@3", patience=Patience(middle=0.5)))
    assert evidence.trace.end is TransportEnd.MIDDLE_TIMEOUT
    assert judge(evidence).received == 3
    assert evidence.ledger is not None
    assert evidence.ledger.client_left is not None


def test_a_route_that_leads_nowhere_has_no_ledger(run: Run) -> None:
    """The model server never had the request: the evidence holds the trace alone."""

    async def nowhere() -> Evidence:
        with FaultServer(lambda _: None) as server:
            url = server.url
        async with ModelServer() as model:
            return await observe(url, model.base_url, CHAT, plan_from_query("tokens=2"))

    evidence = run(nowhere())
    assert (evidence.trace.end, evidence.ledger) == (TransportEnd.REFUSED, None)
    assert judge(evidence).ending is Ending.CUT


def test_a_retry_on_the_path_is_seen(run: Run) -> None:
    """A relay asks twice; the ledger of the last attempt counts both."""
    (evidence,) = run(through(at_once, "tokens=3&interval=1ms", attempts=2))
    assert evidence.ledger is not None
    assert (evidence.ledger.attempt, evidence.ledger.attempts) == (2, 2)
    verdict = judge(evidence)
    assert verdict.ending is Ending.COMPLETE
    assert Flag.RETRIED in verdict.flags


def test_tries_that_the_model_refused_are_no_generations(run: Run) -> None:
    """A gateway that asks again after a 429 has nothing generated twice."""
    (evidence,) = run(through(at_once, "tokens=3&fault=status@429", attempts=3))
    assert evidence.ledger is not None
    assert (evidence.ledger.attempts, evidence.ledger.generations) == (3, 0)


def test_a_batch_reply_is_observed_too(run: Run) -> None:
    """Both ends of a batch exchange: one document, all tokens."""
    (evidence,) = run(through(None, "tokens=4&interval=50ms&lockstep=yes", stream=False))
    verdict = judge(evidence)
    assert (verdict.ending, verdict.received, evidence.confirmed) == (Ending.COMPLETE, 4, {})


def test_a_side_channel_outside_its_context_says_so(run: Run) -> None:
    """Using it unopened is the caller's mistake and named as such."""

    async def unopened() -> None:
        await SideChannel("http://127.0.0.1:1").attempts("x", Plan())

    with pytest.raises(RuntimeError, match="async with"):
        run(unopened())


class SlowToTell(SideChannel):
    """A side channel whose model server has the request only when it is asked the third time."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.asked = 0

    async def attempts(self, request: str, plan: Plan) -> list[Ledger]:
        """Nothing, twice."""
        self.asked += 1
        return [] if self.asked < 3 else [Ledger(request, 0.0, finished=1.0)]


async def test_one_late_answer_is_not_taken_for_a_request_that_never_came() -> None:
    """On a busy machine the first answer alone may take all the time that there is for waiting."""
    attempts = await SlowToTell().settled("r1", Plan(), 0.0, arrival=0.0)
    assert [ledger.finished for ledger in attempts] == [1.0]


def test_what_the_model_server_was_asked_for_and_did_not_serve_is_brought_back(run: Run) -> None:
    """That request's own, and what nobody signed; of an exchange that was answered nothing is asked."""

    async def observed() -> list[Evidence]:
        plan, odd = plan_from_query("tokens=1"), replace(CHAT.ask("lab", stream=True, max_tokens=1), path="/chat?a=b")
        async with ModelServer() as model, SideChannel(model.base_url) as channel:
            return [
                await observe(model.base_url, model.base_url, CHAT, plan, channel=channel, ask=ask)
                for ask in (odd, None, odd)
            ]

    lost, well, again = run(observed())
    assert [evidence.path for evidence in (lost, well, again)] == ["/chat", CHAT.path, "/chat"]
    assert (lost.ledger, well.refusals) == (None, ())
    for evidence in (lost, again):
        (refusal,) = evidence.refusals
        assert refusal == evidence.refused
        assert (refusal.method, refusal.path, refusal.status, refusal.count) == ("POST", "/chat", 404, 1)
        assert evidence.trace.started <= refusal.at <= evidence.trace.ended
