"""The audit on every side of every scenario, as if it were a foreign endpoint: right, or "cannot tell"; never wrong.

But for those about many streams at once: what such a path does to one depends on the others, and so does the truth.

The truth is known to the test alone. How a route delivers, exchanges in lockstep tell, which are made before anything
keeps the machine busy, few at a time, and again where the probe was late: what a configuration does to a stream does
not depend on who else computes. Then each route is asked three times with a plan like a real generation, and the
ledger of each is kept for the judge. The audit sees the traces and nothing else. A route of which nothing tells the
truth is counted by itself, and there may be few of them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from busy import busy_processes

from lab.audit.conclude.findings import Conclusions, Confidence, DeliveryFinding, conclude
from lab.catalogue import Case, discover, shipped_scenarios
from lab.endpoint.samples import Route, Sample, Setting
from lab.evidence import Evidence
from lab.judge import judge
from lab.measure.exchanges import Address, make
from lab.plan import Plan
from lab.precedence import precedence
from lab.probe.side_channel import SideChannel
from lab.suite.exchange import Exchange
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Delivery, Ending, Variant

pytestmark = [pytest.mark.engine, pytest.mark.grid, pytest.mark.busy]

SAMPLES = 3
AT_ONCE = 40
"""Exchanges at the same time: enough to be done in minutes, few enough for two cores to read them in time."""

TRUTHS_AT_ONCE = 12
TRUTHS = 4
"""Exchanges in lockstep at the same time, and how often a route is asked so until one of them tells."""

MOST_UNKNOWN = 0.02
"""Of the routes, whose delivery nothing may tell, so that the audit's word on them is neither right nor wrong."""


MOST_OF_ONE = 8
"""Exchanges over one configuration."""

ABOUT_MANY = {"load", "change"}
"""Groups of scenarios."""

TOKENS, INTERVAL = 60, 0.04
"""A generation as it comes from a real model of some size: 25 tokens a second."""

LEAST_SHARE = 0.2
"""Of the streaming routes that must be recognised even on a machine that is busy with other things."""

HELD = {Delivery.BATCHED, Delivery.COALESCED}

DOZED = 0.1
"""Part of each exchange that the probe may have slept through on a route on which the audit has to recognise something.
Beyond it "cannot tell" is the right word."""


@dataclass(frozen=True)
class AuditedRoute:
    """One exchange of one side, asked as an audit asks, with the truth beside it."""

    name: str
    evidence: tuple[Evidence, ...]
    direct: tuple[Evidence, ...]
    truth: Delivery

    @property
    def deliveries(self) -> set[Delivery]:
        """Every word that the ground truth allows: by lockstep, and by the ledger of each sample; empty if unknown.

        A buffer of pages batches the short answer of the lockstep and sends the longer one of the samples in bursts.
        Which of the two it was, their ledgers tell; where the probe was too late for that, both words are true of the
        path.
        """
        told = {judge(each).delivery for each in self.evidence} - {Delivery.UNPROVEN}
        held = HELD if self.truth in HELD and not told else set()
        return ({self.truth} | told | held) - {Delivery.UNPROVEN}

    @property
    def awake(self) -> bool:
        """Whether the probe ran for nearly all of the samples and of the control, so that there is much to go by."""
        traces = [each.trace for each in (*self.evidence, *self.direct)]
        return all(each.stalled(each.started, each.ended) <= DOZED * (each.ended - each.started) for each in traces)

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
        (group,) = [each for each in self.audited(with_direct=with_direct).groups if each.route == "path"]
        return group.delivery

    def audited(self, *, with_direct: bool) -> Conclusions:
        """The audit's conclusions, from the traces alone."""
        routes = [("path", self.evidence), *([("direct", self.direct)] if with_direct else [])]
        samples = [
            Sample(
                Setting(Route(name, "http://foreign"), stream=each.stream),
                Evidence(each.wire_format, each.stream, each.trace),
            )
            for name, found in routes
            for each in found
        ]
        return conclude(samples, longest=None)


BUSY = {"free": 0, "two-busy-processes": 2}
"""Processes that take all they get while the routes are asked."""


@pytest.fixture(scope="module")
def asked(request: pytest.FixtureRequest, images_in_use: Mapping[str, ImageInUse]) -> Mapping[str, list[AuditedRoute]]:
    """All routes, asked on the machine as it is, and beside two busy processes."""
    return asyncio.run(_ask_all(images_in_use, random.Random(request.config.option.seed)))


@pytest.fixture(params=BUSY)
def routes(request: pytest.FixtureRequest, asked: Mapping[str, list[AuditedRoute]]) -> list[AuditedRoute]:
    """All routes in one of the two states of the machine."""
    return asked[request.param]


@dataclass
class Asker:
    """Asks over one testbed; the model's own address once for each way of asking, whatever the route."""

    testbed: Testbed
    channel: SideChannel
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    few: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TRUTHS_AT_ONCE))
    direct: dict[Exchange, asyncio.Future[list[Evidence]]] = field(default_factory=dict)

    async def truth(self, case: Case, exchange: Exchange) -> Delivery:
        """How the route delivers, in lockstep; unproven only where that came of every attempt."""
        plan = exchange.plan.model_copy(update={"lockstep": True, "hold": 1.5})
        for _ in range(TRUTHS):
            async with self.few:
                found = judge(await self._one(self.testbed.url(case.id), exchange, plan)).delivery
            if found is not Delivery.UNPROVEN:
                return found
        return Delivery.UNPROVEN

    async def route(self, case: Case, exchange: Exchange, truth: Delivery) -> AuditedRoute:
        """One exchange of one side, with its control and its truth."""
        plan = like_a_generation(exchange.plan)
        key = as_asked(exchange)
        if key not in self.direct:
            self.direct[key] = asyncio.ensure_future(self._samples(self.testbed.model_url, exchange, plan))
        samples = await self._samples(self.testbed.url(case.id), exchange, plan)
        return AuditedRoute(f"{case.id}::{exchange.family}", tuple(samples), tuple(await self.direct[key]), truth)

    async def _samples(self, url: str, exchange: Exchange, plan: Plan) -> list[Evidence]:
        async def gated() -> Evidence:
            async with self.gate:
                return await self._one(url, exchange, plan)

        return await asyncio.gather(*(gated() for _ in range(SAMPLES)))

    async def _one(self, url: str, exchange: Exchange, plan: Plan) -> Evidence:
        address = Address(url, self.testbed.model_url)
        return await make(replace(exchange, plan=plan), address, self.channel)


async def _ask_all(images: Mapping[str, ImageInUse], draw: random.Random) -> Mapping[str, list[AuditedRoute]]:
    alone = [each for each in discover(shipped_scenarios()) if each.group not in ABOUT_MANY]
    cases = [each for scenario in alone for each in scenario.cases]
    cases = [each for each in cases if each.variant is not Variant.REAL_DEFAULTS]
    # Sides that differ in what the model server is told have one configuration, and are one route here.
    routes = {
        (one.proxy.id, one.config, as_asked(each)): (one, each) for one in cases for each in some(one.exchanges, draw)
    }
    every = list(routes.values())
    asked: dict[str, list[AuditedRoute]] = {}
    async with (
        Testbed([Target(each.id, each.proxy, each.config) for each in cases], Containers(images)) as testbed,
        SideChannel(testbed.model_url) as channel,
    ):
        first = Asker(testbed, channel)
        truths = await asyncio.gather(*(first.truth(one, each) for one, each in every))
        for state, processes in BUSY.items():
            asker = Asker(testbed, channel)
            with busy_processes(processes), precedence():
                routes = (asker.route(*pair, truth) for pair, truth in zip(every, truths, strict=True))
                asked[state] = await asyncio.gather(*routes)
    return asked


def some(exchanges: Sequence[Exchange], draw: random.Random) -> list[Exchange]:
    """Of a whole suite over one configuration, which answers most of them alike, a few."""
    found = unlike(exchanges)
    return draw.sample(found, min(MOST_OF_ONE, len(found)))


def unlike(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Those that are still different here; of a batch of random lengths one is enough."""
    families = {each.family: each for each in exchanges if each.leave_after is None}
    return list({as_asked(each): each for each in families.values()}.values())


def as_asked(exchange: Exchange) -> Exchange:
    """What is left of an exchange that is asked for as many tokens as all others; some are the same then."""
    return replace(exchange, plan=like_a_generation(exchange.plan), name="", family="", requirements=())


def like_a_generation(plan: Plan) -> Plan:
    """The scenario's plan at a real model's pace, without lockstep; its waits, faults and framing stay."""
    tokens = max(plan.tokens, TOKENS)
    return plan.model_copy(update={"tokens": tokens, "interval": INTERVAL, "lockstep": False})


@pytest.mark.parametrize("with_direct", [False, True], ids=["alone", "with-direct"])
def test_delivery_is_right_or_cannot_be_told(routes: list[AuditedRoute], *, with_direct: bool) -> None:
    """No route's delivery is called what it is not, and where it cannot be told there is a reason."""
    found = [(route, route.delivery(with_direct=with_direct)) for route in routes if route.deliveries]
    assert found
    assert [
        f"{route.name}: {each} instead of {sorted(route.deliveries)}"
        for route, each in found
        if not each.reason or (each.confidence is not Confidence.CANNOT_TELL and each.delivery not in route.deliveries)
    ] == []


def test_the_truth_is_known_of_nearly_every_route(routes: list[AuditedRoute]) -> None:
    """What the test does not know itself it cannot hold against the audit, so that must be next to nothing."""
    unknown = [route.name for route in routes if not route.deliveries]
    assert routes
    assert len(unknown) <= MOST_UNKNOWN * len(routes), unknown


def test_endings_are_right_or_cannot_be_told(routes: list[AuditedRoute]) -> None:
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


def test_every_ending_of_a_format_with_a_marker_is_decided(routes: list[AuditedRoute]) -> None:
    """The scenarios speak formats whose marker tells an end from a cut, so nothing stays open."""
    endings = [each.ending for route in routes for each in route.audited(with_direct=False).samples]
    assert endings
    assert [each for each in endings if each.ending is None] == []


def held_to_a_word(routes: list[AuditedRoute], truth: Delivery) -> list[AuditedRoute]:
    """The routes that do just this and of which all tokens came to a probe that was awake; there must be some."""
    awake = [route for route in routes if route.whole and route.awake]
    found = [route for route in awake if route.deliveries == {truth}]
    assert found, f"of {len(routes)} routes {len(awake)} were watched by a probe that was awake, none of them {truth}"
    return found


def test_most_batches_are_recognised(routes: list[AuditedRoute]) -> None:
    """With the model's own address as a control, routes that held sixty tokens to the end are called batched."""
    held = held_to_a_word(routes, Delivery.BATCHED)
    decided = [route for route in held if route.delivery(with_direct=True).delivery is Delivery.BATCHED]
    assert 2 * len(decided) >= len(held), [(route.name, route.delivery(with_direct=True).reason) for route in held]


def test_bursts_are_recognised(routes: list[AuditedRoute]) -> None:
    """With that control some routes that send sixty tokens are called coalesced; late reading hides the others."""
    # Of tokens forty milliseconds apart too few wait for long enough to show it in the ledger: lockstep is the truth.
    in_bursts = [route for route in routes if route.whole and route.awake and route.truth is Delivery.COALESCED]
    assert in_bursts
    found = {route.delivery(with_direct=True).delivery for route in in_bursts}
    assert Delivery.COALESCED in found


def test_a_path_that_streams_long_answers_is_recognised(routes: list[AuditedRoute]) -> None:
    """Of the routes that handed sixty tokens on at once, some are called incremental; late reading hides the others."""
    free = held_to_a_word(routes, Delivery.INCREMENTAL)
    decided = [route for route in free if route.delivery(with_direct=True).delivery is Delivery.INCREMENTAL]
    assert len(decided) >= LEAST_SHARE * len(free)
