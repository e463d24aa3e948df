"""What a runner is: the part of the testbed that has targets up, in containers or as processes of this machine.

The testbed (`lab.testbed.testbed`) knows keys, readiness and refusals; a runner knows folders, ports and how something
is started. Both runners give the same verdicts: a configuration that is on a route does not know where it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from lab.errors import EnvironmentFault
from lab.products import Product
from lab.testbed._plan import Instance, Target
from lab.vocabulary import Precedence


class Became(StrEnum):
    """Why a process does not answer, in words that begin behind its name."""

    ENDED = "ended at its start"
    DEAF = "listens on its own loopback address only, where nothing outside of its container can reach it"
    SILENT = "did not answer"


async def _hears() -> bool:
    return False


@dataclass(frozen=True)
class Started:
    """Where something runs that was started.

    Attributes:
        address: host and port as this process reaches them; None where it ended before it had one.
        ended: set when the process, or whatever it is in, has ended.
        tail: gives the last lines that it wrote, as many as are asked for; also after its end.
        secure: whether it speaks TLS.
        deaf: tells whether it listens where it can never be reached; asked while it does not answer.
    """

    address: tuple[str, int] | None
    ended: asyncio.Event
    tail: Callable[[int], list[str]]
    secure: bool = False
    deaf: Callable[[], Awaitable[bool]] = _hears


class Runner(Protocol):
    """Has targets up; used by one testbed, once.

    Attributes:
        precedence: how the model server comes to run before other processes, once it is up.
    """

    precedence: Precedence

    async def open(self, targets: Sequence[Target]) -> tuple[Mapping[str, Instance], Started]:
        """Start the model server, and say where each target is going to be, by its key.

        Raises:
            BadInput: a configuration cannot be read, or has no `${PORT}`.
            EnvironmentFault: the machine lacks something; whatever was started is ended by `close`.
        """

    async def start(self, instance: Instance) -> Started:
        """Have one target up; it need not answer yet.

        Raises:
            SetUpFault: it cannot be, for a reason of its own.
            Unavailable: its product cannot be had here.
            EnvironmentFault: the machine failed.
        """

    async def reload(self, instance: Instance) -> None:
        """Have a target that is up read its files anew, as its product does that in production.

        Raises:
            BadInput: the configuration cannot be read, or has no `${PORT}`.
            EnvironmentFault: it could not be told.
        """

    async def pids(self, instance: Instance) -> Sequence[int]:
        """The numbers, on this machine, of the processes that serve a target that is up; none where they run elsewhere.

        Raises:
            EnvironmentFault: they cannot be told.
        """

    def remedy(self, product: Product | None, became: Became, said: str) -> str:
        """What helps what ended at its start or does not answer.

        Args:
            product: the target's; None for the model server.
            became: what became of it.
            said: what it wrote.
        """

    async def close(self) -> None:
        """Take everything down, however far the start came; what was written can still be read afterwards.

        Raises:
            EnvironmentFault: something may still be up; what could be ended is.
        """


_NO_SUCH_ADDRESS = "cannot assign requested address"
"""The system's own words, which every product repeats."""


def advice(product: Product, became: Became, said: str) -> str:
    """What to do about a configuration that a product refused or does not serve; after a refusal no patience helps."""
    if became is Became.DEAF or _NO_SUCH_ADDRESS in said.lower():
        return "Let it listen on all addresses, as in 0.0.0.0:${PORT}; only the lab's own network reaches it there."
    if became is Became.ENDED:
        return product.advice(said) or "Correct the configuration."
    return product.advice(said) or "Correct the configuration, or wait longer with LAB_PATIENCE=3."


def not_told(name: str, said: str) -> EnvironmentFault:
    """Of a target that could not be told to read its files anew.

    Args:
        name: who.
        said: what was said instead.
    """
    last = said.strip().splitlines()[-1:] or ["it does not say why"]
    return EnvironmentFault(f"{name} cannot be told to read its files anew: {last[0]}", "Start it again.")


async def together(*work: Awaitable[None]) -> None:
    """Await all; when one fails, stop the others before its error goes on."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
