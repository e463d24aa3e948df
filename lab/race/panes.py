"""What can be raced: pairs of a broken and a fixed variant from the scenarios, and the plans that every pane shares.

Pure, but for reading the configuration files. A pair's two cases are files of one scenario, so that what differs
between the panes is what the page marks, and nothing else.

Warning: the answer is short on purpose. nginx hands a held stream on when a page of its buffer, 4 KiB, is full;
fourteen tokens stay below that. A longer answer comes in lumps of a page.
"""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from lab.catalogue import Case, Scenario
from lab.files import read_words
from lab.plan import Fault, FaultKind, Framing, Plan
from lab.products import speaks_tls
from lab.vocabulary import Cause, Delivery, Ending, Group, Variant

ANSWER = Plan(tokens=14, ttft=0.6, interval=0.26, seed=82)
"""The answer: four seconds, the same in every pane."""
QUICK = Plan(tokens=60, ttft=0.6, interval=0.058, seed=82)
"""The answer for proxies that have no page to fill: faster than HAProxy's hold of 0.2 s, so that its bursts show."""
DIES_AFTER = 6
"""Tokens that the model server writes before it dies, in the second half of the page."""

_LAST_BREATH = 0.3
"""Seconds from the last token to the crash: a browser drops what it has not read when the connection fails."""

DIRECT = "direct"
"""The key of the path without a proxy."""


@dataclass(frozen=True)
class RaceRoute:
    """One route to the model server, as the page shows it.

    Args:
        key: the case's id, or `DIRECT`.
        title: the proxy and its configuration, in a few words.
        file: the configuration's place below the scenarios; empty without a proxy.
        lines: the configuration, line by line.
        marked: indices of the lines that the pair's other side does not have.
    """

    key: str
    title: str
    file: str = ""
    lines: tuple[str, ...] = ()
    marked: tuple[int, ...] = ()


@dataclass(frozen=True)
class Pair:
    """What is raced: one scenario behind one proxy, broken against fixed.

    Args:
        proxy: the proxy's id, or `DIRECT`.
        scenario: the scenario's id.
        title: the scenario's title.
        shows: what the broken variant does to the stream, in words; of a product's defaults, just that.
        broken: the route of the second pane.
        fixed: the route of the other two.
        plan: the answer, the same in every pane.
    """

    proxy: str
    scenario: str
    title: str
    shows: str
    broken: RaceRoute
    fixed: RaceRoute
    plan: Plan


@dataclass(frozen=True)
class Crash:
    """A route on which the model server dies in the middle.

    Args:
        route: the route.
        plan: the answer with its fault.
        hidden: whether the client is to get a clean end, and not a cut.
        title: what happens, in a few words.
    """

    route: RaceRoute
    plan: Plan
    hidden: bool
    title: str


@dataclass(frozen=True)
class Races:
    """All that the page offers, and the cases that must stand on the testbed for it."""

    pairs: tuple[Pair, ...]
    crashes: tuple[Crash, ...]
    cases: tuple[Case, ...]

    def behind(self, proxies: Container[str]) -> Races:
        """What is raced behind these proxies, by id, and without one."""
        cases = tuple(case for case in self.cases if case.proxy.id in proxies)
        standing = {case.id for case in cases}
        return Races(
            tuple(pair for pair in self.pairs if pair.proxy == DIRECT or pair.proxy in proxies),
            tuple(crash for crash in self.crashes if crash.route.key in standing),
            cases,
        )


def races(scenarios: Sequence[Scenario]) -> Races:
    """Find what can be raced: everything that buffers, the recommended configurations, and no proxy at all.

    And what ends each answer that is longer than a timeout of its whole: some products hold nothing back, and do that.
    """
    found = [
        (scenario, broken, fixed)
        for scenario in scenarios
        for broken, fixed in _pairs_of(scenario)
        if scenario.group in (Group.BUFFERING, Group.RECOMMENDED) or _ends_long_answers(broken)
    ]
    found.sort(key=lambda each: (_place(each[1]), each[0].order))
    direct = RaceRoute(DIRECT, "no proxy")
    pairs = [_pair(*each) for each in found]
    pairs.append(Pair(DIRECT, "", "Straight to the model server", "no proxy", direct, direct, QUICK))
    crashes = [*_hidden_crashes(scenarios), *_visible_crashes(found)]
    crashes.sort(key=lambda each: (not each[1].hidden, _place(each[0])))
    staged = [*(case for _, *both in found for case in both), *(case for case, _ in crashes)]
    return Races(tuple(pairs), tuple(crash for _, crash in crashes), tuple({each.id: each for each in staged}.values()))


def _pairs_of(scenario: Scenario) -> Iterator[tuple[Case, Case]]:
    """The broken and the fixed variant behind each proxy that has both; the relay knows no TLS."""
    fixed = {case.proxy.id: case for case in scenario.cases if case.label == Variant.FIXED}
    for case in scenario.cases:
        if case.label == Variant.BROKEN and case.proxy.id in fixed:
            both = case, fixed[case.proxy.id]
            if not any(speaks_tls(each.config) for each in both):
                yield both


def _ends_long_answers(broken: Case) -> bool:
    return any(symptom.cause is Cause.TOTAL_TIMEOUT for symptom in broken.symptom.values())


def _shows(scenario: Scenario, broken: Case) -> str:
    if scenario.group is Group.RECOMMENDED:
        return "as installed"
    if _ends_long_answers(broken):
        return "cut by a timeout"
    bursts = any(symptom.delivery is Delivery.COALESCED for symptom in broken.symptom.values())
    return "in bursts" if bursts else "buffering proxy"


def _place(case: Case) -> tuple[bool, str]:
    """Order: first those that hold a stream in their defaults."""
    return not case.proxy.product.page, case.proxy.id


def _pair(scenario: Scenario, broken: Case, fixed: Case) -> Pair:
    return Pair(
        broken.proxy.id,
        scenario.id,
        scenario.title,
        _shows(scenario, broken),
        _route(broken, fixed),
        _route(fixed, broken),
        ANSWER if broken.proxy.product.page else QUICK,
    )


def _route(case: Case, other: Case | None = None) -> RaceRoute:
    lines = read_words(case.config).splitlines()
    others = read_words((other or case).config).splitlines()
    blocks = difflib.SequenceMatcher(None, others, lines, autojunk=False).get_opcodes()
    marked = [index for tag, _, _, start, end in blocks if tag != "equal" for index in range(start, end)]
    title = f"{case.proxy.id}, {case.title or case.variant}"
    return RaceRoute(case.id, title, "/".join(case.config.parts[-3:]), tuple(lines), tuple(marked))


def _hidden_crashes(scenarios: Sequence[Scenario]) -> Iterator[tuple[Case, Crash]]:
    """Where a scenario shows that the client gets half an answer with a clean end."""
    for scenario in scenarios:
        for case in scenario.cases:
            hidden = case.symptom.get("fin")
            if case.label == Variant.BROKEN and hidden and hidden.ending is Ending.SILENTLY_TRUNCATED:
                framing = next(each.plan.framing for each in case.exchanges if each.family == "fin")
                yield case, Crash(_route(case), _dying(framing), True, scenario.title)


def _visible_crashes(found: Sequence[tuple[Scenario, Case, Case]]) -> Iterator[tuple[Case, Crash]]:
    """The recommended configurations, all of which show a cut as a cut."""
    for scenario, _, fixed in found:
        if scenario.group is Group.RECOMMENDED:
            yield fixed, Crash(_route(fixed), _dying(Framing.AUTO), False, "The proxy shows the cut")


def _dying(framing: Framing) -> Plan:
    return ANSWER.model_copy(
        update={"fault": Fault(FaultKind.FIN, DIES_AFTER), "fault_delay": _LAST_BREATH, "framing": framing}
    )
