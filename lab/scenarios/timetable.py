"""When the exchanges of one case begin, and its product is reloaded, and by how much a busy machine missed that.

All is counted from the beginning of the first exchange of the case: a whole run begins over some seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from lab.catalogue import Case
from lab.measure.many import Starts
from lab.probe.side_channel import SideChannel
from lab.suite.exchange import Exchange
from lab.testbed.testbed import Testbed

MOST_ROOM = 10.0
"""Seconds."""


class Timetable:
    """Of one case; lives as long as its exchanges run.

    Args:
        case: which.
        starts: the turns of the run, for what begins with the case.

    `late` is by how many seconds the latest of them missed its time. They are about each other, so that it is the
    lateness of all; where all begin at once, and nothing else happens, none is late.
    """

    def __init__(self, case: Case, starts: Starts) -> None:
        self.late = 0.0
        self._case = case
        self._starts = starts
        self._turned = False
        self._first = min(each.delay for each in case.exchanges)
        self._began: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._over = {each.name: asyncio.Event() for each in case.exchanges}

    @asynccontextmanager
    async def turn(self, exchange: Exchange) -> AsyncIterator[None]:
        """Wait until it is time for an exchange, which is over at the end."""
        try:
            await self._begin(exchange)
            yield
        finally:
            self._over[exchange.name].set()

    async def _begin(self, exchange: Exchange) -> None:
        if exchange.after:
            await self._over[exchange.after].wait()
            return
        if exchange.delay == self._first and not (self._case.timed and self._turned):
            # Where the time matters, those that are to begin together take one turn for all of them.
            self._turned = True
            await self._starts.turn()
            if not self._began.done():
                self._began.set_result(time.monotonic())
        if self._case.timed:
            await self._until(exchange.delay - self._first)

    def sent(self, exchange: Exchange, at: float) -> None:
        """Note when its request was sent: where the processors are busy, a connection takes its time as well."""
        if self._case.timed and not exchange.after:
            self.late = max(self.late, at - self._began.result() - (exchange.asked_after - self._first))

    async def reload(self, testbed: Testbed) -> None:
        """Have the product read its files anew when it is time, if the case is about that."""
        if self._case.reload is not None:
            due = await self._until(self._case.reload)
            # A file is written into a container and a process there is told, which may take a second or two.
            await testbed.reload(self._case.id)
            self._note_late(due, _room(self._case.exchanges, self._case.reload))

    async def restart(self, testbed: Testbed, channel: SideChannel) -> None:
        """Have the case's first model server end when it is time, and be there again, if the case is about that."""
        restart = self._case.restart
        if restart is not None:
            due = await self._until(restart.at)
            await channel.restart(testbed.model_port(self._case.id), restart.down, drain=restart.drain)
            self._note_late(due, _room(self._case.exchanges, restart.at))

    def _note_late(self, due: float, room: float) -> None:
        self.late = max(self.late, time.monotonic() - due - room)

    async def _until(self, after: float) -> float:
        """Wait until so long after the first exchange began; returns that time."""
        due = await asyncio.shield(self._began) + after
        await asyncio.sleep(due - time.monotonic())
        return due


def _room(exchanges: Sequence[Exchange], at: float) -> float:
    """Seconds by which a reload, or a restart, may miss its time and still find each exchange as planned.

    Each is under way then, or yet to come. What is under way has half of what is left of it, so that there is something
    to end.
    """
    ends = (each.asked_after + each.plan.length for each in exchanges if each.asked_after <= at)
    later = ((each.delay if each.delay > at else each.asked_after) - at for each in exchanges if each.asked_after > at)
    return min(*((end - at) / 2 for end in ends), *later, MOST_ROOM)
