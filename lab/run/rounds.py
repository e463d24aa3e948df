"""Two rounds: every staging at once, and then, each by itself, those that the machine was too busy for.

In the first round probe, model server and proxies have all exchanges to carry at the same time; what they were late for
there, they may well carry alone. Only what is inconclusive is measured again, and only once: a side that failed has
failed, for a second try would hide what goes wrong from time to time.

Exchanges run before other processes where that can be had (`lab.precedence`); judging, which computes, does not, and
waits until none runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from lab.catalogue import Staging
from lab.precedence import precedence
from lab.probe.side_channel import SideChannel
from lab.results import SideResult
from lab.run.play import Performance, judged, perform
from lab.run.starts import Starts, longest_first
from lab.stage.stage import Stage
from lab.words import Outcome, Precedence

AT_ONCE = 250
"""Stagings in flight: more than the lab ships, and a bound for catalogues of any size."""


class Listener(Protocol):
    """Hears how a run goes; called in the run's own event loop, so it must not block."""

    def say(self, line: str) -> None:
        """One line of progress."""

    def begins(self, stagings: Sequence[Staging]) -> None:
        """The stage stands; these are about to be played."""

    def played(self, staging: Staging) -> None:
        """The exchanges of one staging are over; it has yet to be judged."""

    def ends(self, staging: Staging, result: SideResult) -> None:
        """One staging is over, with its last result and all that its proxy wrote; the stage is gone by then."""


class Rounds:
    """Both rounds of one run; `play` is called once.

    Args:
        stage: holds the proxies.
        listener: hears of it.

    `results` are those so far, by the staging's id; `precedence` is how the probe came to run before others.
    """

    def __init__(self, stage: Stage, listener: Listener) -> None:
        self.results: dict[str, SideResult] = {}
        self.precedence = Precedence.NONE
        self._stage = stage
        self._listener = listener
        self._starts = Starts()

    async def play(self, stagings: Sequence[Staging]) -> None:
        """Play them all; never raises for a fault of one."""
        async with SideChannel(self._stage.model_url) as channel:
            busy: list[tuple[Staging, SideResult]] = []
            for performance in await self._perform(longest_first(stagings), channel):
                result = judged(performance)
                if result.outcome is Outcome.INCONCLUSIVE:
                    busy.append((performance.staging, result))
                else:
                    self.results[performance.staging.id] = result
                # Whoever wants to stop the run is heard between two of them.
                await asyncio.sleep(0)
            for staging, first in busy:
                self._listener.say(f"measuring again, by itself, since the machine was busy: {staging.id}")
                (performance,) = await self._perform([staging], channel)
                second = judged(performance)
                self.results[staging.id] = replace(second, measured=2, busy=second.busy or first.busy)

    async def _perform(self, stagings: Sequence[Staging], channel: SideChannel) -> list[Performance]:
        """Make the exchanges of these stagings, all of them at once."""
        free = asyncio.Semaphore(AT_ONCE)

        async def one(staging: Staging) -> Performance:
            async with free:
                performance = await perform(staging, self._stage, channel, self._starts)
            self._listener.played(staging)
            return performance

        with precedence() as self.precedence:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(staging)) for staging in stagings]
        return [task.result() for task in tasks]
