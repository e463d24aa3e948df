"""When the exchanges of a case begin, and what is known of a machine that was late with one of them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import cast

import pytest
from judge.builder import Build

from lab.catalogue import Case
from lab.catalogue.scenario import Restart
from lab.measure.many import Starts
from lab.plan import make_plan
from lab.probe.side_channel import SideChannel
from lab.scenarios.timetable import Timetable
from lab.suite.exchange import Exchange
from lab.testbed.testbed import Testbed
from lab.vocabulary import Requirement, Variant

from .scenes import make_case

LATE = 0.3


def case_of(reload: float | None = None, **delays: float) -> Case:
    """A case whose exchanges begin so much later than its first."""
    case = make_case(Variant.FIXED, Requirement.SERVES_OTHERS_MEANWHILE, {name: Build() for name in delays})
    exchanges = tuple(replace(each, delay=delays[each.name]) for each in case.exchanges)
    return replace(case, exchanges=exchanges, reload=reload)


class Channel:
    """A side channel that notes what is started anew."""

    def __init__(self) -> None:
        self.told: list[tuple[int, float, bool]] = []

    async def restart(self, port: int, down: float, *, drain: bool) -> None:
        """Note it."""
        self.told.append((port, down, drain))


class Bed:
    """A testbed that takes its time to reload."""

    def model_port(self, _: str) -> int:
        """The first model server's."""
        return 12345

    def __init__(self, takes: float = 0.0) -> None:
        self.takes, self.at, self.done = takes, 0.0, 0.0

    async def reload(self, _: str) -> None:
        """As long as it takes."""
        self.at = time.monotonic()
        await asyncio.sleep(self.takes)
        self.done = time.monotonic()


async def begun(
    case: Case, bed: Bed | None = None, blocked_by: str = "", starts: Starts | None = None
) -> tuple[dict[str, float], float]:
    """When each exchange began, after the first; and by how much the case was late.

    Args:
        case: whose.
        bed: its testbed.
        blocked_by: an exchange whose beginning keeps the event loop for `LATE`.
        starts: the turns; the usual ones where none are given.
    """
    timetable, times = Timetable(case, starts or Starts()), {}

    async def one(name: str) -> None:
        exchange = next(each for each in case.exchanges if each.name == name)
        async with timetable.turn(exchange):
            times[name] = time.monotonic()
            if name == blocked_by:
                time.sleep(LATE)  # noqa: ASYNC251  # a loop that does not run is what it is about
            timetable.sent(exchange, time.monotonic())

    bed = bed or Bed()
    await asyncio.gather(timetable.reload(cast(Testbed, bed)), *(one(each.name) for each in case.exchanges))
    if bed.at:
        times["reload"] = bed.at
    first = min(times.values())
    return {name: at - first for name, at in times.items()}, timetable.late


async def test_the_later_ones_begin_so_long_after_the_first() -> None:
    """Counted from the first that began, and not from when the run did; the reload too."""
    times, late = await begun(case_of(first=0.0, next=0.1, last=0.2, reload=0.15))
    assert list(dict(sorted(times.items(), key=lambda item: item[1]))) == ["first", "next", "reload", "last"]
    for name, due in (("next", 0.1), ("reload", 0.15), ("last", 0.2)):
        # The first itself may have been late.
        assert due - late - 0.001 <= times[name] <= due + late + 0.1


@pytest.mark.parametrize("blocked_by", ["first", "next"])
async def test_a_loop_that_did_not_run_makes_the_case_late(blocked_by: str) -> None:
    """Whichever of them was kept, the others did not meet what they were to meet."""
    _, late = await begun(case_of(first=0.0, next=0.05, last=0.1), blocked_by=blocked_by)
    assert late > LATE - 0.15


async def test_those_that_are_to_begin_together_take_one_turn_where_the_time_matters() -> None:
    """However far apart the turns are; where it does not matter, each takes its own."""
    times, late = await begun(case_of(first=0.0, second=0.0, next=0.1), starts=Starts(apart=5))
    assert times["second"] < 5
    assert late < 5
    times, _ = await begun(case_of(first=0.0, second=0.0), starts=Starts(apart=0.5))
    assert max(times.values()) >= 0.5


async def test_what_is_asked_over_a_kept_connection_is_due_once_that_has_rested() -> None:
    """It has its turn for the connection; who asks late has missed the others."""
    case = case_of(first=0.0, next=0.05)
    first, following = case.exchanges
    case = replace(case, exchanges=(replace(first, kept=0.2), following))
    timetable, before = Timetable(case, Starts()), time.monotonic()
    async with timetable.turn(case.exchanges[0]):
        began = time.monotonic()
        timetable.sent(case.exchanges[0], began + 0.2)
        assert 0 <= timetable.late <= began - before
        timetable.sent(case.exchanges[0], began + 0.2 + LATE)
    assert LATE <= timetable.late <= LATE + began - before


async def test_what_begins_at_once_is_never_late() -> None:
    """Of exchanges that are about themselves alone nobody asks when they began."""
    _, late = await begun(case_of(first=0.0, second=0.0), blocked_by="first")
    assert late == 0.0


async def test_a_reload_may_take_its_time_while_all_are_under_way() -> None:
    """What is over half before it, or was to come after it, has not met it as planned."""
    plan = make_plan({"tokens": 9, "interval": "100ms"})
    for takes, next_at, kept, room in [
        (0.3, 2.0, None, 0.4),
        (0.4 + LATE, 2.0, None, 0.4),
        (0.3, 0.1, None, 0.1),
        # Its connection is to come after it, or its request.
        (0.3, 0.1, 2.0, 0.1),
        (0.3, 0.0, 0.2, 0.2),
    ]:
        case = case_of(first=0.0, next=next_at, reload=0.0)
        first, following = (replace(each, plan=plan) for each in case.exchanges)
        case = replace(case, exchanges=(first, replace(following, kept=kept)))
        timetable, bed, before = Timetable(case, Starts()), Bed(takes), time.monotonic()
        async with timetable.turn(case.exchanges[0]):
            begun_by = time.monotonic()
            await timetable.reload(cast(Testbed, bed))
        # A busy machine may have made it take longer.
        least, most = bed.done - begun_by - room, time.monotonic() - before - room
        assert max(0.0, least) <= timetable.late <= max(0.0, most), (takes, next_at)


async def test_the_first_model_server_is_started_anew_when_it_is_time() -> None:
    """Once, and as the variant says; a case that is not about that asks nothing of anybody."""
    channel, case = Channel(), replace(case_of(first=0.0), restart=Restart(0.1, 2.5, drain=True))
    for each, told in ((case, [(12345, 2.5, True)]), (replace(case, restart=None), [])):
        channel.told.clear()
        timetable, began = Timetable(each, Starts()), time.monotonic()
        async with timetable.turn(each.exchanges[0]):
            await timetable.restart(cast(Testbed, Bed()), cast(SideChannel, channel))
        assert channel.told == told
        assert not told or time.monotonic() - began >= 0.1


async def test_one_begins_when_the_one_before_is_over() -> None:
    """However long that takes, and also where it failed; none of them is late by it."""
    case = case_of(first=0.0, second=0.0, third=0.0)
    before = {"second": "first", "third": "second"}
    exchanges = tuple(replace(each, after=before.get(each.name, "")) for each in case.exchanges)
    case = replace(case, exchanges=exchanges)
    timetable, told = Timetable(case, Starts()), list[str]()

    async def one(exchange: Exchange) -> None:
        async with timetable.turn(exchange):
            told.append(f"{exchange.name} begins")
            await asyncio.sleep(0.05)
            told.append(f"{exchange.name} ends")
            if exchange.name == "second":
                raise TimeoutError

    await asyncio.gather(*map(one, reversed(exchanges)), return_exceptions=True)
    assert told == [f"{name} {what}" for name in ("first", "second", "third") for what in ("begins", "ends")]
    assert timetable.late == 0.0
