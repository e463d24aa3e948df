"""What targets are run with, and the one start sequence: engine, images, testbed.

supply = await asyncio.to_thread(choose, say)
async with started(targets, supply, say) as (testbed, used):
...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from lab.products import Proxy
from lab.testbed import engine, images
from lab.testbed.containers import Containers
from lab.testbed.images import MODEL
from lab.testbed.runner import Runner
from lab.testbed.testbed import Target, Testbed

Say = Callable[[str], None]


@dataclass(frozen=True)
class Used:
    """What ran as one product, or as the model server.

    Attributes:
        key: as in `nginx-1.26`, or `model`.
        reference: the image's name.
        image_id: the engine's hash of the image.
        version: what the binary itself printed.
        how: how it was had.
    """

    key: str
    reference: str
    image_id: str
    version: str
    how: str


class Supply(Protocol):
    """Where runners come from."""

    @property
    def description(self) -> str:
        """In a few words, for reports: `Docker 20.10.24`."""

    def have(self, proxies: Iterable[Proxy], say: Say) -> tuple[Runner, tuple[Used, ...]]:
        """A runner for these products, and what it runs them with; takes as long as that takes to be fetched.

        Raises:
            EnvironmentFault: something that all of them need cannot be had.
        """


@dataclass(frozen=True)
class FromEngine:
    """A `Supply`: containers, of an engine that answers."""

    description: str

    def have(self, proxies: Iterable[Proxy], say: Say) -> tuple[Runner, tuple[Used, ...]]:
        """See `Supply`."""
        in_use = images.ensure([MODEL, *dict.fromkeys(proxy.id for proxy in proxies)], say)
        used = tuple(Used(i.key, i.reference, i.image_id, i.version, i.how) for i in in_use.values())
        return Containers(in_use), used


def choose(say: Say) -> Supply:
    """The engine, brought where the machine allows it.

    Raises:
        EnvironmentFault: there is none.
    """
    client = engine.ensure_engine(say)
    try:
        return FromEngine(engine.describe(client))
    finally:
        client.close()


@asynccontextmanager
async def started(
    targets: Sequence[Target], supply: Supply, say: Say, *, wait: bool = True
) -> AsyncIterator[tuple[Testbed, tuple[Used, ...]]]:
    """Have the targets up while inside; gives their testbed, and what runs on it.

    Args:
        targets: the configurations.
        supply: as `choose` gave it.
        say: takes one line of progress.
        wait: as `Testbed` takes it.

    Raises:
        BadInput: the targets cannot stand on one testbed.
        EnvironmentFault: the machine lacks what they need.
    """
    runner, used = await asyncio.to_thread(supply.have, [target.proxy for target in targets], say)
    async with Testbed(targets, runner, wait=wait) as testbed:
        yield testbed, used
