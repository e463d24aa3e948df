"""`lab race`: the testbed with everything that can be raced, and the page before it, until Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rich.console import Console

from lab.catalogue import discover, shipped_scenarios
from lab.race.panes import DIRECT, races
from lab.race.server import RaceServer
from lab.testbed.supply import RunnerWish, choose, started
from lab.testbed.testbed import Target


async def keep_racing(host: str, port: int, wish: RunnerWish, *, out: Console, say: Callable[[str], None]) -> None:
    """Put the proxies on the testbed, serve the page and print its address; runs until it is cancelled.

    Raises:
        EnvironmentFault: no engine, no image, or the port is taken.
    """
    supply = await asyncio.to_thread(choose, say, wish)
    offered = races(discover(shipped_scenarios(), supply.products))
    say("starting the proxies")
    async with started([Target(s.id, s.proxy, s.config) for s in offered.cases], supply, say) as (testbed, used):

        def address_of(key: str) -> str:
            return testbed.model_url if key == DIRECT else testbed.url(key)

        had = offered.behind({each.key for each in used})
        async with RaceServer(had, address_of, host, port) as server:
            out.print(f"Open {server.url} in a browser; ends at Ctrl-C.", highlight=False)
            await asyncio.Event().wait()
