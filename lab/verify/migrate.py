"""Two targets under the same suite, and what differs: what a change of product, version or file costs or gains."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.judge import Observation, Observations
from lab.suite.settle import Waits
from lab.testbed.engine import Say
from lab.testbed.supply import Supply
from lab.verify.rounds import Copy, UserFile, observe_copies
from lab.verify.search import exchanges_for
from lab.vocabulary import State


class ChangeKind(StrEnum):
    """What became of a requirement."""

    WORSE = "worse"
    BETTER = "better"
    CANNOT_TELL = "cannot tell"
    """One of the two observations is inconclusive."""


@dataclass(frozen=True)
class Change:
    """A requirement that is not observed alike on both."""

    kind: ChangeKind
    before: Observation
    after: Observation


async def migrate(before: UserFile, after: UserFile, waits: Waits, supply: Supply, say: Say) -> list[Change]:
    """Observe both, at the first entrance of each, and say what changed.

    Raises:
        SetUpFault: a product refuses its file.
        EnvironmentFault: the machine lacks what one of them needs.
    """

    async def observed(file: UserFile) -> Observations:
        copy = Copy(file.adapter.entrances[0])
        return (await observe_copies(file, {copy: exchanges_for(waits, copy.entrance)}, supply, say))[copy]

    say(f"asking {before.path} through {before.proxy.id}, and {after.path} through {after.proxy.id}")
    return list(changes(*await asyncio.gather(observed(before), observed(after))))


def changes(before: Observations, after: Observations) -> Iterator[Change]:
    """What differs, the worse first. Pure."""
    found = [
        Change(kind, before[each], after[each])
        for each in before
        if each in after and (kind := kind_of(before[each].state, after[each].state)) is not None
    ]
    yield from sorted(found, key=lambda each: [*ChangeKind].index(each.kind))


def kind_of(before: State, after: State) -> ChangeKind | None:
    """What became of a requirement; None where nothing did. Pure."""
    if before is after:
        return None
    told: Sequence[State] = (State.MET, State.NOT_MET)
    if before not in told or after not in told:
        return ChangeKind.CANNOT_TELL
    return ChangeKind.WORSE if before is State.MET else ChangeKind.BETTER
