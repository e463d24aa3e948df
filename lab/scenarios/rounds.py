"""Three rounds: all at once, then those in which the time matters, then by itself what the machine was too busy for.

Where exchanges meet each other, or a reload, one that begins late has not met what it was to meet. So those cases have
the machine to themselves; it costs as long as the longest of them.

In the first two, probe, model server and proxies have many exchanges to carry at the same time; what they were late for
there, they may well carry alone. Only what is inconclusive, or was never told because the model server let a question
wait, is measured again, and at most `AGAIN` times: a machine that is busy with other things is so for a while. A case
that failed has failed, at whichever time, for another try would hide what goes wrong from time to time.

Exchanges run before other processes where that can be had (`lab.precedence`); judging, which computes, does not, and
waits until none runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from lab.catalogue import Case
from lab.measure.many import Starts, at_once, longest_of
from lab.probe.side_channel import SideChannel
from lab.results import CaseResult
from lab.scenarios.play import Performance, judged, perform
from lab.testbed.testbed import Testbed
from lab.vocabulary import Outcome, Precedence

TIMED_APART = 0.06
"""Seconds from one case to the next where the time matters: what many of them do at the same moment after their
beginning, such as sixteen requests within half a second, is not to come all at once."""

AGAIN = 3
"""Times that what is inconclusive is measured again by itself."""


class RunListener(Protocol):
    """Hears how a run goes; called in the run's own event loop, so it must not block."""

    def say(self, line: str) -> None:
        """One line of progress."""

    def begins(self, cases: Sequence[Case]) -> None:
        """The testbed stands; these are about to be played."""

    def played(self, case: Case) -> None:
        """The exchanges of one case are over; it has yet to be judged."""

    def ends(self, case: Case, result: CaseResult) -> None:
        """One case is over, with its last result and all that its proxy wrote; the testbed is gone by then."""


class Rounds:
    """All rounds of one run; `play` is called once.

    Args:
        testbed: holds the proxies.
        listener: hears of it.

    `results` are those so far, by the case's id; `precedence` is how the probe came to run before others.
    """

    def __init__(self, testbed: Testbed, listener: RunListener) -> None:
        self.results: dict[str, CaseResult] = {}
        self.precedence = Precedence.NONE
        self._testbed = testbed
        self._listener = listener
        self._starts, self._timed_starts = Starts(), Starts(TIMED_APART)

    async def play(self, cases: Sequence[Case]) -> None:
        """Play them all; never raises for a fault of one."""
        async with SideChannel(self._testbed.model_url) as channel:
            busy: list[tuple[Case, CaseResult]] = []
            longest_first = sorted(cases, key=lambda case: -longest_of(case.exchanges))
            performances = [
                *await self._perform([case for case in longest_first if not case.timed], channel),
                *await self._perform([case for case in longest_first if case.timed], channel),
            ]
            for performance in performances:
                result = judged(performance)
                if result.outcome is Outcome.INCONCLUSIVE or performance.waited:
                    busy.append((performance.case, result))
                else:
                    self.results[performance.case.id] = result
                # Whoever wants to stop the run is heard between two of them.
                await asyncio.sleep(0)
            waited = False
            for case, result in busy:
                for _ in range(AGAIN):
                    if waited:
                        # It waits for nobody's processor; each further case would wait as long for nothing.
                        break
                    self._listener.say(f"measuring again, by itself, since the machine was busy: {case.id}")
                    (performance,) = await self._perform([case], channel)
                    waited, again = performance.waited, judged(performance)
                    why = again.busy or result.busy or result.problem
                    result = replace(again, measured=result.measured + 1, busy=why)
                    if again.outcome is not Outcome.INCONCLUSIVE:
                        break
                self.results[case.id] = result

    async def _perform(self, cases: Sequence[Case], channel: SideChannel) -> list[Performance]:
        """Make the exchanges of these cases, all of them at once."""

        async def one(case: Case) -> Performance:
            starts = self._timed_starts if case.timed else self._starts
            performance = await perform(case, self._testbed, channel, starts)
            self._listener.played(case)
            return performance

        performances, self.precedence = await at_once([partial(one, case) for case in cases])
        return performances
