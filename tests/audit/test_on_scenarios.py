"""The audit on every side of every scenario, as if it were a stranger's endpoint: right, or "cannot tell"; never wrong.

The truth is known to the test alone. Each route is asked three times with a plan like a real generation, and the
ledger of each is kept for the judge; a further exchange in lockstep tells how the route delivers. The audit sees
the traces and nothing else.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from lab.audit.conclude import Conclusions, Confidence, DeliveryFinding, conclude
from lab.audit.samples import Sample, Setting, Way
from lab.catalogue import Exchange, Staging, discover, shipped_scenarios
from lab.evidence import Evidence
from lab.judge import judge
from lab.plan import Plan
from lab.probe.exchange import Patience
from lab.probe.observe import observe
from lab.probe.side_channel import SideChannel
from lab.stage.images import ImageInUse
from lab.stage.stage import Post, Stage
from lab.wire import format_named
from lab.words import Delivery, Ending, Side

pytestmark = pytest.mark.engine

SAMPLES = 3
AT_ONCE = 40
"""Exchanges at the same time: enough to be done in minutes, few enough for two cores to read them in time."""

SPARE = 30.0
"""Seconds of patience beyond the planned length."""

TOKENS, INTERVAL = 60, 0.04
"""A generation as it comes from a real model of some size: 25 tokens a second."""

LEAST_SHARE = 0.2
"""Of the streaming routes that must be recognised even on a machine that is busy with other things."""


@dataclass(frozen=True)
class Route:
    """One exchange of one side, asked as an audit asks, with the truth beside it."""

    name: str
    evidence: tuple[Evidence, ...]
    direct: tuple[Evidence, ...]
    lockstep: Evidence

    @property
    def deliveries(self) -> set[Delivery]:
        """What the ground truth says of delivery: in lockstep, and by the ledger of each sample."""
        return {judge(each).delivery for each in (*self.evidence, self.lockstep)} - {Delivery.UNPROVEN}

    @property
    def endings(self) -> list[Ending]:
        """What the ground truth says of each sample's ending."""
        return [judge(each).ending for each in self.evidence]

    @property
    def whole(self) -> bool:
        """Whether every sample is a stream of which all tokens came."""
        return all(each.stream and judge(each).received >= TOKENS for each in self.evidence)

    def delivery(self, *, with_direct: bool) -> DeliveryFinding:
        """What the audit says of the path's delivery."""
        (group,) = [each for each in self.audited(with_direct=with_direct).groups if each.way == "path"]
        return group.delivery

    def audited(self, *, with_direct: bool) -> Conclusions:
        """The audit's conclusions, from the traces alone."""
        ways = [("path", self.evidence), *([("direct", self.direct)] if with_direct else [])]
        samples = [
            Sample(
                Setting(Way(name, "http://stranger"), stream=each.stream),
                Evidence(each.wire_format, each.stream, each.trace),
            )
            for name, found in ways
            for each in found
        ]
        return conclude(samples, longest=None)


@pytest.fixture(scope="module", params=[0, 2], ids=["free", "two-busy-processes"])
def routes(request: pytest.FixtureRequest, images_in_use: Mapping[str, ImageInUse]) -> Iterator[list[Route]]:
    """All routes, asked; once on the machine as it is, once with two processes that take all they get."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(request.param)]
    try:
        yield asyncio.run(_ask_all(images_in_use))
    finally:
        for process in busy:
            process.kill()
            process.wait()


@dataclass
class Asker:
    """Asks over one stage; the model's own address once for each way of asking, whatever the route."""

    stage: Stage
    channel: SideChannel
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    direct: dict[tuple[str, ...], asyncio.Future[list[Evidence]]] = field(default_factory=dict)

    async def route(self, staging: Staging, exchange: Exchange) -> Route:
        """One exchange of one side, with its control and its truth."""
        plan = like_a_generation(exchange.plan)
        key = (exchange.wire_format, str(exchange.stream), exchange.accept_encoding, plan.to_query())
        if key not in self.direct:
            self.direct[key] = asyncio.ensure_future(self._samples(self.stage.model_url, exchange, plan))
        url = self.stage.url(staging.id)
        truth = exchange.plan.model_copy(update={"lockstep": True, "hold": 1.5})
        lockstep, samples = await asyncio.gather(self._one(url, exchange, truth), self._samples(url, exchange, plan))
        name = f"{staging.id}::{exchange.family}"
        return Route(name, tuple(samples), tuple(await self.direct[key]), lockstep)

    async def _samples(self, url: str, exchange: Exchange, plan: Plan) -> list[Evidence]:
        return await asyncio.gather(*(self._one(url, exchange, plan) for _ in range(SAMPLES)))

    async def _one(self, url: str, exchange: Exchange, plan: Plan) -> Evidence:
        patience = plan.length + SPARE
        async with self.gate:
            return await observe(
                url,
                self.stage.model_url,
                format_named(exchange.wire_format),
                plan,
                stream=exchange.stream,
                headers=(("Accept-Encoding", exchange.accept_encoding),) if exchange.accept_encoding else (),
                patience=Patience(headers=patience, first_token=patience, middle=patience),
                channel=self.channel,
            )


async def _ask_all(images: Mapping[str, ImageInUse]) -> list[Route]:
    stagings = [each for scenario in discover(shipped_scenarios()) for each in scenario.stagings]
    stagings = [each for each in stagings if each.side is not Side.REAL_DEFAULTS]
    async with (
        Stage([Post(each.id, each.proxy, each.config) for each in stagings], images) as stage,
        SideChannel(stage.model_url) as channel,
    ):
        asker = Asker(stage, channel)
        # Of a batch of random lengths one is enough: all of them are asked for as many tokens here.
        exchanges = [(one, {each.family: each for each in one.exchanges}.values()) for one in stagings]
        return await asyncio.gather(*(asker.route(one, each) for one, found in exchanges for each in found))


def like_a_generation(plan: Plan) -> Plan:
    """The scenario's plan at a real model's pace, without lockstep; its waits, faults and framing stay."""
    tokens = max(plan.tokens, TOKENS)
    return plan.model_copy(update={"tokens": tokens, "interval": INTERVAL, "lockstep": False})


@pytest.mark.parametrize("with_direct", [False, True], ids=["alone", "with-direct"])
def test_delivery_is_right_or_cannot_be_told(routes: list[Route], *, with_direct: bool) -> None:
    """No route's delivery is called what it is not, and where it cannot be told there is a reason."""
    found = [(route, route.delivery(with_direct=with_direct)) for route in routes]
    assert [
        f"{route.name}: {each} instead of {sorted(route.deliveries)}"
        for route, each in found
        if not each.reason or (each.confidence is not Confidence.CANNOT_TELL and each.delivery not in route.deliveries)
    ] == []


def test_endings_are_right_or_cannot_be_told(routes: list[Route]) -> None:
    """No answer's ending is called what it is not, and where it cannot be told there is a reason."""
    wrong = []
    for route in routes:
        found = [each.ending for each in route.audited(with_direct=False).samples]
        wrong += [
            f"{route.name}: {each} instead of {truth}"
            for each, truth in zip(found, route.endings, strict=True)
            if not each.reason or (each.confidence is not Confidence.CANNOT_TELL and each.ending is not truth)
        ]
    assert wrong == []


def test_every_ending_of_a_format_with_a_marker_is_decided(routes: list[Route]) -> None:
    """The scenarios speak formats whose marker tells an end from a cut, so nothing stays open."""
    endings = [each.ending for route in routes for each in route.audited(with_direct=False).samples]
    assert [each for each in endings if each.ending is None] == []


def test_every_batch_is_recognised(routes: list[Route]) -> None:
    """With the model's own address as a control, each route that held sixty tokens to the end is called batched."""
    held = [route for route in routes if route.whole and route.deliveries == {Delivery.BATCHED}]
    assert held
    assert {route.delivery(with_direct=True).delivery for route in held} == {Delivery.BATCHED}


def test_clumps_are_recognised(routes: list[Route]) -> None:
    """With that control some routes that clump sixty tokens are called coalesced; late reading hides the others."""
    held = [route for route in routes if route.whole and Delivery.COALESCED in route.deliveries]
    assert Delivery.COALESCED in {route.delivery(with_direct=True).delivery for route in held}


def test_a_path_that_streams_long_answers_is_recognised(routes: list[Route]) -> None:
    """Of the routes that handed sixty tokens on at once, some are called incremental; late reading hides the others."""
    free = [route for route in routes if route.whole and route.deliveries == {Delivery.INCREMENTAL}]
    decided = [route for route in free if route.delivery(with_direct=True).delivery is Delivery.INCREMENTAL]
    assert len(decided) >= LEAST_SHARE * len(free) > 0
