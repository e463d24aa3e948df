"""Beginnings: no two exchanges of a run begin in the same instant, and the longest begin first.

Some hundred requests at once are a storm that no path sees in use: probe, model server and proxies queue for the
processor, and what waits there looks like the path's doing. Spread, they cost no wall time, since the last to begin are
the shortest. And where the probe's event loop has too little of the processor, its turns are long and the beginnings
further apart by themselves, so that no more exchanges run than it can carry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from lab.catalogue import Case
from lab.model.lockstep import LATER
from lab.plan import Plan

APART = 0.005
"""Seconds from one beginning to the next at least, about what an exchange costs the probe from its begin to its end:
five hundred begin within three seconds."""


class Starts:
    """The turns of a run; lives as long as its play."""

    def __init__(self) -> None:
        self._order = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for the next turn; turns come in the order of asking."""
        async with self._order:
            await asyncio.sleep(APART)


def longest_first(cases: Sequence[Case]) -> list[Case]:
    """The cases in the order in which they are to begin."""
    return sorted(cases, key=lambda case: -max(_longest(each.plan) for each in case.exchanges))


def _longest(plan: Plan) -> float:
    """Seconds that an exchange takes at most as planned; in lockstep every hold may run out."""
    holds = plan.hold * (1 + (plan.tokens - 1) / LATER) if plan.lockstep else 0.0
    return plan.length + holds
