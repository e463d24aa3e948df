from __future__ import annotations

import pytest
from hops import HOPS

from lab.catalogue import discover, shipped_scenarios
from lab.model.schedule import make_schedule
from lab.products import PROXIES
from lab.race.panes import ANSWER, DIES_AFTER, DIRECT, Pair, races
from lab.race.relay import WIRE_FORMAT
from lab.wire import format_named
from lab.wire.format import Asked

OFFERED = races(discover(shipped_scenarios()))
BEHIND_PROXIES = [pair for pair in OFFERED.pairs if pair.proxy != DIRECT]

NGINX_PAGE = 4096


def test_every_proxy_can_be_raced_and_no_proxy_too() -> None:
    """Each release is offered, and the direct route as the last."""
    assert {pair.proxy for pair in OFFERED.pairs} == {*HOPS, DIRECT}
    assert OFFERED.pairs[-1].proxy == DIRECT


def test_the_page_opens_with_the_stream_that_nginx_holds_in_its_defaults() -> None:
    """The commonest case comes first."""
    first = OFFERED.pairs[0]
    assert (first.proxy, first.scenario, first.shows) == ("nginx-1.26", "close-delimited-upstream", "buffering proxy")


def test_each_pane_is_called_by_what_its_proxy_does() -> None:
    """HAProxy's bursts are no buffering, and Envoy holds nothing back: its timeout ends the answer."""
    shown = {(pair.proxy, pair.scenario): pair.shows for pair in OFFERED.pairs}
    assert shown["haproxy-3.2", "bursts"] == "in bursts"
    assert shown["nginx-1.30", "compression"] == "buffering proxy"
    assert shown["envoy-1.40", "total-timeout"] == "cut by a timeout"
    assert shown["envoy-1.40", "recommended"] == "as installed"
    assert shown[DIRECT, ""] == "no proxy"


@pytest.mark.parametrize("pair", BEHIND_PROXIES, ids=lambda pair: pair.broken.key)
def test_what_differs_is_marked(pair: Pair) -> None:
    """Without its marked lines each case is the same text."""
    cases = [
        [line for index, line in enumerate(route.lines) if index not in route.marked]
        for route in (pair.broken, pair.fixed)
    ]
    assert cases[0] == cases[1]
    assert pair.broken.marked or pair.fixed.marked


def test_every_route_is_put_on_the_testbed_once() -> None:
    """No pane leads nowhere, and no proxy is started for nothing."""
    routes = {route.key for pair in OFFERED.pairs for route in (pair.broken, pair.fixed)} | {
        d.route.key for d in OFFERED.crashes
    }
    assert sorted(case.id for case in OFFERED.cases) == sorted(routes - {DIRECT})


def test_every_proxy_shows_a_cut_and_every_proxy_can_be_made_to_hide_one() -> None:
    """The switch of the second half: visible everywhere, hidden at least where the model server itself hides it."""
    for hidden in (True, False):
        proxies = {crash.route.key.split("::")[1] for crash in OFFERED.crashes if crash.hidden is hidden}
        assert proxies == set(HOPS)


def test_the_held_answer_fits_into_a_page_of_nginx() -> None:
    """Else the held pane would get a lump before the end; 256 bytes are left for the reply's headers."""
    schedule = make_schedule(ANSWER, format_named(WIRE_FORMAT), Asked("lab", stream=True, max_tokens=ANSWER.tokens))
    last = max(index for index, step in enumerate(schedule.steps) if step.tokens)
    assert sum(len(step.payload) for step in schedule.steps[: last + 1]) <= NGINX_PAGE - 256


@pytest.mark.parametrize("pair", OFFERED.pairs, ids=lambda pair: pair.broken.key)
def test_every_answer_is_a_short_race(pair: Pair) -> None:
    """Four seconds, and a first token that leaves most of them to read; only nginx has a page that bounds it."""
    assert 3.5 < pair.plan.length < 4.5
    assert pair.plan.ttft < pair.plan.length / 4
    assert (pair.plan == ANSWER) is pair.proxy.startswith("nginx")


def test_the_crash_is_in_the_middle_of_the_same_answer() -> None:
    """The plans differ by the fault and its delay and, where the model server hides it, by the framing."""
    assert 0 < DIES_AFTER < ANSWER.tokens
    for crash in OFFERED.crashes:
        assert crash.plan.model_copy(update={"fault": None, "fault_delay": 0.0, "framing": ANSWER.framing}) == ANSWER


def test_what_a_machine_does_not_have_is_not_offered() -> None:
    """Without a product its pairs, its crashes and its cases are gone, and no proxy at all can be raced still."""
    had = OFFERED.behind({"nginx-1.30"})
    assert {pair.proxy for pair in had.pairs} == {"nginx-1.30", DIRECT}
    assert {case.proxy.id for case in had.cases} == {"nginx-1.30"}
    assert had.crashes
    assert {crash.route.key for crash in had.crashes} <= {case.id for case in had.cases}
    assert OFFERED.behind(PROXIES) == OFFERED
