"""How long a proxy has to stand still before a verdict of `herd` is another one, by the numbers in its files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush

import pytest

from lab.catalogue import Case, discover, shipped_scenarios

STILL = 2.5
"""Seconds for which a proxy may stand still while clients come one after the other."""

STILL_AT_ONCE = 1.0
"""The same while they come together."""

APART = 1.5
"""Seconds over which clients that are to come together may be spread."""

(HERD,) = (each for each in discover(shipped_scenarios()) if each.id == "herd")
BROKEN = [case for case in HERD.cases if case.label == "broken"]
FIXED = [case for case in HERD.cases if case.label == "fixed"]

Clock = Callable[[float], float]
"""When a proxy sees what happens at a time."""


def still(since: float, seconds: float) -> Clock:
    """A proxy that stands still for so long from then on."""
    return lambda at: since + seconds if since <= at < since + seconds else at


def through_bucket(arrivals: Sequence[float], rate: float, burst: int) -> int:
    """How many a leaky bucket lets through: each fills it by one, and more than `burst` beyond the first is refused."""
    level, before, served = 0.0, arrivals[0], 0
    for number, at in enumerate(arrivals):
        filled = max(0.0, level - rate * (at - before) + bool(number))
        if filled <= burst:
            level, before, served = filled, at, served + 1
    return served


def through_slots(arrivals: Sequence[float], seen: Clock, slots: int, length: float, queue: float) -> int:
    """How many find a slot, or one that is free within `queue`; of what is seen in one moment, ends come last."""
    free, served = [0.0] * slots, 0
    for at in arrivals:
        if free[0] < at or (queue and free[0] <= at + queue):
            begins = max(at, heappop(free))
            heappush(free, seen(begins + length))
            served += 1
    return served


def served(case: Case, arrivals: Sequence[float], seen: Clock) -> int:
    """How many of those clients the case's product serves."""
    text = case.config.read_text("utf-8")
    came = sorted(map(seen, arrivals))
    (length,) = {each.plan.length for each in case.exchanges if each.family == "back"}
    number = partial(_number, text)
    if case.proxy.product.name == "nginx":
        return through_bucket(came, number(r"rate=(\d+)r/s"), int(number(r"burst=(\d+) nodelay")))
    if case.proxy.product.name == "haproxy":
        return through_slots(came, seen, int(number(r"maxconn (\d+)")), length, number(r"queue (\d+)ms") / 1e3)
    return through_slots(came, seen, int(number(r"max_requests: (\d+)")), length, 0.0)


def _number(text: str, pattern: str) -> float:
    (found,) = re.findall(pattern, text)
    return float(found)


def clients(case: Case) -> list[float]:
    """When the clients come back."""
    return [each.delay for each in case.exchanges if each.family == "back"]


@pytest.mark.parametrize("case", FIXED, ids=lambda case: case.proxy.id)
def test_who_comes_in_turn_is_served_by_a_proxy_that_stands_still(case: Case) -> None:
    """Whenever that begins; the configuration is the broken one's."""
    arrivals = clients(case)
    moments = [arrivals[0] + tenth / 10 for tenth in range(-int(10 * STILL), int(10 * (arrivals[-1] - arrivals[0])))]
    assert {served(case, arrivals, still(since, STILL)) for since in moments} == {len(arrivals)}
    # Where it stands still for all the time, they come at once.
    assert served(case, arrivals, still(0.0, 60.0)) < len(arrivals)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.proxy.id)
def test_who_comes_together_is_too_much_though_a_machine_spreads_it(case: Case) -> None:
    """Evenly, or some before a proxy stands still and the others after it."""
    arrivals = clients(case)
    first, count = arrivals[0], len(arrivals)
    evenly = [first + APART * place / (count - 1) for place in range(count)]
    assert served(case, evenly, float) < count
    moments = [first + place / 100 for place in range(-int(100 * STILL_AT_ONCE), int(100 * (arrivals[-1] - first)))]
    assert max(served(case, arrivals, still(since, STILL_AT_ONCE)) for since in moments) < count
