"""Many targets at the same time: before other processes, no two beginnings at once, the longest first.

Some hundred requests at once are a storm that no path sees in use: probe, model server and proxies queue for the
processor, and what waits there looks like the path's doing. Spread, they cost no wall time, since the last to begin are
the shortest. And where the probe's event loop has too little of the processor, its turns are long and the beginnings
further apart by themselves, so that no more exchanges run than it can carry.

Only what is in doubt for the machine's sake is measured again, by itself, exchange by exchange: a second try of what
failed would hide what goes wrong from time to time. Judging computes, so it waits until no exchange runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from lab.evidence import Evidence
from lab.judge import Exchanged, Observation, Observations, observe_all
from lab.measure.exchanges import Address, make
from lab.model.lockstep import LATER
from lab.plan import Plan
from lab.precedence import precedence
from lab.probe.side_channel import SideChannel
from lab.suite.exchange import Exchange
from lab.vocabulary import Precedence, Requirement, State

AT_ONCE = 250
"""Targets in flight, whatever the size of the catalogue: those that wait for a place are the shortest."""

APART = 0.005
"""Seconds from one beginning to the next at least, about what an exchange costs the probe from its begin to its end:
five hundred begin within three seconds."""

ON_ITS_WAY = 1.0
"""Seconds in which a request that has begun has found its server: a balancer may take that out for the deaths that are
provoked then, and would turn away what comes later."""

AGAIN = 8
"""Times that what is in doubt is measured again: a machine that is busy with other things is so for a while."""

T = TypeVar("T")


class Starts:
    """The turns in which exchanges begin; lives as long as they run.

    Args:
        apart: seconds from one to the next at least.
    """

    def __init__(self, apart: float = APART) -> None:
        self._apart = apart
        self._order = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for the next turn; turns come in the order of asking."""
        async with self._order:
            await asyncio.sleep(self._apart)


Wanted = Sequence[tuple[Address, Sequence[Exchange]]]
"""Addresses, each with the exchanges that are made over it."""


async def measure(wanted: Wanted, channel: SideChannel) -> list[Observations]:
    """Make the exchanges of each address, and say of every requirement that they settle whether it is met there.

    What needs TLS is left out where the address has none.

    Raises:
        aiohttp.ClientError: the model server does not answer on the side channel.
        SideChannelFault: what answers there is no model server of the lab's.
    """
    starts = Starts()
    asked = [
        (address, [each for each in exchanges if each.is_for(secure=address.secure)]) for address, exchanges in wanted
    ]
    made, _ = await at_once([partial(_evidence, address, exchanges, channel, starts) for address, exchanges in asked])
    observed: list[Observations] = []
    for (address, exchanges), evidence in zip(asked, made, strict=True):
        found = _observed(exchanges, evidence)
        for _ in range(AGAIN):
            some = [each for each in exchanges if any(each.name in found[one].doubtful for one in each.requirements)]
            if not some:
                break
            (again,), _ = await at_once([partial(_evidence, address, some, channel, starts)])
            evidence |= {each: second for each, second in again.items() if not _turned_away(evidence[each], second)}
            for requirement, second in _observed(exchanges, evidence).items():
                # What was told without a doubt stands, and what is not met for once is not met.
                if found[requirement].doubt or second.state is State.NOT_MET:
                    found[requirement] = second
        observed.append(found)
    return observed


def _turned_away(first: Evidence, second: Evidence) -> bool:
    """Whether what came through the first time did not the second time: that says nothing of what it was asked for.

    What is asked again comes behind the deaths and errors that were provoked, for which a balancer may have taken its
    servers out: nginx for ten seconds, or as long as `fail_timeout` says.
    """
    return first.ledger is not None and second.ledger is None


async def _evidence(
    address: Address, exchanges: Sequence[Exchange], channel: SideChannel, starts: Starts
) -> dict[str, Evidence]:
    begun = {each.name: asyncio.Event() for each in exchanges if each.plan.fault is None}
    # One of an address's at a time, so that the addresses take turns: what takes longest comes first of each.
    own = asyncio.Lock()

    async def one(exchange: Exchange) -> Evidence:
        if exchange.plan.fault is not None:
            await asyncio.gather(*(each.wait() for each in begun.values()))
            await asyncio.sleep(ON_ITS_WAY)
        async with own:
            await starts.turn()
        if exchange.name in begun:
            begun[exchange.name].set()
        return await make(exchange, address, channel)

    made = await together([one(each) for each in exchanges])
    return {each.name: evidence for each, evidence in zip(exchanges, made, strict=True)}


def _observed(exchanges: Sequence[Exchange], evidence: Mapping[str, Evidence]) -> dict[Requirement, Observation]:
    return dict(observe_all(Exchanged.together(exchanges, [evidence[each.name] for each in exchanges])))


async def together(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all of this; what fails stops the others and is raised as it is."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def at_once(works: Sequence[Callable[[], Awaitable[T]]]) -> tuple[list[T], Precedence]:
    """Do all of this at the same time, before other processes; the results in order, and how it came before them."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(work: Callable[[], Awaitable[T]]) -> T:
        async with free:
            return await work()

    with precedence() as gained:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(work)) for work in works]
    return [task.result() for task in tasks], gained


def longest_of(exchanges: Sequence[Exchange]) -> float:
    """Seconds that the longest of them takes at most as planned; in lockstep every hold may run out."""
    return max(_longest(each.plan) for each in exchanges)


def _longest(plan: Plan) -> float:
    holds = plan.hold * (1 + (plan.tokens - 1) / LATER) if plan.lockstep else 0.0
    return plan.length + holds
