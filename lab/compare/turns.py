"""Makes the same generations streamed and batch, round by round, and keeps what came of each.

The two ways take turns within every round, and which goes first alternates, so that a machine or a
provider that slows down in the meantime slows both. All requests of one turn start together; the turn is
over when the last reply is, so a turn's rate is that of whole answers under just so many at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from lab.evidence import Evidence
from lab.precedence import precedence

Ask = Callable[[int, bool, int], Awaitable[Evidence]]
"""Makes generation number N, as a stream or not, one of so many at once, and brings back the evidence."""


class MakeAgain(Exception):
    """Raised by an `Ask` whose whole turn is to be made once more, for it says nothing of the path.

    Args:
        wait: seconds to wait before that.
    """

    def __init__(self, wait: float) -> None:
        super().__init__(f"to be made again after {wait:g} s")
        self.wait = wait


@dataclass(frozen=True)
class Generation:
    """One generation, asked for one way.

    Args:
        number: of the generation; the same number asked the other way is its pair.
        stream: whether it was streamed.
        at_once: how many ran at the same time, this one included.
        evidence: what came of it.
    """

    number: int
    stream: bool
    at_once: int
    evidence: Evidence


@dataclass(frozen=True)
class Turn:
    """All requests of one way in one round: what they came to, and how long they took together, in seconds."""

    generations: tuple[Generation, ...]
    seconds: float


def count_requests(levels: Sequence[int], rounds: int) -> int:
    """How many requests `make_all` will make: two for each generation."""
    return 2 * rounds * sum(levels)


async def make_all(ask: Ask, levels: Sequence[int], rounds: int, on_turn: Callable[[Turn], object]) -> None:
    """Make every generation both ways.

    Args:
        ask: makes one; what it raises ends the comparison.
        levels: how many at once, one level after another.
        rounds: how often each level is repeated.
        on_turn: gets each turn when it is over, so that a comparison that is stopped keeps what it has.
    """
    generation = 0
    for at_once in levels:
        for number in range(rounds):
            generations = range(generation, generation + at_once)
            generation += at_once
            for stream in (True, False) if number % 2 == 0 else (False, True):
                on_turn(await _turn(ask, generations, stream))


async def _turn(ask: Ask, generations: Sequence[int], stream: bool) -> Turn:
    while True:
        started = time.monotonic()
        try:
            with precedence():
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(_one(ask, number, stream, len(generations))) for number in generations]
        except ExceptionGroup as failures:
            # The first is why it ended; the others were on their way to the same.
            failure = failures.exceptions[0]
            if not isinstance(failure, MakeAgain):
                raise failure from None
            await asyncio.sleep(failure.wait)
        else:
            return Turn(tuple(task.result() for task in tasks), time.monotonic() - started)


async def _one(ask: Ask, generation: int, stream: bool, at_once: int) -> Generation:
    return Generation(generation, stream, at_once, await ask(generation, stream, at_once))
